//! Builds that go on beside everything else, each in a task of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kiln_builder::{BuildError, BuildEvent, Builder, Built, Observer, Request, Stage};
use tokio::task::{AbortHandle, Id, JoinSet};

use super::error::BisectError;
use crate::plan::{Building, Need, Place};

/// Builds under way, and what is built next.
pub(super) struct Workshop {
    builder: Arc<Builder>,
    stages: Arc<Stages>,
    builders: usize,
    tasks: JoinSet<Result<Built, BuildError>>,
    flying: HashMap<Id, Flying>,
    /// What builders without work take next.
    pub(super) wanted: VecDeque<Need>,
    /// Builds that failed by the machine's fault: not to be tried again before they are asked for.
    pub(super) failed: HashSet<Place>,
}

/// A build under way.
pub(super) struct Flying {
    pub(super) place: Place,
    pub(super) commit: String,
    pub(super) begun: Instant,
    abort: AbortHandle,
}

/// A build that has ended.
pub(super) struct Ended {
    pub(super) place: Place,
    pub(super) begun: Instant,
    pub(super) built: Result<Built, BuildError>,
}

impl Workshop {
    /// A workshop with so many builders. The builder must tell `stages` of what it does.
    pub(super) fn new(builder: Arc<Builder>, stages: Arc<Stages>, builders: usize) -> Self {
        Self {
            builder,
            stages,
            builders,
            tasks: JoinSet::new(),
            flying: HashMap::new(),
            wanted: VecDeque::new(),
            failed: HashSet::new(),
        }
    }

    pub(super) fn is_building(&self, place: Place) -> bool {
        self.flying.values().any(|flying| flying.place == place)
    }

    pub(super) fn is_full(&self) -> bool {
        self.flying.len() >= self.builders
    }

    /// The builds under way, the oldest first.
    pub(super) fn flying(&self) -> Vec<&Flying> {
        let mut list: Vec<&Flying> = self.flying.values().collect();
        list.sort_by_key(|flying| flying.begun);
        list
    }

    /// As the planner takes them, when a build takes so many seconds. In whole milliseconds, so that
    /// records say it exactly; one that is being stored already takes no time.
    pub(super) fn building(&self, build_seconds: f64) -> Vec<Building> {
        let left = |flying: &Flying| match self.stages.is_storing(&flying.commit) {
            true => 0.0,
            // What takes longer than others may take longer still.
            false => {
                (build_seconds - flying.begun.elapsed().as_secs_f64()).max(build_seconds / 10.0)
            }
        };
        let round = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        self.flying()
            .into_iter()
            .map(|flying| Building { place: flying.place, seconds: round(left(flying)) })
            .collect()
    }

    /// Begins a build, of which the observer is told nothing until somebody waits for it.
    pub(super) fn begin(&mut self, place: Place, request: Request) {
        let (builder, commit) = (Arc::clone(&self.builder), request.revision.commit.clone());
        self.stages.listen(&commit, false);
        let abort = self.tasks.spawn(async move { builder.build(&request).await });
        let flying = Flying { place, commit, begun: Instant::now(), abort: abort.clone() };
        self.flying.insert(abort.id(), flying);
    }

    /// Gives a build up, unless its make is through: then it is stored. The seconds spent on it.
    pub(super) fn give_up(&mut self, place: Place) -> Option<f64> {
        let found = self.flying.iter().find(|(_, flying)| flying.place == place);
        let (id, _) = found.filter(|(_, flying)| !self.stages.is_storing(&flying.commit))?;
        let id = *id;
        let flying = self.flying.remove(&id)?;
        flying.abort.abort();
        Some(flying.begun.elapsed().as_secs_f64())
    }

    /// Whether the observer is told of a build under way.
    pub(super) fn listen(&self, commit: &str, heard: bool) {
        self.stages.listen(commit, heard);
    }

    /// Waits for the first build under way to end; nothing when there is none.
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Ended>, BisectError> {
        while let Some(joined) = self.tasks.join_next_with_id().await {
            let (id, built) = match joined {
                Ok(ended) => ended,
                // It was given up.
                Err(error) if error.is_cancelled() => continue,
                Err(error) => return Err(BisectError::Task(error.to_string())),
            };
            // One that ended in the moment in which it was given up is known to the store.
            let Some(Flying { place, begun, .. }) = self.flying.remove(&id) else { continue };
            return Ok(Some(Ended { place, begun, built }));
        }
        Ok(None)
    }
}

/// Passes on what builders tell, and knows whose make is through.
pub(super) struct Stages {
    to: Arc<dyn Observer>,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Commits {
    storing: HashSet<String>,
    /// Nobody waits for them, and what is waited for is shown on one line.
    unheard: HashSet<String>,
}

impl Stages {
    pub(super) fn new(to: Arc<dyn Observer>) -> Self {
        Self { to, commits: Mutex::default() }
    }

    fn is_storing(&self, commit: &str) -> bool {
        self.commits().storing.contains(commit)
    }

    /// Whether what a commit's build tells is passed on.
    pub(super) fn listen(&self, commit: &str, heard: bool) {
        match heard {
            true => _ = self.commits().unheard.remove(commit),
            false => _ = self.commits().unheard.insert(commit.to_owned()),
        }
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stages {
    fn event(&self, event: &BuildEvent) {
        let mut commits = self.commits();
        match event.stage {
            Stage::Storing => _ = commits.storing.insert(event.commit.clone()),
            _ => _ = commits.storing.remove(&event.commit),
        }
        let heard = !commits.unheard.contains(&event.commit);
        drop(commits);
        if heard {
            self.to.event(event);
        }
    }
}
