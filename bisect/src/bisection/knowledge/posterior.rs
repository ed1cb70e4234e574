//! The posterior, as records keep it.

use crate::belief::{Credible, Evidence, Posterior};
use crate::picture::{Picture, Seen};
use crate::plan::{Place, Problem, Settings, State};
use crate::record::Commit;

/// The posterior, as records keep it.
pub(in crate::bisection) struct Belief {
    posterior: Posterior,
    unclear: Vec<bool>,
    /// Commits in the 95 % credible set.
    pub(in crate::bisection) credible: usize,
}

impl Belief {
    pub(in crate::bisection) fn of(problem: &Problem) -> Self {
        let images: Vec<Option<u32>> = problem.revisions.iter().map(|s| s.image).collect();
        let evidence = Evidence {
            graph: &problem.graph,
            images: &images,
            base: problem.base.image,
            find: problem.find,
            unchanged: &problem.unchanged,
            untouched: &problem.untouched,
            blamed: &problem.blamed,
            counts: &problem.images,
        };
        let settings = Settings::default();
        let posterior = Posterior::new(&evidence, &settings.model);
        let credible = posterior.credible(settings.credible).commits.len();
        let unclear = problem.revisions.iter().map(|s| s.state == State::Unclear).collect();
        Self { posterior, unclear, credible }
    }

    /// Probability that the revision at a place is bad; none where nobody knows whether it ever had
    /// the bug.
    pub(in crate::bisection) fn bad(&self, place: Place) -> Option<f64> {
        match place {
            Place::Base => Some(self.posterior.bad_base),
            Place::Commit(commit) if self.unclear[commit as usize] => None,
            Place::Commit(commit) => Some(self.posterior.bad[commit as usize]),
        }
    }

    /// For people.
    pub(in crate::bisection) fn picture(
        &self,
        commit: impl Fn(u32) -> Commit,
        seen: Vec<Seen>,
    ) -> Picture {
        Picture::new(&self.posterior, self.credible, commit, seen)
    }

    /// What remains possible.
    pub(in crate::bisection) fn set(&self) -> Credible {
        self.posterior.credible(Settings::default().credible)
    }

    /// The runs speak against every commit.
    pub(in crate::bisection) fn contradiction(&self) -> bool {
        self.posterior.contradiction
    }

    /// How often a bad revision shows the target.
    pub(in crate::bisection) fn rate(&self) -> f64 {
        self.posterior.rate.mean
    }
}
