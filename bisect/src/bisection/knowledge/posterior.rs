//! The posterior, as records keep it.

use crate::belief::{Model, Posterior};
use crate::picture::{Picture, Seen};
use crate::plan::{Place, Problem, Settings, State};
use crate::record::Commit;

/// The posterior, as records keep it.
pub(in crate::bisection) struct Belief {
    posterior: Posterior,
    unclear: Vec<bool>,
    forks: Vec<Option<f64>>,
    /// Commits in the 95 % credible set.
    pub(in crate::bisection) credible: usize,
}

impl Belief {
    pub(in crate::bisection) fn of(problem: &Problem, model: &Model) -> Self {
        let posterior = Posterior::new(&problem.evidence(&problem.images_of()), model);
        let credible = posterior.credible(Settings::default().credible).commits.len();
        let unclear = problem.revisions.iter().map(|status| status.state == State::Unclear);
        let ran = |fork| problem.counts(fork).informative() > 0;
        let forks = (0u32..).map(Place::Fork).zip(&posterior.forks);
        let forks = forks.map(|(fork, bad)| (ran(fork) && *bad < 0.5).then_some(*bad)).collect();
        Self { unclear: unclear.collect(), forks, posterior, credible }
    }

    /// Probability that the revision at a place is bad; none where that says nothing of the range: on
    /// branches that may never have had the bug, or had it before, and of fork points that have it.
    pub(in crate::bisection) fn bad(&self, place: Place) -> Option<f64> {
        match place {
            Place::Base => Some(self.posterior.bad_base),
            Place::Commit(commit) if self.unclear[commit as usize] => None,
            Place::Commit(commit) => Some(self.posterior.bad[commit as usize]),
            Place::Fork(fork) => self.forks[fork as usize],
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
    use crate::graph::{Graph, Outside};
    use crate::plan::{Costs, Status};

    #[test]
    fn a_branch_that_forked_off_before_is_not_known_to_have_an_older_bug() {
        // base - 0 - 2 - 3, and 1 - 2, where 1 forked off before the base.
        let parents = vec![vec![], vec![], vec![0, 1], vec![2]];
        let outside = vec![(0, Outside::Base), (1, Outside::Fork(0))];
        let graph = Graph::with_outside(parents, outside).unwrap();
        let mut problem = Problem::new(Arc::new(graph), Costs::default());
        let status = |image| Status { image: Some(image), state: State::Built };
        let crashing = Counts { crashes: 5, clean: 5, censored: 0 };
        problem.images = vec![crashing, crashing, Counts::default()];
        (problem.base, problem.revisions[3]) = (status(0), status(1));
        problem.revisions[1] = status(2);
        let belief = Belief::of(&problem, &Model::default());
        assert!(belief.bad(Place::Base).unwrap() > 0.99);
        assert!(belief.bad(Place::Commit(0)).unwrap() > 0.99);
        let even = belief.bad(Place::Commit(1)).unwrap();
        assert!((even - 0.5).abs() < 0.01, "{even}");
        assert_eq!(belief.bad(Place::Fork(0)), None);
        problem.images[2] = crashing;
        let belief = Belief::of(&problem, &Model::default());
        assert!(belief.bad(Place::Commit(1)).unwrap() > 0.99);
    }
}
