//! What the user allows to be spent.

use std::time::{Duration, Instant};

use super::setup::Bisection;

const NO_TIME: &str = "the budget of time is used up";

impl Bisection {
    /// Runs that the user's budget still allows.
    pub(super) fn runs_left(&self) -> u32 {
        let most = self.header.limits.max_runs.unwrap_or(u32::MAX);
        most.saturating_sub(self.knowledge.spent.runs)
    }

    /// Seconds spent so far, before a stop and after it.
    pub(super) fn elapsed(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Whether the time that the user gave is over in so many seconds.
    pub(super) fn is_late_in(&self, seconds: f64) -> bool {
        self.header.limits.budget_seconds.is_some_and(|budget| self.elapsed() + seconds > budget)
    }

    /// Seconds until the time that the user gave is over; nothing where it never is.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        self.header.limits.budget_seconds.map(|budget| (budget - self.elapsed()).max(0.0))
    }

    /// When no further run is begun, since the time that the user gave is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let left = Duration::try_from_secs_f64(self.seconds_left()?).ok()?;
        Instant::now().checked_add(left)
    }

    /// Why a build, or so many runs, would go beyond what the user allows; nothing when they don't.
    pub(super) fn forbidden(&self, build: bool, runs: u32) -> Option<&'static str> {
        let limits = &self.header.limits;
        let seconds = self.knowledge.costs().seconds(build, runs, limits.machines as u32);
        // Those under way will have been spent, too.
        let builds = self.knowledge.spent.builds + self.workshop.flying().len() as u32;
        if build && limits.max_builds.is_some_and(|most| builds >= most) {
            return Some("the budget of builds is used up");
        }
        if self.runs_left() == 0 {
            return Some("the budget of runs is used up");
        }
        self.is_late_in(seconds).then_some(NO_TIME)
    }
}
