//! What was proved of builds rather than seen, and what becomes of a proof that a build refutes.

use std::collections::{HashMap, HashSet};

use kiln_cache::InputKey;

use crate::plan::Place;

/// Whose closure proved what a revision builds to.
#[derive(Default)]
pub(super) struct Proofs {
    by: HashMap<Place, InputKey>,
    distrusted: HashSet<InputKey>,
}

impl Proofs {
    /// Takes note that the build `by` proved the one at `place`.
    pub(super) fn learn(&mut self, place: Place, by: InputKey) {
        self.by.insert(place, by);
    }

    /// The build that proved the one at `place`; none when that was built itself.
    pub(super) fn of(&self, place: Place) -> Option<InputKey> {
        self.by.get(&place).copied()
    }

    /// Takes note that `place` was built itself.
    pub(super) fn built(&mut self, place: Place) {
        self.by.remove(&place);
    }

    /// Forgets what was proved; not whose closures are not believed.
    pub(super) fn forget(&mut self) {
        self.by.clear();
    }

    /// Whether what the closure of a build proves is still believed.
    pub(super) fn trusted(&self, build: InputKey) -> bool {
        !self.distrusted.contains(&build)
    }

    /// Believes a build's closure no more. Returns the places that rested on it alone.
    pub(super) fn distrust(&mut self, build: InputKey) -> Vec<Place> {
        self.distrusted.insert(build);
        let mut fallen: Vec<Place> =
            self.by.iter().filter(|(_, by)| **by == build).map(|(place, _)| *place).collect();
        fallen.sort();
        fallen.iter().for_each(|place| self.built(*place));
        fallen
    }
}
