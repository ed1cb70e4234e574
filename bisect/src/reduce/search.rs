//! The search: which set is looked at next, and when it ends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_builder::{Builder, Config};
use kiln_cache::Store;
use kiln_cache::evidence::Counts;

use super::answer::{Found, Needed, Question, Reduced};
use super::options::{differences, with};
use super::reproduction::{Reproduction, reproduction};
use super::shows::Shows;
use super::smallest::smallest;
use crate::bisection::prepared::Prepared;
use crate::bisection::running::{self, Running};
use crate::bisection::workshop::Stages;
use crate::bisection::{BisectError, Surroundings};
use crate::console::Patterns;
use crate::record::TestSpec;
use crate::tester::Tester;
use crate::title::Target;
use crate::watch::{Happening, Watch};

/// Doubt that is left when a kernel is taken not to show the target.
const DOUBT: f64 = 0.01;

/// A search, ready to run.
pub struct ConfigSearch {
    pub(super) question: Question,
    pub(super) store: Store,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) builder: Builder,
    pub(super) stages: Arc<Stages>,
    pub(super) prepared: Prepared,
    pub(super) patterns: Arc<Patterns>,
    pub(super) kernels: PathBuf,
    pub(super) work: PathBuf,
    pub(super) tester: Option<Arc<Tester>>,
    pub(super) target: Option<Target>,
    begun: Instant,
    /// Keeps other bisections from sweeping this one's kernels away.
    _running: Running,
    pub(super) answer: Reduced,
    /// Place in `answer.tried` of each set that was tried.
    pub(super) places: HashMap<Vec<usize>, usize>,
    pub(super) counts: Vec<Counts>,
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
        let stages = Arc::new(Stages::new(around.builds));
        let observer = Arc::<Stages>::clone(&stages);
        Ok(Self {
            stages,
            builder: Builder::new(around.store.clone(), around.work.clone(), observer)
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
        let found = match self.search().await {
            Err(BisectError::Late) => Ok(self.out_of_budget()),
            found => found,
        };
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
        if !self.may_build(&given).await? {
            return Ok(Found::Budget { smallest: Vec::new() });
        }
        let whole = self.build("the whole configuration", given.clone()).await?;
        let given = self.completed(&whole.0, &given).await?;
        if !self.may_build(&base).await? {
            return Ok(Found::Budget { smallest: Vec::new() });
        }
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
                    return Ok(self.out_of_budget());
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
                        return Ok(self.out_of_budget());
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
        // Nearly always built already. Where it is not, and nothing may be built any more, only what comes
        // along is not known.
        let config = Config::new(&text);
        let built = match self.may_build(&config).await? {
            true => self.build("the answer", config.clone()).await.map(Some),
            false => Ok(None),
        };
        let along = match built {
            Ok(None) | Err(BisectError::Late) => Vec::new(),
            Ok(Some(built)) => differences(base, &self.completed(&built.0, &config).await?)
                .into_iter()
                .filter(|one| !options.iter().any(|needed| needed.difference.option == one.option))
                .collect(),
            Err(error) => return Err(error),
        };
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

    fn out_of_budget(&self) -> Found {
        let shows = (!self.counts.is_empty()).then(|| Shows::new(&self.told(0)));
        let shown = |set: &[usize]| shows.as_ref().and_then(|shows| self.known(shows, set));
        let smallest = self
            .places
            .iter()
            .filter(|(set, _)| shown(set) == Some(true))
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
                if !self.may_build(&config).await? {
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

    /// Whether a configuration's build is in the store, or may still be compiled.
    async fn may_build(&self, config: &Config) -> Result<bool, BisectError> {
        let most = self.question.limits.max_builds;
        let is_used_up = most.is_some_and(|most| self.answer.builds_compiled >= most);
        Ok(!is_used_up || self.builder.is_answered(&self.request(config.clone())).await?)
    }

    /// When the time is used up; nothing when it never is.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let budget = Duration::try_from_secs_f64(self.question.limits.budget_seconds?).ok()?;
        self.begun.checked_add(budget)
    }

    /// Whether the time is used up.
    fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Runs that may still be made.
    pub(super) fn runs_left(&self) -> u32 {
        let most = self.question.limits.max_runs;
        most.map_or(u32::MAX, |most| most.saturating_sub(self.answer.runs_made))
    }
}
