//! Builds and runs what the search asks for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kiln_builder::{Builder, Config, How, Request, Revision};
use kiln_cache::evidence::Counts;
use kiln_cache::{InputKey, Manifest, Store};
use serde::{Deserialize, Serialize};

use super::options::{Difference, differences, with};
use super::reproduction::{Reproduction, reproduction};
use super::shows::Shows;
use super::smallest::smallest;
use crate::belief;
use crate::bisection::batch::Batch;
use crate::bisection::knowledge::boots;
use crate::bisection::prepared::Prepared;
use crate::bisection::running::{self, Running};
use crate::bisection::{BisectError, Surroundings};
use crate::console::Patterns;
use crate::record::{Commit, Limits, Obtained, Source, TestSpec};
use crate::tester::Tester;
use crate::title::Target;
use crate::watch::{Happening, Watch};

/// Doubt that is left when a kernel is taken not to show the target.
const DOUBT: f64 = 0.01;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Folder of the git repository.
    pub repository: PathBuf,
    /// The revision that crashes with `config` and not with `base`.
    pub revision: Revision,
    /// The baseline.
    pub base: Config,
    /// The configuration with which it crashes.
    pub config: Config,
    /// How it is built.
    pub how: How,
    /// The toolchain, by a name that the builder understands.
    pub toolchain: String,
    /// How images are tested.
    pub test: TestSpec,
    /// Pattern of the target title; without, the one that `config` shows most.
    pub title: Option<String>,
    /// Limits and shares of the machine.
    pub limits: Limits,
}

/// One configuration that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Differences that it has from the baseline, by their place in the list of all.
    pub options: Vec<usize>,
    /// Its build.
    pub build: InputKey,
    /// Where that came from.
    pub obtained: Obtained,
    /// Target crashes.
    pub target: u32,
    /// Clean runs.
    pub clean: u32,
    /// Runs that say nothing.
    pub other: u32,
    /// Runs that the store had.
    pub known_runs: u32,
    /// Probability that it shows the target.
    pub probability: f64,
    /// First error, when it does not build; or that it does not boot.
    pub unusable: Option<String>,
}

/// A difference that the crash needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needed {
    /// Which.
    #[serde(flatten)]
    pub difference: Difference,
    /// Clean runs without it, with the others.
    pub clean_without: u32,
    /// Probability that the crash does not show without it; none when that does not build or boot.
    pub probability: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduced {
    /// The title that was hunted.
    pub target: String,
    /// How the search ended.
    pub result: Found,
    /// All differences between the two configurations, once completed by the tree.
    pub differences: Vec<Difference>,
    /// Every configuration that was tried, in order.
    pub tried: Vec<Tried>,
    /// Builds compiled.
    pub builds_compiled: u32,
    /// Builds that the store had.
    pub builds_avoided: u32,
    /// Runs made.
    pub runs_made: u32,
    /// Runs that the store had.
    pub runs_avoided: u32,
    /// Seconds in all.
    pub seconds: f64,
}

/// How a search ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Found {
    /// The crash needs these.
    Needs {
        /// The differences.
        options: Vec<Needed>,
        /// Probability that none of them can be left out.
        probability: f64,
        /// What else the tree's configuration changes along with them.
        along: Vec<Difference>,
    },
    /// The baseline shows it too.
    BaseShows,
    /// The configuration given does not show it.
    NotReproduced,
    /// One of the two does not build or boot.
    Unusable {
        /// "the baseline" or "the configuration".
        which: String,
        /// What is wrong.
        why: String,
        /// It builds, and does not boot.
        builds: bool,
    },
    /// The configuration given shows several crashes equally often: one has to be named.
    Tie {
        /// Their titles.
        titles: Vec<String>,
    },
    /// The budget does not suffice.
    Budget {
        /// The smallest set that is known to show it; empty while nothing is.
        smallest: Vec<Difference>,
    },
}

/// A search, ready to run.
pub struct ConfigSearch {
    question: Question,
    store: Store,
    watch: Arc<dyn Watch>,
    builder: Builder,
    prepared: Prepared,
    patterns: Arc<Patterns>,
    kernels: PathBuf,
    work: PathBuf,
    tester: Option<Arc<Tester>>,
    target: Option<Target>,
    begun: Instant,
    /// Keeps other bisections from sweeping this one's kernels away.
    _running: Running,
    answer: Reduced,
    /// Place in `answer.tried` of each set that was tried.
    places: HashMap<Vec<usize>, usize>,
    counts: Vec<Counts>,
}

/// A set of which more must be known.
struct Open(Vec<usize>);

impl ConfigSearch {
    /// Checks the test. Everything that is built and run is kept in the store, so a search that was
    /// interrupted is simply asked again.
    ///
    /// # Errors
    /// When the reproducer does not compile, or QEMU is missing.
    pub async fn new(around: Surroundings, question: Question) -> Result<Self, BisectError> {
        let prepared = Prepared::new(&question.test, &around.work).await?;
        let target = match (&question.title, &question.test) {
            (Some(pattern), _) => Some(Target::pattern(pattern)?),
            (None, TestSpec::Command { .. }) => Some(Target::exactly(crate::boot::COMMAND_FAILED)?),
            (None, TestSpec::Reproducer { .. }) => None,
        };
        let id = uuid::Uuid::now_v7().simple().to_string();
        let running = Running::claim(&around.work, &id)?;
        Ok(Self {
            builder: Builder::new(around.store.clone(), around.work.clone(), around.builds)
                .with_toolchain(&question.toolchain)
                .with_ccache(around.ccache)
                .with_proofs(around.proofs)
                .with_upstream(around.upstream),
            kernels: running::kernels(&around.work, &id),
            _running: running,
            work: around.work,
            store: around.store,
            watch: around.watch,
            prepared,
            patterns: around.patterns,
            target,
            tester: None,
            begun: Instant::now(),
            places: HashMap::new(),
            counts: Vec::new(),
            answer: Reduced {
                target: question
                    .title
                    .clone()
                    .unwrap_or_else(|| crate::boot::COMMAND_FAILED.to_owned()),
                result: Found::NotReproduced,
                differences: Vec::new(),
                tried: Vec::new(),
                builds_compiled: 0,
                builds_avoided: 0,
                runs_made: 0,
                runs_avoided: 0,
                seconds: 0.0,
            },
            question,
        })
    }

    /// Searches to the end.
    ///
    /// # Errors
    /// When something else than a configuration is at fault.
    pub async fn run(mut self) -> Result<Reduced, BisectError> {
        let found = self.search().await;
        // What stays behind is swept by the next bisection.
        let _ = tokio::fs::remove_dir_all(&self.kernels).await;
        self.answer.result = found?;
        self.tell();
        self.answer.seconds = self.begun.elapsed().as_secs_f64();
        Ok(self.answer)
    }

    /// Fills in what was seen of each set, now that the target is known.
    fn tell(&mut self) {
        let shows = (!self.counts.is_empty()).then(|| Shows::new(&self.told(0)));
        for place in 0..self.answer.tried.len() {
            let seen = self.told(place);
            let tried = &mut self.answer.tried[place];
            (tried.target, tried.clean, tried.other) = (seen.crashes, seen.clean, seen.censored);
            if let Some(shows) = &shows {
                tried.probability = shows.probability(&seen);
            }
        }
    }

    async fn search(&mut self) -> Result<Found, BisectError> {
        let (given, base) = (self.question.config.clone(), self.question.base.clone());
        let whole = self.build("the whole configuration", given.clone()).await?;
        let given = self.completed(&whole.0, &given).await?;
        let bottom = self.build("the baseline", base.clone()).await?;
        let base = self.completed(&bottom.0, &base).await?;
        self.answer.differences = differences(&base, &given);
        let all: Vec<usize> = (0..self.answer.differences.len()).collect();
        // The ends are what was given, not what is put together of differences.
        for (set, built) in [(all.clone(), whole), (Vec::new(), bottom)] {
            self.note(set, built);
        }
        if let Some(found) = self.unusable(0).or_else(|| self.unusable(1)) {
            return Ok(found);
        }
        if let Some(found) = self.reproduce(given.clone()).await? {
            return Ok(self.unusable(0).unwrap_or(found));
        }
        let whole = self.told(0);
        let shows = Shows::new(&whole);
        loop {
            match self.known(&shows, &[]) {
                Some(true) => return Ok(Found::BaseShows),
                Some(false) => match self.unusable(1) {
                    Some(found) => return Ok(found),
                    None => break,
                },
                None if !self.more(&shows, Vec::new(), &base, &base).await? => {
                    return Ok(self.out_of_budget(&shows));
                }
                None => {}
            }
        }
        let set = loop {
            let found = smallest(all.len(), |set| {
                self.known(&shows, set).ok_or_else(|| Open(set.to_vec()))
            });
            match found {
                Ok(set) => break set,
                Err(Open(set)) => {
                    let text = with(&base, &self.answer.differences, &set);
                    if !self.more(&shows, set, &text, &base).await? {
                        return Ok(self.out_of_budget(&shows));
                    }
                }
            }
        };
        self.conclude(&shows, &set, &base).await
    }

    /// What the set is worth: each of its elements was left out once, unless there is but one.
    async fn conclude(
        &mut self,
        shows: &Shows,
        set: &[usize],
        base: &str,
    ) -> Result<Found, BisectError> {
        let mut options = Vec::new();
        let mut probability = 1.0;
        for left_out in set {
            let rest: Vec<usize> = set.iter().copied().filter(|other| other != left_out).collect();
            let tried = self.places.get(&rest).map(|place| (&self.answer.tried[*place], *place));
            let own = match tried {
                Some((tried, place)) if tried.unusable.is_none() => {
                    Some(1.0 - shows.probability(&self.told(place)))
                }
                _ => None,
            };
            probability *= own.unwrap_or(1.0);
            options.push(Needed {
                difference: self.answer.differences[*left_out].clone(),
                clean_without: tried.map_or(0, |(_, place)| self.told(place).clean),
                probability: own,
            });
        }
        let text = with(base, &self.answer.differences, set);
        let built = self.build("the answer", Config::new(&text)).await?;
        let completed = self.completed(&built.0, &Config::new(&text)).await?;
        let along = differences(base, &completed)
            .into_iter()
            .filter(|one| !options.iter().any(|needed| needed.difference.option == one.option))
            .collect();
        Ok(Found::Needs { options, probability, along })
    }

    /// Whether a set shows the target; nothing while that is open.
    fn known(&self, shows: &Shows, set: &[usize]) -> Option<bool> {
        let place = *self.places.get(set)?;
        if self.answer.tried[place].unusable.is_some() {
            return Some(false);
        }
        match shows.probability(&self.told(place)) {
            p if p >= 1.0 - DOUBT => Some(true),
            p if p <= DOUBT => Some(false),
            // Only other crashes, again and again: nothing can be learned of it.
            _ if self.told(place).censored > 40 => Some(false),
            _ => None,
        }
    }

    fn out_of_budget(&self, shows: &Shows) -> Found {
        let smallest = self
            .places
            .iter()
            .filter(|(set, _)| self.known(shows, set) == Some(true))
            .map(|(set, _)| set)
            .min_by_key(|set| (set.len(), (*set).clone()));
        let smallest = smallest
            .map(|set| set.iter().map(|index| self.answer.differences[*index].clone()).collect());
        Found::Budget { smallest: smallest.unwrap_or_default() }
    }

    /// Makes more known of a set: builds it, or runs it. False when the budget is used up.
    async fn more(
        &mut self,
        shows: &Shows,
        set: Vec<usize>,
        text: &str,
        base: &str,
    ) -> Result<bool, BisectError> {
        if self.is_late() {
            return Ok(false);
        }
        let config = match set.is_empty() {
            true => self.question.base.clone(),
            false => Config::new(text),
        };
        let place = match self.places.get(&set) {
            Some(place) => *place,
            None => {
                let most = self.question.limits.max_builds;
                if most.is_some_and(|most| self.answer.builds_compiled >= most) {
                    return Ok(false);
                }
                let name = format!("{} of {} options", set.len(), self.answer.differences.len());
                let built = self.build(&name, config.clone()).await?;
                let completed = self.completed(&built.0, &config).await?;
                if set.len() > 1 && differences(base, &completed).is_empty() {
                    tracing::debug!(?set, "none of these options can be set alone");
                }
                return Ok(self.note(set, built).is_some());
            }
        };
        let runs = shows.missing(&self.told(place), DOUBT);
        let left = self.runs_left();
        if left == 0 {
            return Ok(false);
        }
        self.test(place, config, runs.min(left)).await?;
        Ok(true)
    }

    /// Runs the whole configuration until its target and rate are known. The end of the search
    /// when it does not come that far.
    async fn reproduce(&mut self, given: String) -> Result<Option<Found>, BisectError> {
        loop {
            let left = if self.is_late() { 0 } else { self.runs_left() };
            let runs = match reproduction(self.target.as_ref(), &self.counts[0], left) {
                Reproduction::Shown => return Ok(None),
                Reproduction::NotShown => return Ok(Some(Found::NotReproduced)),
                Reproduction::Tie(titles) => return Ok(Some(Found::Tie { titles })),
                Reproduction::OutOfBudget => {
                    return Ok(Some(Found::Budget { smallest: Vec::new() }));
                }
                Reproduction::Target(title) => {
                    self.watch.happening(Happening::TitleLearned { title: &title });
                    self.target = Some(Target::learned(&title));
                    self.answer.target = title;
                    continue;
                }
                Reproduction::Runs(runs) => runs,
            };
            self.test(0, Config::new(&given), runs).await?;
        }
    }

    /// Whether the time is used up.
    fn is_late(&self) -> bool {
        let budget = self.question.limits.budget_seconds;
        budget.is_some_and(|most| self.begun.elapsed().as_secs_f64() > most)
    }

    /// Runs that may still be made.
    fn runs_left(&self) -> u32 {
        let most = self.question.limits.max_runs;
        most.map_or(u32::MAX, |most| most.saturating_sub(self.answer.runs_made))
    }

    /// The end of the search, when this place can't be tested.
    fn unusable(&self, place: usize) -> Option<Found> {
        let why = self.answer.tried[place].unusable.clone()?;
        let which = if place == 0 { "the configuration" } else { "the baseline" };
        // What does not build never ran.
        let builds = self.counts[place].total() > 0;
        Some(Found::Unusable { which: which.into(), why, builds })
    }

    /// Runs of a tried set, for and against the target.
    fn told(&self, place: usize) -> belief::Counts {
        let counts = &self.counts[place];
        let seen = self.target.as_ref().map(|target| target.informative(counts));
        let seen = seen.unwrap_or_default();
        belief::Counts {
            crashes: seen.target,
            clean: seen.clean,
            censored: counts.total() - counts.infra - seen.target - seen.clean,
        }
    }

    fn request(&self, config: Config) -> Request {
        Request {
            repository: self.question.repository.clone(),
            revision: self.question.revision.clone(),
            config: Some(config),
            how: self.question.how.clone(),
            jobs: self.question.limits.jobs,
            strict_config: false,
        }
    }

    async fn build(
        &mut self,
        name: &str,
        config: Config,
    ) -> Result<(Manifest, Obtained), BisectError> {
        let commit = Commit { id: self.question.revision.commit.clone(), subject: name.to_owned() };
        self.watch.happening(Happening::Chosen { commit: &commit, why: "", runs: 0 });
        let begun = Instant::now();
        let built = self.builder.build(&self.request(config)).await?;
        let record = crate::bisection::record_of(&built, begun);
        self.watch.happening(Happening::Built { commit: &commit, build: &record });
        match record.obtained {
            Obtained::Compiled => self.answer.builds_compiled += 1,
            Obtained::Input
            | Obtained::Closure
            | Obtained::Commands
            | Obtained::Tokens
            | Obtained::Objects => self.answer.builds_avoided += 1,
        }
        Ok((built.manifest, record.obtained))
    }

    /// The configuration as the tree completed it; as given when builds keep none.
    async fn completed(&self, manifest: &Manifest, given: &Config) -> Result<String, BisectError> {
        let Some(artifact) = manifest.artifact(".config") else {
            return Ok(given.text().to_owned());
        };
        let reader = self.store.reader(&artifact.digest).await?;
        let bytes = reader.read(0..reader.size()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Takes note of a set's build. Returns its place in the list.
    fn note(&mut self, set: Vec<usize>, built: (Manifest, Obtained)) -> Option<usize> {
        let (manifest, obtained) = built;
        let unusable = match &manifest.result {
            kiln_cache::manifest::BuildResult::Built => None,
            kiln_cache::manifest::BuildResult::Failed { errors } => Some(format!(
                "it does not build ({})",
                errors.first().map_or("no error was found in the log", String::as_str)
            )),
        };
        let place = self.answer.tried.len();
        self.places.insert(set.clone(), place);
        self.counts.push(Counts::default());
        self.answer.tried.push(Tried {
            options: set,
            build: manifest.input_key,
            obtained,
            target: 0,
            clean: 0,
            other: 0,
            known_runs: 0,
            probability: 0.5,
            unusable,
        });
        Some(place)
    }

    /// Runs a set's image; what the store has of it counts first, and may be enough.
    async fn test(&mut self, place: usize, config: Config, runs: u32) -> Result<(), BisectError> {
        let built = self.builder.build(&self.request(config)).await?;
        let manifest = built.manifest;
        let Some(image) = manifest.image() else { return Ok(()) };
        let tester = match &self.tester {
            Some(tester) => Arc::clone(tester),
            None => {
                let limits = &self.question.limits;
                let tester = self
                    .prepared
                    .tester(
                        limits,
                        &self.store,
                        &self.work,
                        &self.kernels,
                        &manifest,
                        &self.patterns,
                    )
                    .await?;
                Arc::clone(self.tester.insert(Arc::new(tester)))
            }
        };
        let fresh = self.counts[place].total() == 0;
        let known = match fresh {
            true => self.store.runs(&image, &tester.key()).await?,
            false => Vec::new(),
        };
        if !known.is_empty() {
            self.answer.runs_avoided += known.len() as u32;
            self.answer.tried[place].known_runs = known.len() as u32;
            known.iter().for_each(|run| self.counts[place].add(&run.outcome, 1));
        } else {
            let files = tester.place(&self.store, &image, &manifest, &self.kernels).await?;
            let batch = Batch {
                store: &self.store,
                tester: &tester,
                image,
                commit: &self.question.revision.commit,
                place: &files,
                target: self.target.as_ref(),
                machines: self.question.limits.machines,
            };
            let made = batch.run(runs, &*self.watch).await?;
            for run in made {
                debug_assert_eq!(run.source, Source::Booted);
                self.answer.runs_made += 1;
                self.counts[place].add(&run.outcome, 1);
            }
        }
        let counts = self.counts[place].clone();
        if !boots(&counts) {
            let title = counts.boot_failures.keys().next().cloned().unwrap_or_default();
            self.answer.tried[place].unusable = Some(format!("it does not boot ({title})"));
        }
        Ok(())
    }
}
