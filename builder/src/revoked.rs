//! What audits have refuted, held against what builds rest on. Pure decisions.

use std::collections::HashSet;
use std::sync::Arc;

use kiln_cache::{Digest, Refuted};

use crate::pool::Folder;
use crate::stages::{Ground, Provenance, Stage};

/// What a build rests on: what stages said, and the builds upon whose objects it was made.
pub(crate) struct Footing {
    pub(crate) grounds: Vec<Ground>,
    pub(crate) upon: Vec<Digest>,
}

impl Footing {
    pub(crate) fn of(provenance: Provenance) -> Self {
        Self { grounds: provenance.grounds(), upon: provenance.upon }
    }
}

/// What audits have refuted.
#[derive(Clone, Default)]
pub(crate) struct Revoked {
    /// What the store says; it knows when that is to be looked at again.
    pub(crate) marks: Arc<Refuted>,
    /// What its journal says.
    pub(crate) told: HashSet<(Stage, Digest)>,
}

impl Revoked {
    pub(crate) fn len(&self) -> usize {
        self.marks.len() + self.told.len()
    }

    pub(crate) fn has(&self, stage: Stage, closure: &Digest) -> bool {
        self.marks.is_revoked(closure, stage.name()) || self.told.contains(&(stage, *closure))
    }

    /// Whether any of these was refuted. A wrong closure proves nothing in any stage.
    pub(crate) fn has_any(&self, grounds: &[Ground]) -> bool {
        grounds.iter().any(|Ground { stage, closure, .. }| {
            self.has(*stage, closure) || self.has(Stage::Closure, closure)
        })
    }

    /// Whether the objects of a pair are to go: an audit has refuted what they rest on, or doubts a build
    /// that they were. The closure of such a build proves nothing any more; nor does it tell what make
    /// may overlook, so that what is built from nothing and reads the same goes as well, the next time.
    pub(crate) fn doubts(&self, pair: &Folder) -> bool {
        let (objects, withdrawn) = (&pair.state.objects, self.marks.withdrawn());
        // (What was being stored when its process was killed has no name yet.)
        withdrawn.has_any(&objects.made)
            || objects.storing.is_some_and(|input| withdrawn.has_of(&input))
            || self.has_any(&objects.rests_on)
            || objects.closures.iter().any(|closure| self.has(Stage::Closure, closure))
    }
}
