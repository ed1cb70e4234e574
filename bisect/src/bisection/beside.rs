//! What goes on beside the runs and the builds that are waited for: builds of what will probably be
//! asked for soon.
//!
//! That a build was begun is an event of the record, and so is its end. It is learned of before the
//! next decision, whether it was asked for or not.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use super::budget::in_time;
use super::error::BisectError;
use super::made::record_of;
use super::setup::Bisection;
use super::workshop::{End, Ended, Need, Wanted};
use crate::plan::{Beside, Place, Test};
use crate::record::{BuildRecord, Event, Obtained};
use crate::tester::Tester;
use crate::watch::Happening;

const AHEAD: &str = "built before it was asked for";

/// A build that has ended, and that was not learned of yet.
pub(super) struct Unlearned {
    place: Place,
    begun: Instant,
    /// Why it was asked for, if it was.
    asked: Option<String>,
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
        let ahead = beside.ahead.iter();
        let ahead = ahead.map(|it| Wanted { place: it.place, need: Need::Ahead(it.probability) });
        self.workshop.wanted = ahead.collect();
        let place = test.revision;
        // What failed by the machine's fault is built once more, and then its error is everybody's.
        if !test.build || self.workshop.failed.contains(&place) {
            self.fill().await?;
            return Ok(true);
        }
        // It may have ended while another was given up.
        if !self.has_ended(place) {
            if !self.workshop.ask(place, &test.why) {
                // The first builder that is free takes it.
                let need = Need::Asked(test.why.clone());
                self.workshop.wanted.push_front(Wanted { place, need });
            }
            self.fill().await?;
            if let Some(runs) = beside.meanwhile {
                self.visit(tester, runs.revision, runs.runs, &runs.why).await?;
                return Ok(false);
            }
            let (commit, why) = (self.commit(place), test.why.as_str());
            self.watch.happening(Happening::Chosen { commit: &commit, why, runs: test.runs });
            self.workshop.listen(place, true);
            let ended = self.next_in_time(place).await;
            self.workshop.listen(place, false);
            if let Some(ended) = ended? {
                self.take(ended).await?;
            }
        }
        let told = self.learn_ended(tester).await?;
        if self.settle_doubts(tester).await? {
            return Ok(false);
        }
        Ok(self.made.contains_key(&place) && !told.contains(&place))
    }

    /// The next build that ends, while the one of a place is waited for.
    async fn next_in_time(&mut self, place: Place) -> Result<Option<Ended>, BisectError> {
        let (deadline, commit) = (self.build_deadline(place), self.commit(place).id);
        let stages = self.workshop.stages();
        let next = async { Ok(self.workshop.next().await) };
        in_time(deadline, || stages.is_kept(&commit), next).await
    }

    /// Whether a build of a place has to be begun before it can be run.
    pub(super) fn needs_build(&self, place: Place) -> bool {
        self.knowledge.build(place).is_none()
            && !self.workshop.is_building(place)
            && !self.has_ended(place)
    }

    fn has_ended(&self, place: Place) -> bool {
        self.unlearned.iter().any(|ended| ended.place == place)
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
                Some(ended) = self.workshop.next() => ended,
            };
            self.take(ended).await?;
            self.fill().await?;
        }
    }

    /// Begins what is wanted, as far as there are builders and time for it.
    async fn fill(&mut self) -> Result<(), BisectError> {
        while !self.workshop.is_full()
            && let Some(Wanted { place, need }) = self.workshop.wanted.pop_front()
        {
            if !self.needs_build(place) || self.workshop.failed.contains(&place) {
                continue;
            }
            let (commit, request) = (self.commit(place), self.request(place));
            let price = self.knowledge.price(place);
            let asked = match need {
                Need::Asked(why) => Some(why),
                Need::Ahead(_) if self.is_late_in(price.seconds) => continue,
                Need::Ahead(probability) => {
                    self.watch.happening(Happening::BegunAhead { commit: &commit, probability });
                    None
                }
            };
            let begun = Event::Begun { commit: commit.clone(), asked: asked.is_some() };
            let builder = Arc::clone(&self.builder);
            let build = async move { builder.build(&request).await };
            self.workshop.begin(place, commit.id, asked, price, build);
            self.tell_building();
            self.write(begun).await?;
        }
        Ok(())
    }

    /// Takes note that a build has ended. What it means is learned before the next decision: that
    /// may take a while, and machines would wait for it.
    pub(super) async fn take(&mut self, ended: Ended) -> Result<(), BisectError> {
        let Ended { place, begun, asked, price, end } = ended;
        let commit = self.commit(place);
        self.tell_building();
        let seconds = begun.elapsed().as_secs_f64();
        let built = match end {
            End::Built(built) => built,
            End::GivenUp => return self.write(Event::GivenUp { commit, seconds }).await,
            End::Failed(error) => {
                tracing::warn!(commit = commit.id, %error, "a build beside others failed");
                self.workshop.failed.insert(place);
                return self.write(Event::GivenUp { commit, seconds }).await;
            }
        };
        self.doubts.audited |= built.refuted;
        let record = record_of(&built, begun);
        let event = match record.obtained {
            Obtained::Compiled => {
                self.knowledge.learn_compiled(&price, &built.manifest);
                Event::Compiled { commit, seconds: record.seconds }
            }
            obtained => Event::LookedUp { commit, obtained },
        };
        self.write(event).await?;
        self.unlearned.push(Unlearned { place, begun, asked, manifest: built.manifest, record });
        Ok(())
    }

    /// Learns of the builds that have ended. Returns the places whose step is written already: what
    /// does not build, and what is known to have run before.
    pub(super) async fn learn_ended(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<Vec<Place>, BisectError> {
        let mut told = Vec::new();
        loop {
            for ended in std::mem::take(&mut self.unlearned) {
                let place = ended.place;
                if self.learn_one(tester, ended).await? {
                    told.push(place);
                }
            }
            // What was proved meanwhile need not be built. Others may end before that is given up.
            for place in self.under_way() {
                if self.knowledge.build(place).is_some() {
                    self.give_up(place).await?;
                }
            }
            if self.unlearned.is_empty() {
                return Ok(told);
            }
        }
    }

    /// Learns of a build that has ended. Whether that was its step.
    async fn learn_one(
        &mut self,
        tester: &Arc<Tester>,
        ended: Unlearned,
    ) -> Result<bool, BisectError> {
        let Unlearned { place, begun, asked, manifest, record } = ended;
        if !self.is_believed(place, begun, &manifest).await? {
            return Ok(false);
        }
        let before = self.knowledge.build(place);
        let made = self.learn_built(place, manifest, record).await?;
        if before.is_some() && before == self.knowledge.build(place) {
            return Ok(false);
        }
        let runs = match made.manifest.image() {
            Some(image) => self.recall_runs(tester, image).await?,
            None => Vec::new(),
        };
        let is_step = made.manifest.image().is_none() || !runs.is_empty();
        if is_step {
            self.write_step(place, asked.as_deref().unwrap_or(AHEAD), made.record, runs).await?;
        }
        Ok(is_step)
    }

    /// Waits for the build of a place, if one is under way.
    pub(super) async fn wait_for(&mut self, place: Place) -> Result<(), BisectError> {
        self.workshop.listen(place, true);
        while self.workshop.is_building(place) {
            let Some(ended) = self.next_in_time(place).await? else { break };
            self.take(ended).await?;
        }
        let Some(at) = self.unlearned.iter().position(|ended| ended.place == place) else {
            return Ok(());
        };
        let Unlearned { begun, manifest, record, .. } = self.unlearned.swap_remove(at);
        if self.is_believed(place, begun, &manifest).await? {
            self.learn_built(place, manifest, record).await?;
        }
        Ok(())
    }

    /// Ends what goes on beside: what is not through is given up.
    pub(super) async fn end_builds(&mut self) -> Result<(), BisectError> {
        self.workshop.wanted.clear();
        for place in self.under_way() {
            self.give_up(place).await?;
        }
        // What was being stored is nearly there, or is audited.
        while let Some(ended) = self.workshop.next().await {
            self.take(ended).await?;
        }
        Ok(())
    }

    /// Gives a build up, and awaits that: of others that end before it, note is taken.
    async fn give_up(&mut self, place: Place) -> Result<(), BisectError> {
        if !self.workshop.give_up(place) {
            return Ok(());
        }
        while self.workshop.is_building(place) {
            let Some(ended) = self.workshop.next().await else { break };
            self.take(ended).await?;
        }
        Ok(())
    }

    pub(super) fn under_way(&self) -> Vec<Place> {
        self.workshop.flying().into_iter().map(|flying| flying.place).collect()
    }

    fn tell_building(&self) {
        let flying = self.workshop.flying();
        let commits: Vec<&str> = flying.iter().map(|flying| flying.commit.as_str()).collect();
        self.watch.happening(Happening::Building { commits: &commits });
    }
}
