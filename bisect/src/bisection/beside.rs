//! What goes on beside the runs and the builds that are waited for: builds of what will probably be
//! asked for soon.
//!
//! A build that was begun before it was asked for is an event of the record, and so is its end. It is
//! learned of before the next decision, as if it had been asked for.

use std::pin::pin;
use std::sync::Arc;

use super::error::BisectError;
use super::setup::Bisection;
use super::steps::record_of;
use super::workshop::Ended;
use crate::plan::{Beside, Need, Place, Test};
use crate::record::{BuildRecord, Event, Obtained};
use crate::tester::Tester;
use crate::watch::Happening;

const AHEAD: &str = "built before it was asked for";

/// A build that has ended, and that was not learned of yet.
pub(super) struct Unlearned {
    place: Place,
    manifest: kiln_cache::Manifest,
    record: BuildRecord,
}

impl Bisection {
    /// Sets builders to work for a test, and for what may come after it. With `true`, the test can
    /// be made now; else something else was learned meanwhile, and is to be decided upon.
    pub(super) async fn prepare(
        &mut self,
        tester: &Arc<Tester>,
        test: &Test,
        beside: Beside,
    ) -> Result<bool, BisectError> {
        if self.header.limits.builders == 0 {
            return Ok(true);
        }
        if let Some(place) = beside.give_up {
            self.give_up(place).await?;
        }
        self.workshop.wanted = beside.ahead.into();
        let place = test.revision;
        // What failed by the machine's fault is built once more, and then its error is everybody's.
        if !test.build || self.workshop.failed.contains(&place) {
            self.fill().await?;
            return Ok(true);
        }
        if !self.workshop.is_building(place) && !self.workshop.is_full() {
            self.workshop.begin(place, self.request(place));
            self.tell_building();
        }
        if !self.workshop.is_building(place) {
            // The first builder that is free takes it.
            self.workshop.wanted.push_front(Need { place, probability: 1.0 });
        }
        self.fill().await?;
        if let Some(runs) = beside.meanwhile {
            self.visit(tester, runs.revision, runs.runs, &runs.why).await?;
            return Ok(false);
        }
        let (commit, why) = (self.commit(place), test.why.as_str());
        self.watch.happening(Happening::Chosen { commit: &commit, why, runs: test.runs });
        self.workshop.listen(&commit.id, true);
        if let Some(ended) = self.workshop.next().await? {
            self.take(ended).await?;
        }
        self.workshop.listen(&commit.id, false);
        let told = self.learn_ended(tester, Some(test)).await?;
        Ok(self.made.contains_key(&place) && !told.contains(&place))
    }

    /// Awaits `work` while builds go on: of each that ends is taken note, and others are begun.
    pub(super) async fn beside<T>(
        &mut self,
        work: impl Future<Output = Result<T, BisectError>>,
    ) -> Result<T, BisectError> {
        let mut work = pin!(work);
        loop {
            let ended = tokio::select! {
                done = &mut work => return done,
                Some(ended) = next(&mut self.workshop) => ended?,
            };
            self.take(ended).await?;
            self.fill().await?;
        }
    }

    /// Begins what is wanted, as far as there are builders and time for it.
    async fn fill(&mut self) -> Result<(), BisectError> {
        while !self.workshop.is_full()
            && let Some(need) = self.workshop.wanted.pop_front()
        {
            let place = need.place;
            let needless = self.knowledge.build(place).is_some()
                || self.workshop.is_building(place)
                || self.workshop.failed.contains(&place)
                || self.unlearned.iter().any(|ended| ended.place == place)
                || self.is_late_in(self.knowledge.costs().build_seconds);
            if needless {
                continue;
            }
            self.workshop.begin(place, self.request(place));
            let (commit, probability) = (self.commit(place), need.probability);
            self.watch.happening(Happening::BegunAhead { commit: &commit, probability });
            self.tell_building();
            self.write(Event::BegunAhead { commit, probability }).await?;
        }
        Ok(())
    }

    /// Takes note that a build has ended. What it means is learned before the next decision: that
    /// may take a while, and machines would wait for it.
    pub(super) async fn take(&mut self, ended: Ended) -> Result<(), BisectError> {
        let Ended { place, begun, built } = ended;
        let commit = self.commit(place);
        self.tell_building();
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                tracing::warn!(commit = commit.id, %error, "a build beside others failed");
                self.workshop.failed.insert(place);
                return Ok(());
            }
        };
        let record = record_of(&built, begun);
        if record.obtained == Obtained::Compiled {
            self.knowledge.spent.builds += 1;
            let seconds = record.seconds;
            self.write(Event::Compiled { commit, seconds }).await?;
        }
        self.unlearned.push(Unlearned { place, manifest: built.manifest, record });
        Ok(())
    }

    /// Learns of the builds that have ended; those for `asked` were asked for. Returns the places
    /// whose step is written already: what does not build, and what is known to have run before.
    pub(super) async fn learn_ended(
        &mut self,
        tester: &Arc<Tester>,
        asked: Option<&Test>,
    ) -> Result<Vec<Place>, BisectError> {
        let mut told = Vec::new();
        for Unlearned { place, manifest, record } in std::mem::take(&mut self.unlearned) {
            let before = self.knowledge.build(place);
            let made = self.learn_built(place, manifest, record).await?;
            if before.is_some() && before == self.knowledge.build(place) {
                continue;
            }
            let runs = match made.manifest.image() {
                Some(image) => self.recall_runs(tester, image).await?,
                None => Vec::new(),
            };
            if made.manifest.image().is_none() || !runs.is_empty() {
                let why = asked.filter(|test| test.revision == place);
                let why = why.map_or(AHEAD, |test| test.why.as_str());
                self.write_step(place, why, made.record, runs).await?;
                told.push(place);
            }
        }
        // What was proved meanwhile need not be built.
        let flying: Vec<Place> =
            self.workshop.flying().into_iter().map(|flying| flying.place).collect();
        for place in flying {
            if self.knowledge.build(place).is_some() {
                self.give_up(place).await?;
            }
        }
        Ok(told)
    }

    /// Waits for the build of a place, if one is under way.
    pub(super) async fn wait_for(&mut self, place: Place) -> Result<(), BisectError> {
        while self.workshop.is_building(place) {
            let Some(ended) = self.workshop.next().await? else { break };
            self.take(ended).await?;
        }
        let Some(at) = self.unlearned.iter().position(|ended| ended.place == place) else {
            return Ok(());
        };
        let Unlearned { manifest, record, .. } = self.unlearned.swap_remove(at);
        self.learn_built(place, manifest, record).await.map(drop)
    }

    /// Ends what goes on beside: what is not through is given up.
    pub(super) async fn end_builds(&mut self) -> Result<(), BisectError> {
        self.workshop.wanted.clear();
        let flying: Vec<Place> =
            self.workshop.flying().into_iter().map(|flying| flying.place).collect();
        for place in flying {
            self.give_up(place).await?;
        }
        // What is being stored is nearly there.
        while let Some(ended) = self.workshop.next().await? {
            self.take(ended).await?;
        }
        Ok(())
    }

    async fn give_up(&mut self, place: Place) -> Result<(), BisectError> {
        let Some(seconds) = self.workshop.give_up(place) else { return Ok(()) };
        self.tell_building();
        let commit = self.commit(place);
        self.write(Event::GivenUp { commit, seconds }).await
    }

    fn tell_building(&self) {
        let flying = self.workshop.flying();
        let commits: Vec<&str> = flying.iter().map(|flying| flying.commit.as_str()).collect();
        self.watch.happening(Happening::Building { commits: &commits });
    }
}

/// The next build to end; nothing when none is under way.
async fn next(workshop: &mut super::workshop::Workshop) -> Option<Result<Ended, BisectError>> {
    workshop.next().await.transpose()
}
