//! What the user allows to be spent.

use std::pin::pin;
use std::time::{Duration, Instant};

use super::error::BisectError;
use super::setup::Bisection;
use super::titled::untitled;
use super::workshop::Stages;
use crate::plan::{BAD_END_RUNS, Place};
use crate::verdict::{MoreRuns, Verdict};

/// Awaits `work` until a deadline, and drops it then; unless `is_kept` says that it is nearly through.
///
/// # Errors
/// [`BisectError::Late`] when it was dropped.
pub(super) async fn in_time<T>(
    deadline: Option<Instant>,
    is_kept: impl FnOnce() -> bool,
    work: impl Future<Output = Result<T, BisectError>>,
) -> Result<T, BisectError> {
    let Some(deadline) = deadline else { return work.await };
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep_until(deadline.into()) => {}
    }
    if is_kept() { work.await } else { Err(BisectError::Late) }
}

pub(super) const NO_TIME: &str = "the budget of time is used up";
const NO_BUILDS: &str = "the budget of builds is used up";

/// Awaits the build of a commit until a deadline, and drops it then, unless it is being stored.
///
/// # Errors
/// [`BisectError::Late`] when it was dropped.
pub(crate) async fn build_in_time<T>(
    deadline: Option<Instant>,
    stages: &Stages,
    commit: &str,
    build: impl Future<Output = Result<T, BisectError>>,
) -> Result<T, BisectError> {
    // That an earlier build of it was stored says nothing of this one.
    stages.forget(commit);
    in_time(deadline, || stages.is_kept(commit), build).await
}

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

    /// The end of a bisection whose bad end is not built, and may not be compiled.
    pub(super) async fn beyond_budget(&self) -> Result<Option<Verdict>, BisectError> {
        let (bad_end, most) = (self.bad_end(), self.header.limits.max_builds);
        let is_used_up = most.is_some_and(|most| self.knowledge.spent.builds >= most);
        if !is_used_up
            || self.knowledge.build(bad_end).is_some()
            || self.builder.is_answered(&self.request(bad_end)).await?
        {
            return Ok(None);
        }
        Ok(Some(self.without_bad_end(NO_BUILDS)))
    }

    /// The end of a bisection whose bad end is not built.
    pub(super) fn without_bad_end(&self, used_up: &str) -> Verdict {
        let bad_end = self.bad_end();
        let machines = self.header.limits.machines as u32;
        let more = MoreRuns {
            commit: self.commit(bad_end),
            runs: BAD_END_RUNS,
            build: true,
            bits: 0.0,
            seconds: self.knowledge.costs().seconds(true, BAD_END_RUNS, machines),
        };
        let why = format!("{used_up}; next: the bad end, of which the store has no build");
        untitled(why, Some(more))
    }

    /// When the build of a place is given up; never where it is known, and one is enough: what is built
    /// after the search was told to end belongs to its end.
    pub(super) fn build_deadline(&self, place: Place) -> Option<Instant> {
        let is_free = self.overdue || self.knowledge.build(place).is_some();
        if is_free { None } else { self.deadline() }
    }

    /// Why a build, or so many runs, would go beyond what the user allows; nothing when they don't.
    pub(super) fn forbidden(&self, build: bool, runs: u32) -> Option<&'static str> {
        let limits = &self.header.limits;
        let seconds = self.knowledge.costs().seconds(build, runs, limits.machines as u32);
        // Those under way will have been spent, too.
        let builds = self.knowledge.spent.builds + self.workshop.flying().len() as u32;
        if build && limits.max_builds.is_some_and(|most| builds >= most) {
            return Some(NO_BUILDS);
        }
        if self.runs_left() == 0 {
            return Some("the budget of runs is used up");
        }
        self.is_late_in(seconds).then_some(NO_TIME)
    }
}
