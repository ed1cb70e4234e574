//! Builds that go on beside everything else, each in a task of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kiln_builder::{BuildError, BuildEvent, Built, Observer, Stage};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};

use super::knowledge::Price;
use crate::plan::{Building, Place, Problem};

/// Builds under way, and what is built next.
pub(super) struct Workshop {
    stages: Arc<Stages>,
    builders: usize,
    /// Each gives its build, or nothing when it was given up.
    tasks: JoinSet<Option<Result<Built, BuildError>>>,
    flying: HashMap<Id, Flying>,
    /// What builders without work take next.
    pub(super) wanted: VecDeque<Wanted>,
    /// Builds that failed by the machine's fault: not to be tried again before they are asked for.
    pub(super) failed: HashSet<Place>,
}

/// A build that a free builder is to begin.
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) need: Need,
}

/// What a build is wanted for.
pub(super) enum Need {
    /// A test waits for it, and why it is made.
    Asked(String),
    /// It will be asked for with this probability.
    Ahead(f64),
}

/// A build under way.
pub(super) struct Flying {
    pub(super) place: Place,
    pub(super) commit: String,
    pub(super) begun: Instant,
    /// Why it was asked for, once it was.
    asked: Option<String>,
    /// What was expected of it when it was begun.
    price: Price,
    give_up: Option<oneshot::Sender<()>>,
}

/// A build that has ended.
pub(super) struct Ended {
    pub(super) place: Place,
    pub(super) begun: Instant,
    pub(super) asked: Option<String>,
    pub(super) price: Price,
    pub(super) end: End,
}

/// How a build has ended.
pub(super) enum End {
    /// There is one, be it one that does not compile.
    Built(Box<Built>),
    /// By the machine's fault, or by Kiln's: what was said.
    Failed(String),
    GivenUp,
}

impl Workshop {
    /// A workshop with so many builders, which tell `stages` of what they do.
    pub(super) fn new(stages: Arc<Stages>, builders: usize) -> Self {
        Self {
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

    /// What is known of the stages of builds, those among them that are waited for.
    pub(super) fn stages(&self) -> Arc<Stages> {
        Arc::clone(&self.stages)
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

    /// Tells the planner of the builds under way: what they were expected to take, and what is left of
    /// that. In whole milliseconds, so that records say it exactly; one that is being stored already
    /// takes no time.
    pub(super) fn tell(&self, problem: &mut Problem) {
        for flying in self.flying() {
            let whole = flying.price.seconds;
            let left = match self.stages.is_storing(&flying.commit) {
                true => 0.0,
                // What takes longer than others may take longer still.
                false => (whole - flying.begun.elapsed().as_secs_f64()).max(whole / 10.0),
            };
            let seconds = (left * 1000.0).round() / 1000.0;
            problem.building.push(Building { place: flying.place, seconds });
            let slot = flying.place.commit().map(|commit| commit as usize);
            if let Some(slot) = slot.and_then(|commit| problem.builds.get_mut(commit)) {
                *slot = whole;
            }
        }
    }

    /// Begins a build, of which the observer is told nothing until somebody waits for it. `asked`:
    /// why it was asked for, if it was.
    pub(super) fn begin(
        &mut self,
        place: Place,
        commit: String,
        asked: Option<String>,
        price: Price,
        build: impl Future<Output = Result<Built, BuildError>> + Send + 'static,
    ) {
        self.stages.forget(&commit);
        self.stages.listen(&commit, false);
        let (give_up, given_up) = oneshot::channel();
        let (stages, name) = (Arc::clone(&self.stages), commit.clone());
        let task = self.tasks.spawn(async move {
            let mut build = pin!(build);
            tokio::select! {
                biased;
                built = &mut build => return Some(built),
                _ = given_up => {}
            }
            // It tells of its stages while it is polled. Between two polls none begins, so what was
            // not being stored a moment ago is not stored by what is dropped here.
            match stages.is_kept(&name) {
                true => Some(build.await),
                false => None,
            }
        });
        let (begun, give_up) = (Instant::now(), Some(give_up));
        self.flying.insert(task.id(), Flying { place, commit, begun, asked, price, give_up });
    }

    /// Takes note of why the build of a place is asked for. Whether it is under way.
    pub(super) fn ask(&mut self, place: Place, why: &str) -> bool {
        let found = self.flying.values_mut().find(|flying| flying.place == place);
        found.map(|flying| flying.asked = Some(why.to_owned())).is_some()
    }

    /// Gives a build up, unless its make is through: then it is stored. Whether it was told to end;
    /// its end is awaited like any other's, since it may be through in this very moment.
    pub(super) fn give_up(&mut self, place: Place) -> bool {
        let found = self.flying.values_mut().find(|flying| flying.place == place);
        let Some(flying) = found.filter(|flying| !self.stages.is_kept(&flying.commit)) else {
            return false;
        };
        // Nobody listens any more when it has just ended.
        flying.give_up.take().is_some_and(|give_up| give_up.send(()).is_ok())
    }

    /// Whether the observer is told of the build of a place, if that is under way.
    pub(super) fn listen(&self, place: Place, heard: bool) {
        for flying in self.flying.values().filter(|flying| flying.place == place) {
            self.stages.listen(&flying.commit, heard);
        }
    }

    /// Waits for the first build under way to end; nothing when there is none.
    ///
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        while let Some(joined) = self.tasks.join_next_with_id().await {
            let (id, end) = match joined {
                Ok((id, Some(Ok(built)))) => (id, End::Built(Box::new(built))),
                Ok((id, Some(Err(error)))) => (id, End::Failed(error.to_string())),
                Ok((id, None)) => (id, End::GivenUp),
                // A panic: should somebody ask for this build, it shows itself again.
                Err(error) => (error.id(), End::Failed(error.to_string())),
            };
            let Some(Flying { place, commit, begun, asked, price, .. }) = self.flying.remove(&id)
            else {
                continue;
            };
            self.stages.forget(&commit);
            return Some(Ended { place, begun, asked, price, end });
        }
        None
    }
}

/// Passes on what builders tell, and knows whose make is through.
pub(crate) struct Stages {
    to: Arc<dyn Observer>,
    commits: Mutex<Commits>,
}

#[derive(Default)]
struct Commits {
    /// Are being stored.
    storing: HashSet<String>,
    /// Were being stored since they were begun. What a stage proved lies in the store before it is
    /// audited, and the audit compiles: were it given up then, whoever asks next would have to audit it.
    kept: HashSet<String>,
    /// Nobody waits for them, and what is waited for is shown on one line.
    unheard: HashSet<String>,
}

impl Stages {
    pub(crate) fn new(to: Arc<dyn Observer>) -> Self {
        Self { to, commits: Mutex::default() }
    }

    fn is_storing(&self, commit: &str) -> bool {
        self.commits().storing.contains(commit)
    }

    /// Whether a build must not be given up any more.
    pub(crate) fn is_kept(&self, commit: &str) -> bool {
        self.commits().kept.contains(commit)
    }

    /// Whether what a commit's build tells is passed on.
    fn listen(&self, commit: &str, heard: bool) {
        match heard {
            true => _ = self.commits().unheard.remove(commit),
            false => _ = self.commits().unheard.insert(commit.to_owned()),
        }
    }

    /// A commit's build has ended.
    pub(crate) fn forget(&self, commit: &str) {
        let mut commits = self.commits();
        commits.storing.remove(commit);
        commits.kept.remove(commit);
        commits.unheard.remove(commit);
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stages {
    fn event(&self, event: &BuildEvent) {
        let mut commits = self.commits();
        match event.stage {
            Stage::Storing => {
                commits.storing.insert(event.commit.clone());
                commits.kept.insert(event.commit.clone());
            }
            _ => _ = commits.storing.remove(&event.commit),
        }
        let heard = !commits.unheard.contains(&event.commit);
        drop(commits);
        if heard {
            self.to.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::graph::Graph;
    use crate::plan::Costs;

    /// Counts what it is told.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Observer for Counting {
        fn event(&self, _event: &BuildEvent) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const PLACE: Place = Place::Commit(3);
    const PRICE: Price = Price { seconds: 100.0, share: None };

    fn workshop() -> (Workshop, Arc<Stages>, Arc<Counting>) {
        let heard = Arc::new(Counting::default());
        let stages = Arc::new(Stages::new(Arc::<Counting>::clone(&heard)));
        (Workshop::new(Arc::clone(&stages), 2), stages, heard)
    }

    fn tell(stages: &Stages, stage: Stage) {
        stages.event(&BuildEvent { commit: "c".into(), stage });
    }

    fn end_of(ended: Option<Ended>) -> &'static str {
        match ended.expect("a build is under way").end {
            End::Built(_) => "built",
            End::Failed(_) => "failed",
            End::GivenUp => "given up",
        }
    }

    #[tokio::test]
    async fn a_build_is_given_up_before_it_is_stored_and_not_while_it_is_audited() {
        let (mut workshop, stages, _) = workshop();
        workshop.begin(PLACE, "c".into(), None, PRICE, std::future::pending());
        assert!(workshop.give_up(PLACE) && workshop.is_building(PLACE));
        assert_eq!(end_of(workshop.next().await), "given up");
        assert!(!workshop.is_building(PLACE) && workshop.next().await.is_none());

        let (end, ends) = oneshot::channel::<()>();
        let told = Arc::clone(&stages);
        let audited = async move {
            tell(&told, Stage::Storing);
            tell(&told, Stage::Configuring);
            _ = ends.await;
            Err(BuildError::Stopped("as far as this test goes"))
        };
        workshop.begin(PLACE, "c".into(), None, PRICE, audited);
        // Told to end before its first turn: that it is being stored by then is what counts.
        assert!(workshop.give_up(PLACE));
        tokio::task::yield_now().await;
        assert!(!workshop.give_up(PLACE), "being audited");
        let mut problem = Problem::new(Arc::new(Graph::linear(5).unwrap()), Costs::default());
        problem.builds = vec![20.0; 5];
        workshop.tell(&mut problem);
        assert!(problem.building[0].seconds > 90.0, "an audit compiles: {problem:?}");
        assert_eq!(problem.builds, [20.0, 20.0, 20.0, 100.0, 20.0], "by what it was begun upon");
        end.send(()).unwrap();
        assert_eq!(end_of(workshop.next().await), "failed");
        assert!(!stages.is_kept("c"));
    }

    #[tokio::test]
    async fn a_build_that_panics_has_failed_and_others_go_on() {
        let (mut workshop, ..) = workshop();
        workshop.begin(PLACE, "c".into(), None, PRICE, async { panic!("a bug") });
        assert!(workshop.ask(PLACE, "the middle") && !workshop.ask(Place::Base, "the good end"));
        let ended = workshop.next().await.unwrap();
        assert_eq!((ended.place, ended.asked.as_deref()), (PLACE, Some("the middle")));
        assert!(matches!(ended.end, End::Failed(why) if why.contains("panic")));
        assert!(!workshop.is_building(PLACE));
    }

    #[tokio::test]
    async fn a_build_is_heard_while_it_is_waited_for_and_after_it() {
        let (mut workshop, stages, heard) = workshop();
        workshop.begin(PLACE, "c".into(), None, PRICE, std::future::pending());
        let tells = |expected: usize| {
            tell(&stages, Stage::Linking);
            assert_eq!(heard.0.swap(0, Ordering::Relaxed), expected);
        };
        tells(0);
        workshop.listen(PLACE, true);
        tells(1);
        workshop.listen(PLACE, false);
        tells(0);
        workshop.give_up(PLACE);
        workshop.next().await;
        // Nothing is under way, so nothing is silenced.
        workshop.listen(PLACE, false);
        tells(1);
    }
}
