//! Everything a bisection needs before its first decision.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kiln_builder::closure::Edges;
use kiln_builder::{Builder, Config, History, How, Observer, Repository, Request, Revision};
use kiln_cache::evidence::TestKey;
use kiln_cache::{Remote, Store};
use uuid::Uuid;

use super::beside::Unlearned;
use super::doubts::Doubts;
use super::error::BisectError;
use super::knowledge::Knowledge;
use super::made::Made;
use super::prepared::Prepared;
use super::running::{Running, sweep};
use super::untouched::Untouched;
use super::walking::Walk;
use super::workshop::{Stages, Workshop};
use crate::belief::Find;
use crate::console::Patterns;
use crate::graph::{Graph, GraphError, Outside};
use crate::plan::{Place, Problem, Settings};
use crate::record::{Bill, Commit, Event, Header, JOURNAL_KIND, Record, Span};
use crate::tester::Tester;
use crate::title::Target;
use crate::watch::Watch;

/// Where a bisection works and whom it tells.
pub struct Surroundings {
    /// Builds, evidence and the record.
    pub store: Store,
    /// Folder for warm pairs, payloads and kernels under test.
    pub work: PathBuf,
    /// Told about builds.
    pub builds: Arc<dyn Observer>,
    /// Told about everything else.
    pub watch: Arc<dyn Watch>,
    /// What the user says of crashes, for what runs in virtual machines.
    pub patterns: Arc<Patterns>,
    /// Another Kiln, asked before anything is compiled.
    pub upstream: Option<Remote>,
    /// Whether ccache is used, where it is installed.
    pub ccache: bool,
    /// Whether anything is concluded from what builds read.
    pub proofs: bool,
}

/// A bisection, ready to run.
pub struct Bisection {
    pub(super) id: String,
    pub(super) header: Header,
    pub(super) store: Store,
    pub(super) work: PathBuf,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) patterns: Arc<Patterns>,
    pub(super) builder: Arc<Builder>,
    pub(super) workshop: Workshop,
    /// Builds that have ended, before they are learned of.
    pub(super) unlearned: Vec<Unlearned>,
    pub(super) config: Option<Config>,
    pub(super) history: History,
    pub(super) edges: Arc<Edges>,
    pub(super) untouched: Untouched,
    /// Whether a crash was looked at for what it blames.
    pub(super) asked_for_blamed: bool,
    pub(super) knowledge: Knowledge,
    pub(super) doubts: Doubts,
    /// The way back over releases, when no good end was given.
    pub(super) walk: Option<Walk>,
    pub(super) target: Option<Target>,
    pub(super) made: HashMap<Place, Made>,
    /// Places that the record has a step of.
    pub(super) shown: HashSet<Place>,
    /// What the next step of the record has to say beside its own.
    pub(super) notes: Vec<String>,
    /// What the last decision was made from.
    pub(super) decided: Option<(Problem, Settings)>,
    /// Runs that the record has already when a bisection goes on, by commit.
    pub(super) recorded: HashMap<String, HashSet<Uuid>>,
    /// When a bisection that goes on was begun, and when it went on; seconds since 1970.
    pub(super) interrupted: Option<(i64, i64)>,
    /// Runs that a killed process made and did not write down, once met.
    pub(super) paid: HashSet<Uuid>,
    /// Builds that a killed process had begun and not seen end, when it goes on, by commit.
    pub(super) left_behind: HashMap<String, Span>,
    /// Whether what it is expected to need was said.
    pub(super) expected: bool,
    /// The test that the record's runs are of.
    pub(super) tested: Option<TestKey>,
    /// Seconds spent before this process went on.
    pub(super) before: f64,
    /// A build was given up since the time that the user gives is over: nothing new is begun.
    pub(super) overdue: bool,
    /// When this process began.
    pub(super) begun: Instant,
    test: Prepared,
    _running: Running,
}

impl Bisection {
    /// A new bisection: checks what was asked, reads the range and begins the record.
    pub async fn start(around: Surroundings, header: Header) -> Result<Self, BisectError> {
        // Ids are sorted by time, and short enough to be typed.
        let id = Uuid::now_v7().simple().to_string();
        let store = around.store.clone();
        let walk = Walk::new(&header, None);
        let bisection = Self::new(around, id, header, None, walk).await?;
        let text = serde_json::to_value(&bisection.header)?;
        store.journal_create(&bisection.id, JOURNAL_KIND, text).await?;
        Ok(bisection)
    }

    /// A bisection that was interrupted. What it had built and seen is in the store.
    pub async fn resume(around: Surroundings, record: Record) -> Result<Self, BisectError> {
        let walk = Walk::new(&record.header, Some(&record));
        let (id, header) = (record.id.clone(), record.header.clone());
        let ends = record.ends().map(|(base, tip)| (base.clone(), tip.clone()));
        let mut bisection = Self::new(around, id, header, ends, walk).await?;
        let bill = Bill::of(&record);
        bisection.knowledge.spent.builds = bill.builds_compiled as u32;
        bisection.knowledge.spent.runs = bill.runs_made as u32;
        bisection.expected = record.expected().is_some();
        bisection.before = record.seconds();
        bisection.tested = record.test();
        let left_behind = record.begun().into_iter();
        bisection.left_behind =
            left_behind.map(|begun| (begun.commit.id.clone(), begun.span())).collect();
        bisection.target = record.matcher();
        bisection.interrupted = Some((record.created, super::batch::now()));
        for step in record.steps() {
            let recorded = bisection.recorded.entry(step.commit.id.clone()).or_default();
            recorded.extend(step.runs.iter().filter_map(|run| run.id));
        }
        bisection.write(Event::Resumed).await?;
        Ok(bisection)
    }

    /// The id that the record is kept under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `ends`: those that were found, where none were given.
    async fn new(
        around: Surroundings,
        id: String,
        header: Header,
        ends: Option<(Commit, Commit)>,
        walk: Option<Walk>,
    ) -> Result<Self, BisectError> {
        let running = {
            let (work, id) = (around.work.clone(), id.clone());
            blocking(move || {
                let running = Running::claim(&work, &id)?;
                // Old kernels in the way harm nobody but the disk.
                if let Err(error) = sweep(&work) {
                    tracing::warn!(%error, "old kernels under test can't be removed");
                }
                Ok(running)
            })
            .await?
        };
        // A reproducer that does not compile, or a missing QEMU, is better told before a build.
        let test = Prepared::new(&header.test, &around.work).await?;
        let config = read_config(&header)?;
        let (history, edges) = {
            let (header, walk) = (header.clone(), walk.clone());
            blocking(move || {
                let repository = Repository::open(&header.repository)?;
                if let Some(walk) = walk.filter(Walk::is_on) {
                    return walk.range(&repository, &header.bad);
                }
                let given = header.ends().map(|(base, tip)| (base.clone(), tip.clone()));
                let (base, tip) = ends.or(given).ok_or(BisectError::NoRelease)?;
                let history = repository.history(&base.id, &tip.id)?;
                let edges = Arc::new(Edges::new(&repository, &history));
                Ok((history, edges))
            })
            .await?
        };
        let graph = graph_of(&history)?;
        let target = header.target().transpose()?;
        let (builders, stages) = (header.limits.builders, Arc::new(Stages::new(around.builds)));
        let observer = Arc::<Stages>::clone(&stages);
        let builder = Builder::new(around.store.clone(), around.work.clone(), observer)
            .with_audit(header.audit)
            .with_toolchain(header.toolchain.as_deref().unwrap_or("gcc"))
            .with_ccache(around.ccache)
            .with_proofs(around.proofs)
            .with_upstream(around.upstream)
            // One is built by the bisection itself now and then, beside all builders.
            .with_pairs((builders + 1).max(2), 6);
        let builder = Arc::new(builder);
        Ok(Self {
            workshop: Workshop::new(stages, builders),
            unlearned: Vec::new(),
            left_behind: HashMap::new(),
            builder,
            config,
            knowledge: Knowledge::new(graph, header.find),
            doubts: Doubts::default(),
            walk,
            target,
            store: around.store,
            work: around.work,
            watch: around.watch,
            patterns: around.patterns,
            made: HashMap::new(),
            shown: HashSet::new(),
            notes: Vec::new(),
            decided: None,
            expected: false,
            tested: None,
            before: 0.0,
            overdue: false,
            begun: Instant::now(),
            recorded: HashMap::new(),
            interrupted: None,
            paid: HashSet::new(),
            test,
            _running: running,
            id,
            history,
            edges,
            untouched: Untouched::default(),
            asked_for_blamed: false,
            header,
        })
    }

    /// The bad end.
    pub(super) fn bad_end(&self) -> Place {
        match self.header.find {
            Find::Cause => Place::Commit(self.history.commits.len() as u32 - 1),
            Find::Fix => Place::Base,
        }
    }

    /// The revision at a place.
    pub(super) fn revision(&self, place: Place) -> Revision {
        match place {
            Place::Base => self.history.base.clone(),
            Place::Commit(index) => self.history.commits[index as usize].revision(),
            Place::Fork(fork) => self.history.forks[fork as usize].clone(),
        }
    }

    /// The commit at a place, as records name it.
    pub(super) fn commit(&self, place: Place) -> Commit {
        let revision = self.revision(place);
        Commit { id: revision.commit, subject: revision.subject }
    }

    /// What the builder is asked for.
    pub(super) fn request(&self, place: Place) -> Request {
        Request {
            repository: self.header.repository.clone(),
            revision: self.revision(place),
            config: self.config.clone(),
            how: self.header.build_command.clone().map_or(How::Kbuild, How::Command),
            jobs: self.header.limits.jobs,
            strict_config: self.header.strict_config,
        }
    }

    /// Makes the test ready. The kernel that was just built shows whether KVM works here.
    ///
    /// # Errors
    /// Also when the record's runs are of another test.
    pub(super) async fn make_tester(
        &mut self,
        manifest: &kiln_cache::Manifest,
    ) -> Result<Tester, BisectError> {
        let limits = &self.header.limits;
        let patterns = &self.patterns;
        let kernels = self.kernels();
        let made = self.test.tester(limits, &self.store, &self.work, &kernels, manifest, patterns);
        let tester = made.await?;
        let test = tester.key();
        match self.tested.replace(test) {
            Some(before) if before != test => return Err(BisectError::OtherTest),
            Some(_) => {}
            None => self.write(Event::Tested { test }).await?,
        }
        Ok(tester)
    }

    /// Appends to the record.
    pub(super) async fn write(&self, event: Event) -> Result<(), BisectError> {
        self.store.journal_append(&self.id, serde_json::to_value(event)?).await?;
        Ok(())
    }
}

/// The graph of a range, for the planner. Its fork points are those of the history, in the same order.
///
/// # Errors
/// When the range is empty.
pub fn graph_of(history: &History) -> Result<Graph, GraphError> {
    let near = |commit: &kiln_builder::Commit| commit.parents.iter().map(|p| *p as u32).collect();
    let numbered = (0..).zip(&history.forks);
    let forks: HashMap<&str, u32> = numbered.map(|(at, fork)| (&*fork.commit, at)).collect();
    let outside = (0..).zip(&history.commits).flat_map(|(at, commit)| {
        let parents = commit.outside.iter();
        let known = |parent: &String| forks.get(&**parent).copied();
        parents.map(move |parent| (at, known(parent).map_or(Outside::Base, Outside::Fork)))
    });
    let outside = outside.collect();
    Graph::with_outside(history.commits.iter().map(near).collect(), outside)
}

/// The kernel configuration that a bisection builds with. One that was changed since it started
/// would give other kernels under one record.
fn read_config(header: &Header) -> Result<Option<Config>, BisectError> {
    let Some(path) = &header.config else { return Ok(None) };
    let config = Config::read(path)?;
    match header.config_digest {
        Some(digest) if digest != config.digest() => {
            Err(BisectError::Changed { path: path.clone() })
        }
        _ => Ok(Some(config)),
    }
}

/// Runs blocking work (git, the planner) off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BisectError> + Send + 'static,
) -> Result<T, BisectError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BisectError::Task(error.to_string()))?
}

/// A question as records held it before they held the configuration's digest.
#[cfg(test)]
pub(crate) fn tests_header() -> Header {
    serde_json::from_value(serde_json::json!({
        "repository": "/r", "good": { "id": "a", "subject": "" },
        "bad": { "id": "b", "subject": "" }, "config": null, "build_command": null,
        "strict_config": false, "title": null,
        "test": { "kind": "command", "command": "true", "folder": "/" },
        "limits": { "machines": 1, "jobs": 1, "boot_timeout": 1, "run_timeout": 1,
            "memory_mb": 1, "cpus": 1, "confidence": 0.95, "max_builds": null, "max_runs": null },
    }))
    .expect("an old header is read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_configuration_is_another_question() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "CONFIG_A=y\n").unwrap();
        let mut header = Header { config: Some(file.path().to_owned()), ..tests_header() };
        let config = read_config(&header).unwrap().unwrap();
        header.config_digest = Some(config.digest());
        assert!(read_config(&header).is_ok());
        std::fs::write(file.path(), "CONFIG_A=n\n").unwrap();
        assert!(matches!(read_config(&header), Err(BisectError::Changed { .. })));
    }
}
