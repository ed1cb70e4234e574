//! The decision: a pure function of the problem.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::belief::{Belief, quiet};
use super::cost::Prices;
use super::problem::Problem;
use super::works::works;
use crate::belief::{Counts, Model, RateGrid};
use crate::plan::{Settings, clean_runs, ladder};

/// Probability from which on a release that has crashed is taken for bad.
const CERTAIN: f64 = 0.98;
/// Builds that are lost when the nearest release fails, before an older one works or nobody goes on;
/// and when all are bad, so that somebody has to look for a good end by hand.
const STRANDED: f64 = 10.0;
/// Most runs of a release at a time.
const MOST_RUNS: u32 = 400;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Build a release if needed, and run it.
    Test(Test),
    /// Search commit by commit, after this release.
    Search(Range),
    /// Every release that can be tested is bad.
    Oldest {
        /// The oldest of them.
        release: usize,
        /// Probability that it is bad.
        probability: f64,
        /// Target crashes of it.
        crashes: u32,
        /// Clean runs of it.
        clean: u32,
    },
    /// No release can be tested.
    NoneWorks,
    /// The budget does not hold the next test.
    Spent {
        /// Which budget.
        why: String,
        /// The test.
        next: Test,
    },
}

/// A release to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Which, by its place in [`Problem::releases`].
    pub release: usize,
    /// Runs, at most: decide again as soon as one shows the target. At least one.
    pub runs: u32,
    /// Whether it must be built first.
    pub build: bool,
    /// Why, for people.
    pub why: String,
    /// Seconds expected, the build included.
    pub expected_seconds: f64,
}

/// Ends to search between.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The good end, by its place in [`Problem::releases`].
    pub good: usize,
    /// The bad end: the oldest release that is bad, or `None` for the bad end itself.
    pub bad: Option<usize>,
    /// Probability that the good end is bad, before the runs are counted that the search of the range
    /// counts itself: of both ends, and of the releases between them.
    pub older: f64,
}

/// One decision, with all that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walked {
    /// What was known.
    pub problem: Problem,
    /// Thresholds and budgets.
    pub settings: Settings,
    /// What was decided. There is no chance in it: equal knowledge gives equal decisions.
    pub decision: Decision,
    /// Seconds that the walk and the search after it are expected to take from here on.
    pub expected_seconds: f64,
}

/// Decides the next step of a walk. The bad end is known to show the target.
///
/// Weighs each release that may be good by what its test takes, and what follows: the walk further back
/// when it is bad, the search of the commits after it when it is good, the loss when it is bad and stays
/// clean, and another release when it does not build or boot.
pub fn decide(problem: &Problem, settings: &Settings) -> Walked {
    let walk = Walk::new(problem, settings);
    let (decision, expected_seconds) = walk.next();
    Walked { problem: problem.clone(), settings: *settings, decision, expected_seconds }
}

/// For each release the probability that it is bad.
pub fn bad(problem: &Problem, model: &Model) -> Vec<f64> {
    let belief = Belief::new(problem, model, &RateGrid::new(model), &[]);
    (0..problem.releases.len()).map(|at| belief.bad(at)).collect()
}

/// [`Range::older`].
pub(super) fn older(
    problem: &Problem,
    model: &Model,
    grid: &RateGrid,
    good: usize,
    bad: Option<usize>,
) -> f64 {
    let within = &problem.releases[bad.unwrap_or(0)..=good];
    let mut counted: Vec<u32> = within.iter().filter_map(|it| it.status.image).collect();
    if bad.is_none() {
        counted.extend(problem.bad_end);
    }
    let before = Belief::new(problem, model, grid, &counted);
    let all = bad.map_or(1.0, |bad| before.bad(bad)).max(f64::MIN_POSITIVE);
    (before.bad(good) / all).clamp(1e-3, 0.9)
}

struct Walk<'a> {
    problem: &'a Problem,
    settings: &'a Settings,
    grid: RateGrid,
    belief: Belief,
    prices: Prices,
    works: Vec<f64>,
    /// Numbers of runs to weigh, none first.
    runs: Vec<u32>,
    /// Chances that a bad release stays clean so long: of one that never ran, and of the others.
    never_run: Vec<f64>,
    has_run: HashMap<usize, Vec<f64>>,
}

/// A release to go on with.
#[derive(Clone, Copy, Debug)]
struct Choice {
    release: usize,
    runs: u32,
    /// Seconds until there is an answer.
    seconds: f64,
    /// Seconds of this test.
    test: f64,
}

impl<'a> Walk<'a> {
    fn new(problem: &'a Problem, settings: &'a Settings) -> Self {
        let grid = RateGrid::new(&settings.model);
        let belief = Belief::new(problem, &settings.model, &grid, &[]);
        let by_rate = belief.by_rate();
        let mut runs = vec![0];
        runs.extend(ladder(problem.machines.max(1), MOST_RUNS));
        let has_run = (0..problem.releases.len())
            .filter(|at| problem.counts(*at).informative() > 0)
            .map(|at| {
                let chances = quiet(&grid, &problem.counts(at), &belief.bad_by_rate(at), &runs);
                (at, chances)
            })
            .collect();
        Self {
            prices: Prices::of(problem, grid.summary(&by_rate).mean),
            works: works(problem, settings.patience),
            never_run: quiet(&grid, &Counts::default(), &by_rate, &runs),
            has_run,
            runs,
            belief,
            grid,
            problem,
            settings,
        }
    }

    fn next(&self) -> (Decision, f64) {
        let n = self.problem.releases.len();
        let shown = |at: &usize| {
            self.problem.counts(*at).crashes > 0
                && !self.problem.broken(*at, self.settings.patience)
        };
        let known = (0..n).rev().find(|at| shown(at) && self.belief.bad(*at) >= CERTAIN);
        let Some(best) = self.best(known, false) else {
            return match known {
                Some(oldest) => {
                    let decision = self.oldest(oldest);
                    let seconds = match &decision {
                        Decision::Test(test) => test.expected_seconds,
                        Decision::Spent { next, .. } => next.expected_seconds,
                        _ => 0.0,
                    };
                    (decision, seconds)
                }
                None => (Decision::NoneWorks, 0.0),
            };
        };
        if best.runs == 0 {
            let (model, good) = (&self.settings.model, best.release);
            let older = older(self.problem, model, &self.grid, good, known);
            let range = Range { good: best.release, bad: known, older };
            return (Decision::Search(range), best.seconds);
        }
        // Without builds left, what is built can still be run.
        if self.problem.needs_build(best.release) && !self.may_build() {
            let decision = match self.best(known, true).filter(|built| built.runs > 0) {
                Some(built) => self.ask(&built),
                None => self.spent("the budget of builds is used up", &best),
            };
            return (decision, best.seconds);
        }
        (self.ask(&best), best.seconds)
    }

    /// The oldest release that can be tested is bad, if it has shown that clearly.
    fn oldest(&self, release: usize) -> Decision {
        let seen = self.problem.counts(release);
        if seen.crashes >= self.settings.crashes {
            return Decision::Oldest {
                release,
                probability: self.belief.bad(release),
                crashes: seen.crashes,
                clean: seen.clean,
            };
        }
        let runs = clean_runs(self.prices.rate, self.settings.parent_doubt);
        let test = f64::from(runs) * self.prices.run;
        self.ask(&Choice { release, runs, seconds: test, test })
    }

    fn may_build(&self) -> bool {
        self.settings.max_builds.is_none_or(|most| self.problem.spent.builds < most)
    }

    fn ask(&self, choice: &Choice) -> Decision {
        let left = self.settings.max_runs.unwrap_or(u32::MAX);
        match choice.runs.min(left.saturating_sub(self.problem.spent.runs)) {
            0 => self.spent("the budget of runs is used up", choice),
            runs => Decision::Test(Test { runs, ..self.test(choice) }),
        }
    }

    fn spent(&self, why: &str, choice: &Choice) -> Decision {
        Decision::Spent { why: why.to_owned(), next: self.test(choice) }
    }

    fn test(&self, choice: &Choice) -> Test {
        let Choice { release, runs, test, .. } = *choice;
        let (bad, seen) = (self.belief.bad(release), self.problem.counts(release));
        let why = match (seen.crashes, seen.clean) {
            (0, 0) => format!(
                "{} commits back: it is good with probability {:.2}",
                self.problem.releases[release].back,
                1.0 - bad
            ),
            (0, _) => format!("must stay clean longer: it is bad with probability {bad:.2}"),
            (times, _) => format!("has shown the target {times} time(s): once could be chance"),
        };
        let build = self.problem.needs_build(release);
        Test { release, runs, build, why, expected_seconds: test }
    }

    /// The release to go on with, when `known` is the oldest bad one; of those that are built only, if
    /// asked for. Works its way from the oldest on: what follows a bad release is known when it is
    /// weighed.
    fn best(&self, known: Option<usize>, built: bool) -> Option<Choice> {
        let n = self.problem.releases.len();
        let first = known.map_or(0, |known| known + 1);
        // Seconds from the moment when a release turned out to be bad. When no other is left there is
        // no good end, which is no answer.
        let mut after = vec![self.stranded(known); n];
        let mut best = None;
        for from in (first..=n).rev() {
            let newer = from.checked_sub(1).filter(|_| from > first).or(known);
            best = self.choose(from, newer, &after, built && from == first);
            if let (Some(choice), Some(bad)) = (best, newer)
                && from > first
            {
                after[bad] = choice.seconds;
            }
        }
        best
    }

    /// The best of the releases from `from` on, when `newer` is bad.
    fn choose(
        &self,
        from: usize,
        newer: Option<usize>,
        after: &[f64],
        built: bool,
    ) -> Option<Choice> {
        let all = newer.map_or(1.0, |newer| self.belief.bad(newer)).max(f64::MIN_POSITIVE);
        let mut best: Option<Choice> = None;
        // What is left when a release fails: those that are newer, since older ones hardly work then.
        let mut nearer = self.stranded(newer);
        for (release, after) in after.iter().enumerate().skip(from) {
            let works = self.works[release];
            let build = self.problem.needs_build(release);
            let broken = self.problem.broken(release, self.settings.patience);
            if works <= 0.0 || broken || (built && build) {
                continue;
            }
            let bad = (self.belief.bad(release) / all).min(1.0);
            let commits = self.problem.commits(release, newer);
            let (runs, testing, loss, quiet) = self.weigh(release, bad, commits);
            let then = (1.0 - bad) * self.prices.search(commits) + bad * after + bad * quiet * loss;
            let building = if build { self.prices.build } else { 0.0 };
            let test = testing + building;
            let seconds = works * (test + then) + (1.0 - works) * (building + nearer);
            nearer = nearer.min(seconds);
            if best.is_none_or(|best| seconds < best.seconds) {
                best = Some(Choice { release, runs, seconds, test });
            }
        }
        best
    }

    /// Seconds that are lost when no release before `newer` becomes the good end.
    fn stranded(&self, newer: Option<usize>) -> f64 {
        let farthest = self.problem.releases.len().checked_sub(1);
        let commits = farthest.map_or(1, |oldest| self.problem.commits(oldest, newer));
        STRANDED * self.prices.build + self.prices.search(commits)
    }

    /// How many runs of a release are best, what they take, what is lost if it is bad and stays clean,
    /// and the chance of that. A release that never ran is run at least once.
    fn weigh(&self, release: usize, bad: f64, commits: u32) -> (u32, f64, f64, f64) {
        let seen = self.has_run.get(&release);
        let chances = seen.unwrap_or(&self.never_run);
        let (mut seconds, mut before, mut done) = (0.0, 1.0, 0);
        let mut best = (0, 0.0, f64::INFINITY, 1.0);
        let mut least = f64::INFINITY;
        for (runs, quiet) in self.runs.iter().zip(chances) {
            let going = (1.0 - bad) + bad * (before + quiet) / 2.0;
            seconds += f64::from(runs - done) * self.prices.run * going;
            (before, done) = (*quiet, *runs);
            if *runs == 0 && seen.is_none() {
                continue;
            }
            let doubt = bad * quiet / (bad * quiet + 1.0 - bad).max(f64::MIN_POSITIVE);
            let loss = self.prices.misled(commits, doubt);
            if seconds + bad * quiet * loss < least {
                least = seconds + bad * quiet * loss;
                best = (*runs, seconds, loss, *quiet);
            }
        }
        best
    }
}
