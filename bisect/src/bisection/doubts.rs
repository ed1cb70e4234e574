//! What turns out to be wrong while a bisection goes on, of builds that it has learned of.
//!
//! An audit may take builds out of the store that rest on what was refuted: one of its own, or one of
//! another process, of which only the store tells. And it sees itself when the build of a revision is not
//! what the closure of another proved: such an audit has cost nothing, and the store is told. Either way,
//! before the next decision all that was learned of builds is forgotten but what the store still says, as
//! if the bisection had been stopped and gone on with.

use std::sync::Arc;
use std::time::Instant;

use kiln_cache::{InputKey, Manifest};

use super::error::BisectError;
use super::setup::Bisection;
use super::untouched::Untouched;
use crate::plan::Place;
use crate::tester::Tester;

/// What was found wrong since the last decision.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// An audit has refuted what was said of a build.
    pub(super) audited: bool,
    /// How much was refuted and withdrawn, by anybody, when that was last asked.
    refuted: Option<usize>,
    /// Builds that are not what was proved of them.
    witnesses: Vec<Witness>,
    /// When builds were last withdrawn: one that was begun before may be none any more.
    withdrawn: Option<Instant>,
}

/// That a revision's own build is not the build `by`, whose closure proves that it is.
#[derive(Debug)]
struct Witness {
    place: Place,
    by: InputKey,
}

impl Doubts {
    /// Takes note that the build of a place is not the one that the closure of `by` proved.
    pub(super) fn witness(&mut self, place: Place, by: InputKey) {
        self.witnesses.push(Witness { place, by });
    }
}

impl Bisection {
    /// Takes note of what was refuted before anything is learned of builds: what is refuted from then on
    /// is to be noticed.
    pub(super) async fn begin_doubts(&mut self) -> Result<(), BisectError> {
        self.doubts.refuted = Some(self.builder.refuted_so_far().await?);
        Ok(())
    }

    /// [`Bisection::settle_doubts`] for an answer that is the last: with a look at what others say now.
    pub(super) async fn settle_last_doubts(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<bool, BisectError> {
        self.store.look_again();
        self.settle_doubts(tester).await
    }

    /// Carries out what was found wrong, and forgets what is no more. Whether anything was: then a
    /// decision that was made before counts for nothing.
    pub(super) async fn settle_doubts(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<bool, BisectError> {
        let mut any = false;
        // What is recalled may speak against something else that is still believed.
        while self.tell_doubts().await? {
            any = true;
            self.recall_anew().await?;
        }
        if any {
            self.recall_unseen_images(tester).await?;
        }
        Ok(any)
    }

    /// Tells the store which proofs were found to be wrong. Whether builds were withdrawn since the last
    /// time, by this or by an audit, whoever made it.
    pub(super) async fn tell_doubts(&mut self) -> Result<bool, BisectError> {
        let mut withdrawn = std::mem::take(&mut self.doubts.audited);
        for Witness { place, by } in std::mem::take(&mut self.doubts.witnesses) {
            let request = self.request(place);
            let key = self.builder.request_key(&request)?;
            withdrawn |= match self.store.build_by_request(&key).await? {
                Some(own) => self.builder.refute(&request, own.input_key, by).await?,
                None => true,
            };
        }
        let refuted = self.builder.refuted_so_far().await?;
        let before = self.doubts.refuted.replace(refuted);
        withdrawn |= before.is_some_and(|before| before != refuted);
        if withdrawn {
            self.doubts.withdrawn = Some(Instant::now());
        }
        Ok(withdrawn)
    }

    /// Whether a build that was begun a while ago, and has ended, may be learned of.
    pub(super) async fn is_believed(
        &self,
        place: Place,
        begun: Instant,
        build: &Manifest,
    ) -> Result<bool, BisectError> {
        let is_older = self.doubts.withdrawn.is_some_and(|withdrawn| begun < withdrawn);
        Ok(!is_older || self.is_stored(place, build).await?)
    }

    /// Whether the store still gives this build for a place.
    async fn is_stored(&self, place: Place, build: &Manifest) -> Result<bool, BisectError> {
        Ok(self.builder.known(&self.request(place)).await?.as_ref() == Some(build))
    }

    /// Forgets all builds but those that the store knows now.
    async fn recall_anew(&mut self) -> Result<(), BisectError> {
        let mut made: Vec<_> = std::mem::take(&mut self.made).into_iter().collect();
        made.sort_by_key(|(place, _)| *place);
        self.knowledge.forget_builds();
        self.untouched = Untouched::default();
        self.recall_builds().await?;
        for (place, made) in made {
            if self.is_stored(place, &made.manifest).await? {
                self.learn_nature(place, &made.manifest).await?;
                self.made.insert(place, made);
            }
        }
        Ok(())
    }
}
