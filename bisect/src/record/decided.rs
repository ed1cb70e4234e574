//! Decisions, written down with all that they were made from, so that anybody can make them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use kiln_builder::TreeError;

use super::{Commit, Event, Record};
use crate::belief::{Counts, Find};
use crate::graph::{Graph, GraphError};
use crate::plan::{
    self, Beside, Building, Costs, Decision, Place, Problem, ProblemError, Settings, Spent, Status,
};
use crate::rows::Rows;
use crate::title::{self, Learning};
use crate::walk;

/// One decision. What it was made from is told as the change since the decision before it, or since
/// nothing was known: a long bisection changes little from one to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Starts from nothing: the first decision of a bisection, or the first after it went on.
    pub afresh: bool,
    /// Revisions of which something else is known now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<(Place, Status)>,
    /// Images of which something else is known now, by their number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<(u32, Known)>,
    /// Commits that change nothing that runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<u32>,
    /// Commits that change nothing which a build at hand reads, where they are others than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untouched: Option<Rows>,
    /// Commits that change files of the functions that crashed, where they are others than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blamed: Option<Rows>,
    /// Commits that failed to build and share the file that was named, where something else is known
    /// now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<(u32, Rows)>>,
    /// What builds and runs take in the mean.
    pub costs: Costs,
    /// What the builds of commits take, by seconds, where that is something else than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<Vec<(f64, Rows)>>,
    /// Machines side by side.
    pub machines: u32,
    /// Builds under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub building: Vec<Building>,
    /// What was paid so far.
    pub spent: Spent,
    /// Seconds until the time that the user gives is over, where there is such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// Thresholds and budgets, where they are others than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// What was decided. There is no chance in it: equal knowledge gives equal decisions.
    pub decision: Decision,
    /// What else was to be done beside it.
    #[serde(default, skip_serializing_if = "Beside::is_empty")]
    pub beside: Beside,
}

/// Runs of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Counted for and against the target.
    pub counts: Counts,
    /// Crashes under other titles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, u32>,
}

impl Known {
    fn of(problem: &Problem, image: u32) -> Self {
        Self {
            counts: problem.images.get(image as usize).copied().unwrap_or_default(),
            others: problem.others.get(image as usize).cloned().unwrap_or_default(),
        }
    }
}

fn places(problem: &Problem) -> impl Iterator<Item = Place> + use<> {
    let commits = (0..problem.revisions.len() as u32).map(Place::Commit);
    let forks = (0..problem.forks.len() as u32).map(Place::Fork);
    std::iter::once(Place::Base).chain(commits).chain(forks)
}

impl Decided {
    /// Writes down a decision, beside the one before it.
    pub(crate) fn since(
        before: Option<(&Problem, &Settings)>,
        problem: &Problem,
        settings: &Settings,
        (decision, beside): (Decision, Beside),
    ) -> Self {
        let nothing = Problem::new(Arc::clone(&problem.graph), problem.costs);
        let earlier = before.map_or(&nothing, |(problem, _)| problem);
        Self {
            afresh: before.is_none(),
            revisions: places(problem)
                .map(|place| (place, problem.status(place)))
                .filter(|(place, status)| earlier.status(*place) != *status)
                .collect(),
            images: (0..problem.images.len() as u32)
                .filter(|image| {
                    *image as usize >= earlier.images.len()
                        || Known::of(problem, *image) != Known::of(earlier, *image)
                })
                .map(|image| (image, Known::of(problem, image)))
                .collect(),
            unchanged: problem.unchanged.clone(),
            untouched: (problem.untouched != earlier.untouched)
                .then(|| Rows::of(problem.untouched.iter().copied())),
            blamed: (problem.blamed != earlier.blamed)
                .then(|| Rows::of(problem.blamed.iter().copied())),
            faults: (problem.faults != earlier.faults).then(|| {
                problem.faults.iter().map(|(commit, same)| (*commit, same.clone())).collect()
            }),
            costs: problem.costs,
            builds: (problem.builds != earlier.builds).then(|| by_seconds(&problem.builds)),
            machines: problem.machines,
            building: problem.building.clone(),
            spent: problem.spent,
            seconds_left: problem.seconds_left,
            settings: before.is_none_or(|(_, before)| before != settings).then_some(*settings),
            decision,
            beside,
        }
    }
}

/// Commits by what their builds take.
fn by_seconds(builds: &[f64]) -> Vec<(f64, Rows)> {
    let mut sorted: Vec<(u32, f64)> = (0..).zip(builds.iter().copied()).collect();
    sorted.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let alike = sorted.chunk_by(|(_, one), (_, other)| one == other);
    alike.map(|them| (them[0].1, Rows::of(them.iter().map(|(commit, _)| *commit)))).collect()
}

/// Why a record can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The repository has another history now than the bisection saw.
    #[error("the record speaks of commit {0}, which the range of {1} commits does not have")]
    Position(u32, usize),
    /// The same of a point where a branch forked off before the range.
    #[error("the record speaks of fork point {0}, which the range does not have")]
    Fork(u32),
    /// The record is cut, or from before decisions were written down.
    #[error("the record's first decision does not say what it was made from")]
    NoStart,
    /// What a decision was made from contradicts itself.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// The record names no commits to search.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The repository does not have the history any more.
    #[error("a replay needs the history that the bisection searched: {0}")]
    History(#[from] TreeError),
}

/// A decision of either kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Made {
    /// Which commit is next.
    Commit(Decision),
    /// Which release is next.
    Release(walk::Decision),
}

/// One decision, made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// As the record has it.
    pub then: Made,
    /// As the planner decides now.
    pub now: Made,
    /// What the record has beside it, and what the planner has now.
    pub beside: (Beside, Beside),
}

impl Replayed {
    /// Whether all is the same.
    pub fn is_same(&self) -> bool {
        self.decides_the_same() && self.does_the_same_beside()
    }

    /// Whether the decisions are the same. Numbers may differ in the last digits, which text does not
    /// keep.
    pub fn decides_the_same(&self) -> bool {
        same(&self.then, &self.now)
    }

    /// Whether what is done beside them is the same, in that sense.
    pub fn does_the_same_beside(&self) -> bool {
        same(&self.beside.0, &self.beside.1)
    }
}

fn same(then: &impl Serialize, now: &impl Serialize) -> bool {
    match (serde_json::to_value(then), serde_json::to_value(now)) {
        (Ok(then), Ok(now)) => alike(&then, &now),
        _ => false,
    }
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) => (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0),
            _ => x == y,
        },
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| alike(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| alike(x, y)))
        }
        _ => a == b,
    }
}

/// Makes a record's decisions again, from what it says they were made from.
pub struct Replay {
    problem: Problem,
    settings: Option<Settings>,
}

impl Replay {
    /// For a bisection of this range.
    pub fn new(graph: Graph, find: Find) -> Self {
        let mut problem = Problem::new(Arc::new(graph), Costs::default());
        problem.find = find;
        Self { problem, settings: None }
    }

    /// What was known when `decided` was decided; afterwards [`Self::problem`] has it.
    ///
    /// # Errors
    /// When the record does not fit the range.
    pub fn apply(&mut self, decided: &Decided) -> Result<&Problem, ReplayError> {
        let problem = &mut self.problem;
        if decided.afresh {
            let find = problem.find;
            *problem = Problem::new(Arc::clone(&problem.graph), decided.costs);
            problem.find = find;
        }
        let n = problem.revisions.len();
        for (place, status) in &decided.revisions {
            match place {
                Place::Base => problem.base = *status,
                Place::Commit(at) => match problem.revisions.get_mut(*at as usize) {
                    Some(slot) => *slot = *status,
                    None => return Err(ReplayError::Position(*at, n)),
                },
                Place::Fork(at) => match problem.forks.get_mut(*at as usize) {
                    Some(slot) => *slot = *status,
                    None => return Err(ReplayError::Fork(*at)),
                },
            }
        }
        for (image, known) in &decided.images {
            let (image, len) = (*image as usize, problem.images.len());
            problem.images.resize(len.max(image + 1), Counts::default());
            problem.others.resize(problem.images.len(), BTreeMap::new());
            problem.images[image] = known.counts;
            problem.others[image] = known.others.clone();
        }
        if let Some(at) = decided.unchanged.iter().find(|at| **at as usize >= n) {
            return Err(ReplayError::Position(*at, n));
        }
        problem.unchanged.clone_from(&decided.unchanged);
        for (rows, list) in
            [(&decided.untouched, &mut problem.untouched), (&decided.blamed, &mut problem.blamed)]
        {
            let Some(rows) = rows else { continue };
            if let Some(at) = rows.beyond(n) {
                return Err(ReplayError::Position(at, n));
            }
            *list = rows.iter().collect();
        }
        if let Some(faults) = &decided.faults {
            problem.faults = faults.iter().cloned().collect();
        }
        problem.costs = decided.costs;
        if let Some(builds) = &decided.builds {
            // What is said of some is said of all; else the planner refuses the rest.
            problem.builds = vec![0.0; if builds.is_empty() { 0 } else { n }];
            for (seconds, commits) in builds {
                if let Some(at) = commits.beyond(n) {
                    return Err(ReplayError::Position(at, n));
                }
                commits.iter().for_each(|commit| problem.builds[commit as usize] = *seconds);
            }
        }
        problem.machines = decided.machines;
        problem.building.clone_from(&decided.building);
        problem.spent = decided.spent;
        problem.seconds_left = decided.seconds_left;
        if let Some(settings) = decided.settings {
            self.settings = Some(settings);
        }
        Ok(&self.problem)
    }

    /// Makes every decision of the record again. `range` reads the commits between an older and a newer
    /// end.
    ///
    /// # Errors
    /// When the record does not fit the range, or does not say what it started from; and those of
    /// `range`.
    pub fn all(
        record: &Record,
        mut range: impl FnMut(&Commit, &Commit) -> Result<Graph, ReplayError>,
    ) -> Result<Vec<Replayed>, ReplayError> {
        let header = &record.header;
        let mut replay = match (header.ends(), &header.releases) {
            (Some((older, newer)), _) => Self::new(range(older, newer)?, header.find),
            // What is asked of the bad end before the walk: the releases and the bad end in a row.
            (None, Some(releases)) => {
                let row = releases.list.iter().filter(|it| it.left_out.is_none()).count();
                Self::new(Graph::linear(row as u32)?, header.find)
            }
            (None, None) => return Err(ReplayError::NoStart),
        };
        // Nothing is built ahead of the walk.
        let mut builders = if header.good.is_some() { header.limits.builders } else { 0 };
        let mut list = Vec::new();
        for (_, event) in &record.events {
            match event {
                Event::Ends { good, bad, .. } => {
                    builders = header.limits.builders;
                    let (older, newer) = header.ordered(good, bad);
                    replay = Self::new(range(older, newer)?, header.find);
                }
                Event::Walked(walked) => list.push(Replayed {
                    then: Made::Release(walked.decision.clone()),
                    now: Made::Release(walk::decide(&walked.problem, &walked.settings).decision),
                    beside: Default::default(),
                }),
                Event::Decided(decided) => {
                    replay.apply(decided)?;
                    let settings = replay.settings.ok_or(ReplayError::NoStart)?;
                    let now = plan::decide(&replay.problem, &settings)?;
                    let beside = plan::beside(&replay.problem, &settings, builders, &now)?;
                    list.push(Replayed {
                        then: Made::Commit(decided.decision.clone()),
                        now: Made::Commit(now),
                        beside: (decided.beside.clone(), beside),
                    });
                }
                _ => {}
            }
        }
        Ok(list)
    }
}

/// The title that the runs before it teach, and the one that the record says was learned. Nothing
/// when the record does not learn one.
pub(super) fn learned_again(record: &Record) -> Option<(Learning, String)> {
    let mut counts = kiln_cache::evidence::Counts::default();
    for (_, event) in &record.events {
        match event {
            Event::Step(step) if step.commit == record.header.bad => {
                step.runs.iter().for_each(|run| counts.add(&run.outcome, 1));
            }
            Event::TitleLearned { title } => return Some((title::learn(&counts), title.clone())),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::State;
    use crate::record::Header;

    /// Plays a bisection of 40 commits, and writes each decision down as text.
    fn played() -> Vec<String> {
        let mut problem = Problem::new(Arc::new(Graph::linear(40).unwrap()), Costs::default());
        let mut settings = Settings::default();
        let mut before: Option<(Problem, Settings)> = None;
        let builders = tests_header().limits.builders;
        let mut texts = Vec::new();
        for round in 0..500 {
            // What was learned of costs on the way is no round number.
            problem.costs.run_seconds = 7.0 + 1.0 / (3.0 + f64::from(round));
            if round == 4 {
                settings.max_builds = Some(30);
            }
            let decision = plan::decide(&problem, &settings).unwrap();
            let beside = plan::beside(&problem, &settings, builders, &decision).unwrap();
            let decided = Decided::since(
                before.as_ref().map(|(p, s)| (p, s)),
                &problem,
                &settings,
                (decision.clone(), beside.clone()),
            );
            texts.push(serde_json::to_string(&Event::Decided(Box::new(decided))).unwrap());
            before = Some((problem.clone(), settings));
            let next =
                beside.ahead.first().map(|need| Building { place: need.place, seconds: 7.1 });
            let Decision::Test(test) = decision else { return texts };
            let bad = matches!(test.revision, Place::Commit(at) if at >= 17);
            if problem.status(test.revision).image.is_none() {
                problem.images.push(Counts::default());
                let image = Some(problem.images.len() as u32 - 1);
                let status = Status { image, state: State::Built };
                match test.revision {
                    Place::Base => problem.base = status,
                    Place::Commit(at) => problem.revisions[at as usize] = status,
                    Place::Fork(at) => problem.forks[at as usize] = status,
                }
                problem.spent.builds += 1;
            }
            problem.building = next.into_iter().collect();
            problem.building.retain(|building| building.place != test.revision);
            let image = problem.status(test.revision).image.unwrap() as usize;
            for _ in 0..test.runs {
                problem.spent.runs += 1;
                if bad && problem.images[image].total() % 3 == 1 {
                    problem.images[image].crashes += 1;
                    break;
                }
                problem.images[image].clean += 1;
            }
            problem.untouched = (5 + round / 2..12).collect();
            if round == 2 {
                problem.blamed = vec![14, 15, 33];
            }
            // The nearer to the last build, the less is made.
            if let (true, Some(at)) = (round % 4 > 0, test.revision.commit()) {
                problem.builds =
                    (0..40u32).map(|it| 20.0 * f64::from(1 + it.abs_diff(at) / 9)).collect();
            } else {
                problem.builds.clear();
            }
            if round == 3 {
                problem.revisions[30].state = State::Broken;
                problem.faults.insert(30, Rows::of(29..34));
            }
            if round % 3 == 0 {
                problem.others = vec![[("B".to_owned(), round)].into()];
            }
        }
        panic!("no end");
    }

    fn record(texts: &[String]) -> Record {
        let events = texts.iter().map(|text| (0, serde_json::from_str(text).unwrap())).collect();
        Record { id: "x".into(), created: 0, header: tests_header(), events }
    }

    fn tests_header() -> Header {
        let mut header = crate::bisection::tests_header();
        header.limits.builders = 2;
        header
    }

    #[test]
    fn every_decision_can_be_made_again_from_its_text() {
        let texts = played();
        let record = record(&texts);
        let again = Replay::all(&record, |_, _| Ok(Graph::linear(40)?)).unwrap();
        assert!(again.len() > 8, "{}", again.len());
        for replayed in &again {
            assert!(replayed.is_same(), "{replayed:#?}");
        }
        assert!(matches!(again.last().unwrap().then, Made::Commit(Decision::Stop(_))));
        assert!(again.iter().any(|replayed| !replayed.beside.0.ahead.is_empty()));
        assert!(texts.iter().any(|text| text.contains(r#""builds":[[20.0,"#)), "{texts:?}");
        let longest = texts.iter().map(String::len).max().unwrap();
        assert!(longest < 2500, "a decision takes {longest} bytes of the record");
    }

    #[test]
    fn a_forged_count_is_found() {
        let mut texts = played();
        // The first step saw a crash: without it, the next decision must be another.
        let at = texts.iter().position(|text| text.contains(r#""crashes":1"#)).unwrap();
        texts[at] = texts[at].replace(r#""crashes":1"#, r#""crashes":7"#);
        let record = record(&texts);
        let again = Replay::all(&record, |_, _| Ok(Graph::linear(40)?)).unwrap();
        assert!(again.iter().any(|replayed| !replayed.is_same()));
    }

    #[test]
    fn another_history_is_refused() {
        let record = record(&played());
        let again = Replay::all(&record, |_, _| Ok(Graph::linear(3)?));
        assert!(matches!(again, Err(ReplayError::Position(..))));
    }
}
