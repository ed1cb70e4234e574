//! The decision: a pure function of the problem.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::belief::{Counts, Find, Posterior, RateGrid};

use super::choose::{Choice, Search, Which};
use super::confirm::{self, Missing, clean_runs};
use super::problem::{Place, Problem, ProblemError, State};
use super::renamed::{Renamed, renamed};
use super::scarce::Scarce;
use super::settings::Settings;
use super::spans::{indistinguishable, testable};
use super::verdict::{More, Verdict};

/// Below this chance of building, trying is not worth a build.
const HOPELESS: f64 = 0.03;
/// Bits for a run's time below which no test is worth making.
const NOTHING_TO_LEARN: f64 = 1e-4;
/// Probability that the target does not show on the bad end, from which a single crash of it is
/// taken for chance and asked to come again.
const CHANCE: f64 = 0.02;
/// A test of what is built is not worth making when the budget forbids one this many times better.
const FORBIDDEN_BETTER: f64 = 10.0;
/// Runs of the bad end that are asked for at a time.
pub(crate) const BAD_END_RUNS: u32 = 20;

/// So many commits of a row that can't be told apart are tried in vain, before most of them must be untried
/// for another to be tried: in real histories neighbours may fail for reasons of their own.
const FAILED_BETWEEN: usize = 5;

/// Commits of this share of another's probability are as probable, but for rounding.
const EQUAL: f64 = 0.999;

/// What is said of runs that no commit explains.
const CONTRADICTION: &str = "the runs speak against every commit: a bug that was reverted and \
                             came back, two bugs of one title, or builds taken for equal that \
                             are not";

/// What to do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Build if needed, and run.
    Test(Test),
    /// The answer, or why there is none.
    Stop(Verdict),
}

/// A revision to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Which revision.
    pub revision: Place,
    /// Runs, at most: decide again as soon as one shows the target. At least one.
    pub runs: u32,
    /// Whether it must be built first. If not and it is not built itself, a twin's build serves.
    pub build: bool,
    /// Why, for people.
    pub why: String,
    /// Information expected, in bits; zero for a confirmation.
    pub expected_gain: f64,
    /// Seconds expected, the build included.
    pub expected_seconds: f64,
}

/// Decides the next step.
///
/// Depends on nothing but its arguments, so a bisection whose evidence is already there ends at
/// once, and a stopped one stops again with the same verdict.
///
/// # Errors
/// When the problem contradicts itself: lengths, image numbers, costs.
pub fn decide(problem: &Problem, settings: &Settings) -> Result<Decision, ProblemError> {
    searching(problem, settings, |search| Steps { search }.next())
}

/// What is to be done before it is known that the bad end shows the target; nothing once it is.
pub(crate) fn bad_end_first(
    problem: &Problem,
    settings: &Settings,
) -> Result<Option<Decision>, ProblemError> {
    searching(problem, settings, |search| Steps { search }.bad_end())
}

/// What `ask` answers when it may search for tests of a problem.
pub(super) fn searching<T>(
    problem: &Problem,
    settings: &Settings,
    ask: impl FnOnce(&Search<'_>) -> T,
) -> Result<T, ProblemError> {
    problem.check()?;
    let images = problem.images_of();
    let grid = RateGrid::new(&settings.model);
    let evidence = problem.evidence(&images);
    let posterior = Posterior::with_grid(&evidence, &settings.model, &grid);
    let mut built = vec![false; problem.images.len()];
    for status in problem.revisions.iter().chain([&problem.base]).chain(&problem.forks) {
        if let (State::Built, Some(image)) = (status.state, status.image) {
            built[image as usize] = true;
        }
    }
    let chances = testable(problem, settings);
    Ok(ask(&Search {
        problem,
        settings,
        grid: &grid,
        posterior: &posterior,
        testable: &chances,
        built: &built,
        scarce: Scarce::of(problem, settings, &posterior),
    }))
}

/// What to do next, by what a search finds.
pub(super) struct Steps<'a> {
    pub(super) search: &'a Search<'a>,
}

impl Steps<'_> {
    pub(super) fn next(&self) -> Decision {
        if let Some(decision) = self.bad_end().or_else(|| self.good_end()) {
            return decision;
        }
        let Search { problem, settings, posterior, .. } = self.search;
        let (top, probability) = posterior.top();
        let group = indistinguishable(problem, self.search.testable, HOPELESS);
        let same: Vec<u32> =
            (0..group.len() as u32).filter(|c| group[*c as usize] == group[top as usize]).collect();
        let mass: f64 = same.iter().map(|c| posterior.commits[*c as usize]).sum();
        let unsure = same.len() > 1 && mass >= settings.threshold;
        // Blame says where to look first. Where no run can speak against it, it must not decide.
        if unsure && same.iter().any(|commit| problem.blamed.contains(commit)) {
            let unblamed = Problem { blamed: Vec::new(), ..(*problem).clone() };
            if let Ok(decision) = decide(&unblamed, settings) {
                return decision;
            }
        }
        if probability >= settings.threshold {
            return self.name(top, probability);
        }
        if unsure {
            return self.tried_between(&same).unwrap_or_else(|| self.alike(&same));
        }
        match self.search.best(Which::Allowed) {
            Some(choice) if self.worthwhile(&choice) => {
                // Without builds left, or time for one, what is built can be run on and tell nothing new.
                let may_all = self.search.may_build() && problem.seconds_left.is_none();
                let forbidden = if may_all { None } else { self.search.best(Which::Any) };
                match forbidden {
                    Some(better)
                        if better.prospect.value()
                            > self.bearable(&choice) * choice.prospect.value() =>
                    {
                        self.nothing_left()
                    }
                    _ => self.narrow(&choice),
                }
            }
            _ => self.nothing_left(),
        }
    }

    /// How many times better a test may be that the budget forbids. What is settled is not run on while
    /// any other would tell more: the answer would not change.
    fn bearable(&self, choice: &Choice) -> f64 {
        let settings = self.search.settings;
        let bad = self.search.bad(choice.place);
        let settled = bad.max(1.0 - bad) >= settings.credible;
        if settled { 1.0 } else { FORBIDDEN_BETTER }
    }

    /// First the bad end must be known to show the target.
    fn bad_end(&self) -> Option<Decision> {
        let Search { problem, settings, posterior, .. } = self.search;
        let place = problem.bad_end();
        let counts = problem.counts(place);
        // One crash is enough to begin with, while all else agrees with it.
        let agreed = counts.crashes > 0 && posterior.not_reproducible < CHANCE;
        if counts.crashes >= settings.crashes || agreed {
            return None;
        }
        // What others show says that there is a bug, not that it shows here.
        let worth = posterior.worth(settings.least_rate, &self.search.grid.shows(&counts));
        let works = self.search.works(place) > 0.0;
        if !works && counts.censored == 0 {
            let why = "the bad end does not build, boot, or reach the test".to_owned();
            return Some(self.inconclusive(why, None));
        }
        // Where it ran in vain, another crash always comes first, or it is another crash that the
        // user means.
        if !works || worth < 1.0 - settings.credible {
            return Some(Decision::Stop(Verdict::NotReproduced {
                crashes: counts.crashes,
                clean: counts.clean,
                censored: counts.censored,
                missed: worth,
            }));
        }
        let why = match counts.crashes {
            0 => "shows whether the bad end crashes as claimed, and how often".to_owned(),
            n => format!("one crash could be chance: the bad end has shown the target {n} time(s)"),
        };
        Some(self.ask(place, BAD_END_RUNS.max(problem.machines), why))
    }

    /// A good end that is bad ends the search; with the setting it is tested first.
    fn good_end(&self) -> Option<Decision> {
        let Search { problem, settings, posterior, .. } = self.search;
        let place = problem.good_end();
        let counts = problem.counts(place);
        let usable = self.search.works(place) > 0.0;
        if posterior.older >= settings.threshold {
            if counts.crashes >= settings.crashes {
                return Some(Decision::Stop(Verdict::OlderThanGood {
                    probability: posterior.older,
                    crashes: counts.crashes,
                    clean: counts.clean,
                }));
            }
            if usable && self.search.hides(place, None) {
                let why = "the good end looks bad, but never shows the target itself".to_owned();
                return Some(self.inconclusive(why, None));
            }
            if usable {
                let runs = clean_runs(posterior.rate.mean, settings.parent_doubt);
                let why = format!(
                    "the good end is probably bad ({:.2}): it must show the target itself",
                    posterior.older
                );
                return Some(self.ask(place, runs, why));
            }
            let why = "the good end looks bad, but can't be tested".to_owned();
            return Some(self.inconclusive(why, None));
        }
        let needed = clean_runs(posterior.rate.mean, settings.parent_doubt);
        if settings.good_end_first && usable && counts.crashes == 0 && counts.clean < needed {
            let why = "checks that the good end is good".to_owned();
            return Some(self.ask(place, needed - counts.clean, why));
        }
        None
    }

    /// Names a culprit, or asks for what is missing to do so.
    fn name(&self, culprit: u32, probability: f64) -> Decision {
        let Search { problem, posterior, .. } = self.search;
        let (parents, missing) = confirm::check(self.search, culprit);
        let own = Place::Commit(culprit);
        match missing.first() {
            Some(Missing::Own) => self.inconclusive(
                format!("the most probable {}'s own revision can't be tested", self.sought()),
                None,
            ),
            Some(Missing::Crashes(place, crashes)) => {
                let whose = match *place == own {
                    true => "its own revision",
                    false => "its parent",
                };
                if self.search.hides(*place, Some(culprit)) {
                    let Counts { crashes, clean, .. } = problem.counts(*place);
                    let why = format!(
                        "the most probable {} can't be confirmed: {whose} shows the target in \
                         {crashes} of {} runs",
                        self.sought(),
                        crashes + clean
                    );
                    return self.inconclusive(why, None);
                }
                let why = format!(
                    "confirms the {} ({probability:.2}): {whose} has shown the target {crashes} \
                     time(s)",
                    self.sought()
                );
                self.ask(*place, clean_runs(posterior.rate.mean, 0.05), why)
            }
            Some(Missing::Clean(place, runs)) => {
                let why = match place {
                    Place::Base => "confirms that the good end, its parent, is good",
                    Place::Fork(_) => {
                        "shows whether the bug was there before the culprit's branch forked off"
                    }
                    Place::Commit(commit) if *commit == culprit => "confirms that the fix is good",
                    Place::Commit(_) => "confirms that the culprit's parent is good",
                };
                self.ask(*place, *runs, why.to_owned())
            }
            // Confirmed or not: an explanation that the runs speak against is no answer.
            None if posterior.contradiction => {
                self.inconclusive("no commit can be named".to_owned(), None)
            }
            None => match renamed(self.search, culprit) {
                Renamed::No => Decision::Stop(Verdict::Culprit {
                    commit: culprit,
                    probability,
                    parents,
                    crashes: problem.counts(own).crashes,
                    rate: posterior.rate,
                }),
                Renamed::Unclear(place, runs) => self.ask(
                    place,
                    runs,
                    "shows whether another crash of its neighbours is another bug".to_owned(),
                ),
                Renamed::Maybe(titles) => self.inconclusive(self.other_names(&titles), None),
            },
        }
    }

    fn other_names(&self, titles: &BTreeMap<String, u32>) -> String {
        let titles: Vec<String> =
            titles.iter().map(|(title, n)| format!("{n} x {title}")).collect();
        let whose = match self.search.problem.find {
            Find::Cause => "culprit's parent",
            Find::Fix => "fix itself",
        };
        format!(
            "the most probable {whose} crashes as often, under titles that may be the same bug: {} \
             (--title can match several titles)",
            titles.join(", ")
        )
    }

    /// What the commit that is sought is called.
    fn sought(&self) -> &'static str {
        match self.search.problem.find {
            Find::Cause => "culprit",
            Find::Fix => "fix",
        }
    }

    fn narrow(&self, choice: &Choice) -> Decision {
        let Choice { place, prospect, seconds, build } = choice;
        let posterior = self.search.posterior;
        let why = match place {
            place if *place == self.search.problem.bad_end() => {
                "shows better how often the bad end crashes".to_owned()
            }
            place if *place == self.search.problem.good_end() => {
                format!("checks the good end: it is bad with probability {:.2}", posterior.older)
            }
            Place::Base | Place::Fork(_) => "checks the older end".to_owned(),
            Place::Commit(commit) => {
                let mass = match self.search.problem.find {
                    Find::Cause => posterior.bad[*commit as usize],
                    Find::Fix => 1.0 - posterior.bad[*commit as usize],
                };
                match build {
                    true => format!(
                        "splits the suspicion: {:.0} % at or before this commit{}",
                        100.0 * mass,
                        self.told_seconds(*place)
                    ),
                    false => {
                        let bad = posterior.bad[*commit as usize];
                        format!("needs no build: makes surer whether it is bad (now {bad:.3})")
                    }
                }
            }
        };
        Decision::Test(Test {
            revision: *place,
            runs: prospect.runs,
            build: *build,
            why,
            expected_gain: prospect.bits,
            expected_seconds: *seconds,
        })
    }

    /// What the build of a revision is expected to take, where builds differ in that: it explains why
    /// another revision than the middle one is built.
    fn told_seconds(&self, place: Place) -> String {
        let problem = self.search.problem;
        match problem.builds.is_empty() || problem.build_under_way(place).is_some() {
            true => String::new(),
            false => format!("; some {:.0} s to build", problem.build_seconds(place).max(1.0)),
        }
    }

    /// A test that the rules ask for, if the budget has it.
    fn ask(&self, place: Place, runs: u32, why: String) -> Decision {
        let problem = self.search.problem;
        let build = self.search.needs_build(place);
        let in_time = match problem.spent.runs {
            // Nobody knows what a run takes before there was one.
            0 if problem.seconds_left.is_none_or(|left| left > 0.0) => {
                self.search.runs_in_time(place).max(problem.machines.max(1))
            }
            _ => self.search.runs_in_time(place),
        };
        let allowed = runs.max(1).min(self.search.runs_left()).min(in_time);
        let seconds = |runs: u32| {
            self.search.build_seconds(place) + problem.costs.seconds(false, runs, problem.machines)
        };
        if allowed == 0 || !self.search.may_get(place) {
            let runs = runs.max(1);
            let more = More { revision: place, runs, build, bits: 0.0, seconds: seconds(runs) };
            let used_up = self.used_up(in_time == 0);
            return self.inconclusive(format!("{used_up}; next: {why}"), Some(more));
        }
        Decision::Test(Test {
            revision: place,
            runs: allowed,
            build,
            why,
            expected_gain: 0.0,
            expected_seconds: seconds(allowed),
        })
    }

    /// Tries a commit among those that can't be told apart, if it lies between two that failed and was only
    /// given up for that: nobody may know that none of them works without having tried. After
    /// [`FAILED_BETWEEN`] failures one is tried only if most of them are untried in a row.
    fn tried_between(&self, same: &[u32]) -> Option<Decision> {
        let problem = self.search.problem;
        let longest = self.longest_untried(same)?;
        let failed = same.iter().filter(|commit| {
            matches!(problem.revisions[**commit as usize].state, State::Broken | State::Untestable)
        });
        if failed.count() >= FAILED_BETWEEN && 2 * longest.len() < same.len() {
            return None;
        }
        let why = match longest.len() {
            1 => "lies between others that don't build or boot: shows whether it does".to_owned(),
            n => format!(
                "{n} commits lie between others that don't build or boot: shows whether they all do so"
            ),
        };
        Some(self.ask(middle(longest), self.silent_runs(), why))
            .filter(|it| matches!(it, Decision::Test(_)))
    }

    /// Of commits that can't be told apart the longest row that was not tried.
    fn longest_untried<'b>(&self, same: &'b [u32]) -> Option<&'b [u32]> {
        let problem = self.search.problem;
        let untried = |commit: &u32| problem.revisions[*commit as usize].state == State::Unknown;
        let stretches = same.chunk_by(|one, other| untried(one) && untried(other));
        stretches.filter(|them| untried(&them[0])).max_by_key(|them| them.len())
    }

    /// Runs that a bad revision hardly passes without a crash.
    fn silent_runs(&self) -> u32 {
        clean_runs(self.search.posterior.rate.mean, self.search.settings.parent_doubt)
    }

    /// Ends with commits that can't be told apart. Of equally probable ones all remain possible.
    fn alike(&self, same: &[u32]) -> Decision {
        let Search { problem, posterior, .. } = self.search;
        let more = self.longest_untried(same).map(|untried| {
            let (revision, runs) = (middle(untried), self.silent_runs());
            let seconds = self.search.build_seconds(revision)
                + problem.costs.seconds(false, runs, problem.machines);
            More { revision, runs, build: self.search.needs_build(revision), bits: 0.0, seconds }
        });
        let mut decision = self.inconclusive(alike(problem, same), more);
        if let Decision::Stop(Verdict::Inconclusive { set, .. }) = &mut decision {
            let least = set.commits.iter().map(|(_, p)| *p).fold(1.0, f64::min);
            let each = same.iter().map(|commit| (*commit, posterior.commits[*commit as usize]));
            set.add(each.filter(|(_, p)| *p >= EQUAL * least));
        }
        decision
    }

    fn worthwhile(&self, choice: &Choice) -> bool {
        choice.prospect.value() * self.search.problem.costs.run_seconds >= NOTHING_TO_LEARN
    }

    fn nothing_left(&self) -> Decision {
        let more = self.search.best(Which::Any).filter(|c| self.worthwhile(c));
        let why = match &more {
            Some(choice) => {
                self.used_up(self.search.runs_in_time(choice.place) < choice.prospect.runs)
            }
            None => "no revision that can be built and run would tell more",
        };
        let more = more.map(|c| More {
            revision: c.place,
            runs: c.prospect.runs,
            build: c.build,
            bits: c.prospect.bits,
            seconds: c.seconds,
        });
        self.inconclusive(why.to_owned(), more)
    }

    /// Which budget has no room for a test.
    fn used_up(&self, late: bool) -> &'static str {
        match (late, self.search.runs_left()) {
            (true, _) => "the budget of time is used up",
            (false, 0) => "the budget of runs is used up",
            (false, _) => "the budget of builds is used up",
        }
    }

    fn inconclusive(&self, why: String, more: Option<More>) -> Decision {
        let posterior = self.search.posterior;
        let why = match posterior.contradiction {
            true => format!("{why}; {CONTRADICTION}"),
            false => why,
        };
        Decision::Stop(Verdict::Inconclusive {
            why,
            set: posterior.credible(self.search.settings.credible),
            more,
            contradiction: posterior.contradiction,
        })
    }
}

/// The middle of a row of commits.
fn middle(commits: &[u32]) -> Place {
    Place::Commit(commits[commits.len() / 2])
}

/// Why commits of a group can't be told apart, of which the last is one that works.
fn alike(problem: &Problem, same: &[u32]) -> String {
    let [before @ .., _] = same else { return String::new() };
    let is_line = same.windows(2).all(|two| problem.graph.parents(two[1]) == [two[0]]);
    let states = || before.iter().map(|commit| problem.revisions[*commit as usize].state);
    let count = |is: fn(&State) -> bool| states().filter(is).count();
    let broken = count(|state| matches!(state, State::Broken | State::Untestable));
    let unclear = count(|state| *state == State::Unclear);
    let others = before.len() - broken - unclear;
    let of_unclear = match problem.find {
        Find::Cause => "had the bug before their branch forked off",
        Find::Fix => "are not known to have had the bug",
    };
    let between = match others {
        1 => "lies between such as don't, and was not tried",
        _ => "lie between such as don't, and were not tried",
    };
    let kinds = [(broken, "don't build or boot"), (unclear, of_unclear), (others, between)];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| match *n == before.len() {
            true => format!("all but the last {what}"),
            false => format!("{n} {what}"),
        })
        .collect();
    let row = if is_line { " in a row" } else { "" };
    format!("{} commits{row} can't be told apart: {}", same.len(), told.join(", "))
}
