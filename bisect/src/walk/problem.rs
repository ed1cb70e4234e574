//! All that a decision of the walk depends on.

use serde::{Deserialize, Serialize};

use crate::belief::Counts;
use crate::plan::{Costs, Spent, State, Status};

/// A release that the bad end descends from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Commits of the bad end's history that it does not have.
    pub back: u32,
    /// What is known of its kernel.
    pub status: Status,
}

/// A walk as it stands. Equal problems get equal decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Newest first; each is an ancestor of the one before it.
    pub releases: Vec<Release>,
    /// The bad end's image, an index into `images`.
    pub bad_end: Option<u32>,
    /// Runs of each image.
    pub images: Vec<Counts>,
    /// Commits of the bad end's whole history (see [`super::ages::whole`]).
    pub history: u32,
    /// What builds and runs take.
    pub costs: Costs,
    /// Machines that run side by side.
    pub machines: u32,
    /// For the budgets.
    pub spent: Spent,
}

impl Problem {
    /// Runs of a release's image.
    pub(super) fn counts(&self, release: usize) -> Counts {
        let image = self.releases[release].status.image;
        image.and_then(|image| self.images.get(image as usize).copied()).unwrap_or_default()
    }

    /// How a release is known not to build, to boot or to reach the test.
    pub(super) fn failure(&self, release: usize, patience: u32) -> Option<State> {
        let in_vain = self.counts(release).in_vain(patience);
        match self.releases[release].status.state {
            State::Built | State::Unknown => in_vain.then_some(State::Untestable),
            State::Unclear => None,
            failed => Some(failed),
        }
    }

    /// Whether a release is no end to search from: it fails, or it showed the target too rarely.
    pub(super) fn broken(&self, release: usize, patience: u32) -> bool {
        let unclear = self.releases[release].status.state == State::Unclear;
        unclear || self.failure(release, patience).is_some()
    }

    /// Whether testing a release needs a build.
    pub(super) fn needs_build(&self, release: usize) -> bool {
        self.releases[release].status.state != State::Built
    }

    /// Commits between a release and a newer one (`None`: the bad end).
    pub(super) fn commits(&self, release: usize, newer: Option<usize>) -> u32 {
        let newer = newer.map_or(0, |newer| self.releases[newer].back);
        self.releases[release].back.saturating_sub(newer).max(1)
    }
}
