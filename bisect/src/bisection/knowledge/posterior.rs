//! The posterior, as records keep it.

use crate::belief::{Evidence, Find, Model, Posterior};
use crate::picture::{Picture, Seen};
use crate::plan::{Place, Problem, Settings, State};
use crate::record::Commit;

/// Probability that the bug is older than the good end, from which on that matters to what is said of
/// branches.
const OLDER: f64 = 0.05;
/// Target crashes that show that a revision has the bug.
const SHOWN: u32 = 2;

/// The posterior, as records keep it.
pub(in crate::bisection) struct Belief {
    posterior: Posterior,
    unclear: Vec<bool>,
    /// Commits in the 95 % credible set.
    pub(in crate::bisection) credible: usize,
}

impl Belief {
    /// `holds`: for each commit whether it contains the older end.
    pub(in crate::bisection) fn of(problem: &Problem, model: &Model, holds: &[bool]) -> Self {
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
        let posterior = Posterior::new(&evidence, model);
        let credible = posterior.credible(Settings::default().credible).commits.len();
        // If the bug is older than the good end, a branch that forked off before that may have it or
        // not, unless a revision of it has shown it.
        let doubtful = problem.find == Find::Cause && posterior.older > OLDER;
        let unclear =
            (0u32..).zip(&problem.revisions).zip(holds).map(|((commit, status), holds)| {
                let shown = problem.counts(Place::Commit(commit)).crashes >= SHOWN;
                status.state == State::Unclear || (doubtful && !holds && !shown)
            });
        let unclear = unclear.collect();
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

    /// How often a bad revision shows the target.
    pub(in crate::bisection) fn rate(&self) -> f64 {
        self.posterior.rate.mean
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::belief::Counts;
    use crate::graph::Graph;
    use crate::plan::{Costs, Status};

    #[test]
    fn a_branch_that_forked_off_before_is_not_known_to_have_an_older_bug() {
        // base - 0 - 2 - 3, and 1 - 2, where 1 forked off before the base.
        let graph = Graph::new(vec![vec![], vec![], vec![0, 1], vec![2]]).unwrap();
        let mut problem = Problem::new(Arc::new(graph), Costs::default());
        let holds = [true, false, true, true];
        let status = |image| Status { image: Some(image), state: State::Built };
        let crashing = Counts { crashes: 5, clean: 5, censored: 0 };
        problem.images = vec![crashing, crashing, Counts::default()];
        (problem.base, problem.revisions[3]) = (status(0), status(1));
        problem.revisions[1] = status(2);
        let belief = Belief::of(&problem, &Model::default(), &holds);
        assert!(belief.bad(Place::Base).unwrap() > 0.99);
        assert!(belief.bad(Place::Commit(0)).unwrap() > 0.99);
        assert_eq!(belief.bad(Place::Commit(1)), None);
        problem.images[2] = crashing;
        let belief = Belief::of(&problem, &Model::default(), &holds);
        assert!(belief.bad(Place::Commit(1)).unwrap() > 0.99);
    }
}
