//! What to run next, and what it costs.

use serde::Serialize;

use crate::log::import::Imported;

use super::weigh::Weighed;

/// Chance of missing the bug that a test is to leave, as in a bisection's confirmation.
const MISSED: f64 = 0.05;
/// Most runs that one piece of advice asks for.
const MOST_RUNS: f64 = 400.0;
/// Probability from which a revision's state counts as known.
const SURE: f64 = 0.95;

/// What one build and one run took in a log, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// A build.
    pub build_seconds: f64,
    /// A run; syzkaller runs several side by side, so this is its share of the time.
    pub run_seconds: f64,
}

impl Prices {
    /// The log's means; those of design section 7's reference where the log states no times.
    pub(super) fn of(log: &Imported) -> Self {
        let builds = log.tests.iter().filter(|test| !test.commit.is_empty()).count();
        let runs: u32 = log.tests.iter().map(|test| test.counts.total()).sum();
        let mean = |sum: f64, n: f64, default: f64| {
            if sum > 0.0 && n > 0.0 { sum / n } else { default }
        };
        let totals = log.totals.unwrap_or_default();
        Self {
            build_seconds: mean(totals.build_seconds, builds as f64, 600.0),
            run_seconds: mean(totals.test_seconds, f64::from(runs), 120.0),
        }
    }
}

/// The next test.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Next {
    /// Run a kernel again that was built already.
    RunAgain {
        /// Its commit.
        commit: String,
        /// How often: enough to miss the bug in at most 5 % of cases.
        runs: u32,
        /// Seconds, if the kernel was kept.
        seconds: f64,
        /// Seconds of building it, if it was not.
        rebuild_seconds: f64,
    },
    /// The runs themselves say that a verdict was wrong: bisect what it ruled out.
    Bisect {
        /// The end without the crash; none where it has to be looked for.
        good: Option<String>,
        /// The end with the crash.
        bad: String,
        /// Commits between them, about.
        revisions: u64,
        /// Builds that takes.
        builds: u32,
        /// Runs that takes.
        runs: u32,
        /// Seconds.
        seconds: f64,
    },
    /// The runs support the answer: check it by taking the commit out of the start.
    Revert {
        /// The commit to revert.
        commit: String,
        /// Runs of the start without it.
        runs: u32,
        /// Seconds, the build included.
        seconds: f64,
    },
}

/// Where an audit looks.
pub(super) struct Doubt<'a> {
    pub(super) log: &'a Imported,
    pub(super) order: &'a [usize],
    pub(super) sizes: &'a [f64],
    pub(super) weighed: &'a Weighed,
    /// Place of the most probable culprit, if it is not where the answer is.
    pub(super) place: usize,
    /// Index in `order` of the verdict that is in doubt.
    pub(super) at: usize,
}

/// Runs that miss a bug of this rate in at most 5 % of cases: `ln(1/0.05)/rate`.
fn runs_for(rate: f64) -> u32 {
    ((1.0 / MISSED).ln() / rate.max(1e-3)).ceil().clamp(2.0, MOST_RUNS) as u32
}

/// Settles a doubtful verdict.
pub(super) fn settle(doubt: &Doubt<'_>, prices: &Prices) -> Next {
    let Doubt { log, order, sizes, weighed, place, at } = doubt;
    let runs = runs_for(weighed.rate.mean);
    let commit = |at: usize| log.tests[order[at]].commit.clone();
    let bad = weighed.bad[*at];
    let called_bad = log.tests[order[*at]].mark == Some(crate::log::import::Mark::Bad);
    // Only when the runs have decided against the verdict is there nothing to learn from more.
    let decided = if called_bad { bad <= 1.0 - SURE } else { bad >= SURE };
    if !decided {
        return Next::RunAgain {
            commit: commit(*at),
            runs,
            seconds: f64::from(runs) * prices.run_seconds,
            rebuild_seconds: prices.build_seconds,
        };
    }
    let revisions = if *place == 0 { sizes.iter().sum() } else { sizes[*place] };
    let builds = revisions.max(1.0).log2().ceil().max(1.0);
    let all = builds * f64::from(runs);
    Next::Bisect {
        good: place.checked_sub(1).map(commit),
        bad: commit(*place),
        revisions: revisions as u64,
        builds: builds as u32,
        runs: all as u32,
        seconds: builds * prices.build_seconds + all * prices.run_seconds,
    }
}

/// Checks an answer that the runs support.
pub(super) fn revert(commit: &str, weighed: &Weighed, prices: &Prices) -> Next {
    let runs = runs_for(weighed.rate.mean);
    Next::Revert {
        commit: commit.to_owned(),
        runs,
        seconds: prices.build_seconds + f64::from(runs) * prices.run_seconds,
    }
}
