//! What a bisection would have asked for, had the store known nothing of its range: of all that the store
//! knew, only that was spared.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use kiln_cache::evidence::{Counts, Outcome};

use super::error::BisectError;
use super::knowledge::Belief;
use super::setup::{Bisection, blocking};
use super::titled::LEARNING_BATCH;
use crate::plan::{self, Decision, Place, Problem, Settings, State, Status};
use crate::record::{Record, Source, Spared};
use crate::title::{self, Learning, Target};

/// Decisions that are made for it, at most, and how long they may take: what is not asked for by then does
/// not count as spared.
const MOST: usize = 200;
const LONGEST: Duration = Duration::from_secs(5);
/// How far apart the probabilities of being bad may be of two revisions that tell much the same.
const ALIKE: f64 = 0.25;

impl Bisection {
    /// Which of the revisions that the store knew would have been asked for, and how many of their runs;
    /// nothing where it knew none, or where no range was searched.
    pub(super) async fn spared(&self) -> Result<Vec<Spared>, BisectError> {
        let Some(target) = self.target.as_ref().filter(|_| !self.walking()) else {
            return Ok(Vec::new());
        };
        let Some(journal) = self.store.journal_read(&self.id).await? else { return Ok(Vec::new()) };
        let record = Record::from_journal(journal)?;
        if !record.steps().any(|step| step.recalled) {
            return Ok(Vec::new());
        }
        let places: Vec<Place> = self.places().collect();
        let world = World {
            problem: self.knowledge.problem(target, self.header.limits.machines),
            proved: places.iter().copied().filter(|it| self.knowledge.is_proved(*it)).collect(),
            target: target.clone(),
            learns: self.header.target().is_none(),
        };
        let commits = places.into_iter().map(|place| (self.commit(place).id, place)).collect();
        let settings = Settings { max_builds: None, max_runs: None, ..self.settings() };
        blocking(move || Ok(world.spared(&record, &commits, &settings)?)).await
    }
}

/// What is known in the end.
struct World {
    problem: Problem,
    /// Places of which only a proof says what they are.
    proved: HashSet<Place>,
    target: Target,
    /// Whether the target's title is learned from the bad end.
    learns: bool,
}

/// Runs of an image, those that the store knew first, and how many these are.
#[derive(Default)]
struct Runs {
    outcomes: Vec<Outcome>,
    known: u32,
}

/// What a planner asked for that knew nothing.
#[derive(Default)]
struct Asked {
    places: Vec<Place>,
    /// Runs of each image.
    runs: HashMap<u32, u32>,
}

impl World {
    fn spared(
        &self,
        record: &Record,
        commits: &HashMap<String, Place>,
        settings: &Settings,
    ) -> Result<Vec<Spared>, plan::ProblemError> {
        let (mut runs, mut met) = (HashMap::<u32, Runs>::new(), HashSet::new());
        let all = record.steps().flat_map(|step| &step.runs);
        let made: HashSet<_> =
            all.filter(|run| run.source == Source::Booted).filter_map(|run| run.id).collect();
        // What was recalled, by its place.
        let mut recalled: BTreeMap<Place, Spared> = BTreeMap::new();
        for known in [true, false] {
            for step in record.steps() {
                let Some(place) = commits.get(&step.commit.id) else { continue };
                if known && step.recalled {
                    let commit = step.commit.id.clone();
                    recalled.insert(*place, Spared { commit, build: false, runs: 0 });
                }
                let Some(image) = self.problem.status(*place).image else { continue };
                let of_image = runs.entry(image).or_default();
                for run in &step.runs {
                    let is_known = step.recalled
                        && run.source == Source::Evidence
                        && run.id.is_none_or(|id| !made.contains(&id));
                    if is_known == known && run.id.is_none_or(|id| met.insert(id)) {
                        of_image.outcomes.push(run.outcome.clone());
                        of_image.known += u32::from(known);
                    }
                }
            }
        }
        let asked = self.asked(&runs, settings)?;
        for place in &asked.places {
            if let Some(own) = recalled.get_mut(place) {
                own.build = true;
            }
        }
        // One that is proved to be the same stands for what was asked for.
        for place in asked.places.iter().filter(|place| self.proved.contains(place)) {
            let image = self.problem.status(*place).image;
            let mut same = recalled.iter_mut().filter(|(other, spared)| {
                !spared.build && self.problem.status(**other).image == image
            });
            if let Some((_, spared)) = same.next() {
                spared.build = true;
            }
        }
        for (image, n) in asked.runs {
            let known = runs.get(&image).map_or(0, |runs| runs.known);
            let of_image = |place: &Place| self.problem.status(*place).image == Some(image);
            if let Some((_, spared)) = recalled.iter_mut().find(|(place, _)| of_image(place)) {
                spared.runs = n.min(known);
            }
        }
        Ok(recalled.into_values().filter(|spared| spared.build || spared.runs > 0).collect())
    }

    /// Has the planner begin from nothing, and shows it what is known of all that it asks for, until it
    /// has its answer or asks for what nobody knows.
    fn asked(
        &self,
        runs: &HashMap<u32, Runs>,
        settings: &Settings,
    ) -> Result<Asked, plan::ProblemError> {
        let (mut problem, mut asked, begun) = (self.nothing(), Asked::default(), Instant::now());
        let bad_end = problem.bad_end();
        if !self.show(bad_end, &mut problem, &mut asked) {
            return Ok(asked);
        }
        let mut counts = Counts::default();
        while self.learns && title::learn(&counts) == Learning::RunMore {
            let ran = self.run(bad_end, LEARNING_BATCH, runs, &mut problem, &mut asked);
            if ran.is_empty() {
                return Ok(asked);
            }
            ran.iter().for_each(|outcome| counts.add(outcome, 1));
        }
        for _ in 0..MOST {
            if begun.elapsed() > LONGEST {
                break;
            }
            let Decision::Test(test) = plan::decide(&problem, settings)? else { break };
            let asked_for = problem.status(test.revision).state == State::Built;
            let known = self.problem.status(test.revision).state != State::Unknown;
            let place = match asked_for || known {
                true => test.revision,
                // Costs, which nobody knew then, decide which of many alike is asked for.
                false => match self.like(test.revision, &problem, settings) {
                    Some(place) => place,
                    None => break,
                },
            };
            if problem.status(place).state != State::Built
                && !self.show(place, &mut problem, &mut asked)
            {
                break;
            }
            let works = problem.status(place).state == State::Built;
            if works && self.run(place, test.runs, runs, &mut problem, &mut asked).is_empty() {
                break;
            }
        }
        Ok(asked)
    }

    /// The revision, of those that are known and were not shown yet, that tells most like `place`: as
    /// probably bad as that, but for [`ALIKE`].
    fn like(&self, place: Place, problem: &Problem, settings: &Settings) -> Option<Place> {
        let belief = Belief::of(problem, &settings.model);
        let wanted = belief.bad(place)?;
        let commits = (0..problem.revisions.len() as u32).map(Place::Commit);
        let known = commits.chain([Place::Base]).filter(|other| {
            self.problem.status(*other).state == State::Built
                && problem.status(*other).state == State::Unknown
        });
        let far = known.filter_map(|other| Some((other, (belief.bad(other)? - wanted).abs())));
        far.filter(|(_, far)| *far <= ALIKE)
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(other, _)| other)
    }

    /// The same range, of which nothing is known.
    fn nothing(&self) -> Problem {
        let mut problem = self.problem.clone();
        let unclear = |status: &Status| status.state == State::Unclear;
        problem
            .revisions
            .iter_mut()
            .filter(|it| !unclear(it))
            .for_each(|it| *it = Status::default());
        problem.base = Status::default();
        problem.forks.fill_with(Default::default);
        problem.images.fill_with(Default::default);
        problem.others.fill_with(Default::default);
        problem.unchanged.clear();
        problem.faults.clear();
        problem.building.clear();
        problem.spent = Default::default();
        problem
    }

    /// Shows a build, with all that it proves. Whether it is known.
    fn show(&self, place: Place, problem: &mut Problem, asked: &mut Asked) -> bool {
        let known = self.problem.status(place);
        if known.state == State::Unknown {
            return false;
        }
        problem.set(place, known);
        asked.places.push(place);
        let commits = (0..self.problem.revisions.len() as u32).map(Place::Commit);
        for other in commits.chain([Place::Base]) {
            let same = known.image.is_some() && self.problem.status(other).image == known.image;
            if same && (self.proved.contains(&other) || self.proved.contains(&place)) {
                problem.set(other, self.problem.status(other));
            }
        }
        true
    }

    /// Shows the next runs of a build, until one shows the target.
    fn run<'a>(
        &self,
        place: Place,
        wanted: u32,
        runs: &'a HashMap<u32, Runs>,
        problem: &mut Problem,
        asked: &mut Asked,
    ) -> &'a [Outcome] {
        let Some(image) = problem.status(place).image else { return &[] };
        let Some(all) = runs.get(&image) else { return &[] };
        let done = asked.runs.entry(image).or_default();
        let begin = *done as usize;
        let (counts, others) =
            (&mut problem.images[image as usize], &mut problem.others[image as usize]);
        let mut told = 0;
        for outcome in &all.outcomes[begin..] {
            if told == wanted {
                break;
            }
            *done += 1;
            match outcome {
                // Made again, at once.
                Outcome::Infra { .. } => continue,
                Outcome::Ok => counts.clean += 1,
                Outcome::BootFailure { .. } => counts.censored += 1,
                Outcome::Crash { title } if self.target.is(title) => {
                    counts.crashes += 1;
                    break;
                }
                Outcome::Crash { title } => {
                    counts.censored += 1;
                    *others.entry(title.clone()).or_default() += 1;
                }
            }
            told += 1;
        }
        &all.outcomes[begin..*done as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_cache::Digest;

    use super::*;
    use crate::graph::Graph;
    use crate::plan::Costs;
    use crate::record::Event;

    /// A step of a record, with so many runs; the commit is known by its place.
    fn step(at: u32, recalled: bool, runs: u32, crashes: bool) -> Event {
        let (source, kind) = (
            if recalled { "evidence" } else { "booted" },
            if crashes { r#""crash","title":"A""# } else { r#""ok""# },
        );
        let runs: Vec<String> = (0..runs)
            .map(|n| {
                let id = uuid::Uuid::from_u128(u128::from(at) << 32 | u128::from(n));
                format!(
                    r#"{{"id":"{id}","outcome":{{"kind":{kind}}},"seconds":2.0,
                        "source":"{source}","console":null}}"#
                )
            })
            .collect();
        serde_json::from_str(&format!(
            r#"{{"event":"step","commit":{{"id":"c{at}","subject":""}},"why":"",
                "recalled":{recalled},"build":{{"obtained":"input","input_key":"{}",
                "signatures":{{}},"compiler":"","seconds":1.0,"compile_seconds":60.0,
                "errors":[],"notes":[]}},"runs":[{}],"probability_bad":null,"credible":null}}"#,
            Digest::of(b"").to_hex(),
            runs.join(",")
        ))
        .unwrap()
    }

    /// 64 commits, of which the one at 40 brought a bug that always shows.
    fn spared(known: &[u32], made: &[u32]) -> Vec<Spared> {
        let graph = Arc::new(Graph::linear(64).unwrap());
        let mut problem = Problem::new(graph, Costs { build_seconds: 60.0, run_seconds: 2.0 });
        let mut events = Vec::new();
        for (list, recalled) in [(known, true), (made, false)] {
            for at in list {
                let image = problem.images.len() as u32;
                problem.images.push(Default::default());
                problem.others.push(BTreeMap::new());
                let status = Status { image: Some(image), state: State::Built };
                problem.revisions[*at as usize] = status;
                events.push((0, step(*at, recalled, 40, *at >= 40)));
            }
        }
        let header = crate::bisection::tests_header();
        let record = Record { id: "x".into(), created: 0, header, events };
        let commits = (0..64).map(|at| (format!("c{at}"), Place::Commit(at))).collect();
        let target = Target::exactly("A").unwrap();
        let world = World { problem, proved: HashSet::new(), target, learns: false };
        world.spared(&record, &commits, &Settings::default()).unwrap()
    }

    #[test]
    fn only_what_would_have_been_asked_for_is_spared() {
        let all: Vec<u32> = (0..64).collect();
        let spared = spared(&all, &[]);
        let builds = spared.iter().filter(|spared| spared.build).count();
        // Some six of 64, as a search from nothing asks for; and a few runs of each of the 40.
        assert!((4..=14).contains(&builds), "{builds}: {spared:?}");
        let runs: u32 = spared.iter().map(|spared| spared.runs).sum();
        assert!(runs > 5 && runs < 64 * 40 / 4, "{runs}: {spared:?}");
        for named in ["c63", "c40", "c39"] {
            let found = spared.iter().find(|spared| spared.commit == named);
            assert!(found.is_some_and(|it| it.build && it.runs > 0), "{named}: {spared:?}");
        }
    }

    #[test]
    fn one_that_is_known_stands_for_another_that_tells_the_same() {
        // As another bisection would have left them, by other costs than are known now.
        let known = [63, 29, 46, 38, 42, 39, 40];
        let spared = spared(&known, &[]);
        assert!(spared.iter().filter(|spared| spared.build).count() >= 4, "{spared:?}");
    }

    #[test]
    fn what_was_made_was_not_spared_and_leads_on() {
        // The bad end was built and run here; without it nothing would be asked for.
        let known: Vec<u32> = (0..63).collect();
        let spared = spared(&known, &[63]);
        assert!(spared.iter().all(|spared| spared.commit != "c63"), "{spared:?}");
        assert!(spared.iter().any(|spared| spared.commit == "c40"), "{spared:?}");
        assert_eq!(self::spared(&known, &[]), [], "nobody knows the bad end");
    }
}
