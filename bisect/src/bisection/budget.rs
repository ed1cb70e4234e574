//! What the user allows to be spent.

use super::error::BisectError;
use super::setup::Bisection;
use super::verdict_of::verdict_of;
use crate::plan;
use crate::title::Target;
use crate::verdict::Verdict;

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

    /// The answer when another test would go beyond the time that the user gave.
    pub(super) async fn too_dear(
        &self,
        target: &Target,
        test: &plan::Test,
    ) -> Result<Option<Verdict>, BisectError> {
        if !self.is_late_in(test.expected_seconds) {
            return Ok(None);
        }
        let Some(belief) = self.belief().await? else { return Ok(None) };
        let answer = plan::Verdict::Inconclusive {
            why: NO_TIME.to_owned(),
            set: belief.set(),
            more: Some(plan::More {
                revision: test.revision,
                runs: test.runs,
                build: test.build,
                bits: test.expected_gain,
                seconds: test.expected_seconds,
            }),
            contradiction: belief.contradiction(),
        };
        Ok(Some(verdict_of(self, target, answer, Vec::new())))
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
