//! What is probably left to do, and what the budgets leave of that.

use super::setup::Bisection;
use crate::picture::{Forecast, Left, Picture};
use crate::plan::Test;

impl Bisection {
    /// What is expected from the last decision on. Nothing before a test that is to tell something of the
    /// commit: it is not yet known how often a bad revision crashes, or the answer is being confirmed.
    pub(super) fn forecast(&self, picture: &Picture, test: &Test) -> Option<Forecast> {
        let (problem, _) = self.decided.as_ref().filter(|_| test.expected_gain > 0.0)?;
        let limits = &self.header.limits;
        let builds = limits.max_builds.map(|most| most.saturating_sub(problem.spent.builds));
        let runs = limits.max_runs.map(|_| self.runs_left());
        let left = Left { builds, runs, seconds: self.seconds_left() };
        Some(Forecast::of(picture, problem, left))
    }
}
