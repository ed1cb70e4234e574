//! What the search of a range takes, roughly: enough to weigh a jump against a search.

use super::problem::Problem;

/// Builds for each bit of the range: where crashes are rare, a revision tells less than a bit.
const BUILDS: f64 = 1.2;
/// Runs for each bit of the range, by the rate of crashing: of the design's reference bisections of
/// 6,693 commits (12.7 bits), those with rates of .5, .2, .1 and .05 made 70, 174, 348 and 681 runs.
const RUNS: f64 = 2.75;
/// Runs, by the rate, after which a good end that crashes has shown it twice.
const SHOWN: f64 = 2.0;

/// What is known of builds, runs and the bug.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    /// Seconds of a build.
    pub(super) build: f64,
    /// Seconds of a run, of all machines together.
    pub(super) run: f64,
    /// How often a bad kernel crashes.
    pub(super) rate: f64,
}

impl Prices {
    pub(super) fn of(problem: &Problem, rate: f64) -> Self {
        let machines = f64::from(problem.machines.max(1));
        Self {
            build: problem.costs.build_seconds,
            run: problem.costs.run_seconds / machines,
            rate: rate.max(1e-3),
        }
    }

    /// Seconds to find the commit among so many.
    pub(super) fn search(&self, commits: u32) -> f64 {
        bits(commits) * (BUILDS * self.build + RUNS * self.run / self.rate)
    }

    /// Seconds that a search of so many commits loses when its good end is bad, which was left with a
    /// probability of `doubt`: each revision that crashes doubles the odds, until the good end is run.
    pub(super) fn misled(&self, commits: u32, doubt: f64) -> f64 {
        let steps = bits(commits).min((1.0 / doubt.clamp(1e-9, 1.0)).log2());
        steps * (self.build + self.run / self.rate) + SHOWN * self.run / self.rate
    }
}

fn bits(commits: u32) -> f64 {
    f64::from(commits.max(1)).log2()
}
