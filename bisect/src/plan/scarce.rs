//! Of what there may be too little: a budget that is many times what is needed steers nothing.

use crate::belief::{Posterior, entropy_bits, entropy_of};

use super::problem::Problem;
use super::settings::Settings;

/// Builds for each bit that is not known of the commit, as they are needed when the target shows rarely;
/// and beside them.
const BUILDS_A_BIT: f64 = 1.5;
const BUILDS: f64 = 3.0;
/// The same of runs, or of rounds of all machines where these are more.
const RUNS_A_BIT: f64 = 3.0;
const ROUNDS: f64 = 4.0;

/// Which budgets may not suffice. Where one does not, each of what it counts must tell as much as it can;
/// else each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scarce {
    pub(super) builds: bool,
    pub(super) runs: bool,
}

impl Scarce {
    /// Holds what the budgets leave against what is not known yet.
    pub(super) fn of(problem: &Problem, settings: &Settings, posterior: &Posterior) -> Self {
        if settings.max_builds.is_none() && settings.max_runs.is_none() {
            return Self::default();
        }
        let commits = posterior.commits.iter().copied();
        let bits = entropy_of(commits.chain([posterior.older, posterior.not_reproducible]));
        let builds = BUILDS_A_BIT * bits + BUILDS;
        let rounds = f64::from(problem.machines.max(1)) * (bits + ROUNDS);
        let runs = rounds.max(RUNS_A_BIT * bits / told_by_a_run(posterior.rate.mean));
        Self {
            builds: f64::from(builds_left(problem, settings)) < builds,
            runs: f64::from(runs_left(problem, settings)) < runs,
        }
    }
}

/// Builds that the budget leaves beside those under way.
pub(super) fn builds_left(problem: &Problem, settings: &Settings) -> u32 {
    let taken = problem.spent.builds + problem.building.len() as u32;
    settings.max_builds.map_or(u32::MAX, |most| most.saturating_sub(taken))
}

/// Runs that the budget leaves.
pub(super) fn runs_left(problem: &Problem, settings: &Settings) -> u32 {
    settings.max_runs.map_or(u32::MAX, |most| most.saturating_sub(problem.spent.runs))
}

/// Bits that a run tells at most, when half of the revisions are bad: one, less what is not known of
/// whether a run of such a mixture crashes.
fn told_by_a_run(rate: f64) -> f64 {
    let rate = rate.clamp(1e-3, 1.0);
    (entropy_bits(rate / 2.0) - entropy_bits(rate) / 2.0).max(1e-6)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::belief::Counts;
    use crate::graph::Graph;
    use crate::plan::{Costs, Place, State, Status};

    fn scarce(max_builds: Option<u32>, max_runs: Option<u32>, machines: u32) -> Scarce {
        let graph = Arc::new(Graph::linear(1000).unwrap());
        let mut problem = Problem { machines, ..Problem::new(graph, Costs::default()) };
        problem.images.push(Counts { crashes: 20, clean: 0, censored: 0 });
        problem.set(Place::Commit(999), Status { image: Some(0), state: State::Built });
        let settings = Settings { max_builds, max_runs, ..Settings::default() };
        let images = problem.images_of();
        let posterior = Posterior::new(&problem.evidence(&images), &settings.model);
        Scarce::of(&problem, &settings, &posterior)
    }

    #[test]
    fn a_budget_of_many_times_the_need_steers_nothing() {
        assert_eq!(scarce(None, None, 1), Scarce::default());
        assert_eq!(scarce(Some(100), Some(1000), 2), Scarce::default());
        assert_eq!(scarce(Some(12), Some(1000), 2), Scarce { builds: true, runs: false });
        assert_eq!(scarce(Some(100), Some(12), 2), Scarce { builds: false, runs: true });
        // Sixteen machines would use up a hundred runs in six rounds.
        assert!(!scarce(None, Some(100), 2).runs && scarce(None, Some(100), 16).runs);
    }

    #[test]
    fn a_run_tells_less_the_rarer_the_crash() {
        assert!((told_by_a_run(1.0) - 1.0).abs() < 1e-9);
        assert!(told_by_a_run(0.1) < 0.07 && told_by_a_run(0.1) > 0.03, "{}", told_by_a_run(0.1));
    }
}
