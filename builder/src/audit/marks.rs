//! What must be known of audits by everybody who shares a store, and must outlive its index: what was
//! refuted, and what is still to be audited. (The journal says more, to those who share a database.)

use std::collections::BTreeSet;
use std::slice::from_ref;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, FamilyBuild, InputKey, Mark};

use super::compare::Claim;
use crate::builder::{Builder, Question};
use crate::error::BuildError;
use crate::proving::{READ_AHEAD, blocking};
use crate::stages::{Ground, Provenance, Stage};

/// The name of the mark that a stage proves nothing any more by a closure.
fn name_of(stage: Stage, closure: &Digest) -> String {
    kiln_cache::refutation(closure, stage.name())
}

impl Builder {
    /// Stages and closures that an audit has refuted, and builds that one has left in doubt, by this
    /// process or another: read before a proof, unless that was done a moment ago. Pairs that have objects
    /// in doubt are emptied as soon as that is known.
    pub(crate) async fn load_revoked(&self) -> Result<(), BuildError> {
        let marks = self.store.refuted().await?;
        if !self.closures.knows(&marks) {
            // Before there were marks, only the journal had it.
            let mut known = self.closures.audits().await;
            known.read_on(&self.store).await?;
            let more = self.closures.set_revoked(marks, known.refuted());
            drop(known);
            if let Some(revoked) = more {
                let pool = self.pool.clone();
                let emptied = blocking(move || {
                    pool.empty(|pair| revoked.doubts(pair));
                    Ok(())
                });
                emptied.await?;
            }
        }
        Ok(())
    }

    /// How much was refuted and withdrawn so far, by anybody who shares the store: when this grows, what
    /// was known of builds is to be asked for again. From a look some seconds ago at most.
    pub async fn refuted_so_far(&self) -> Result<usize, BuildError> {
        self.load_revoked().await?;
        Ok(self.closures.refuted_so_far())
    }

    /// Whether a stage was taken out of use for a closure, by anybody.
    pub(super) async fn is_revoked(&self, ground: &Ground) -> Result<bool, BuildError> {
        Ok(self.store.is_marked(Mark::Revoked, &name_of(ground.stage, &ground.closure)).await?)
    }

    /// Takes stages out of use for closures, for everybody and for good.
    pub(super) async fn revoke(&self, grounds: &[Ground]) -> Result<(), BuildError> {
        for Ground { stage, closure, .. } in grounds {
            self.store.mark(Mark::Revoked, &name_of(*stage, closure)).await?;
        }
        Ok(())
    }

    /// Takes note that builds are in doubt, for everybody and for good: neither they nor what was made
    /// upon their objects is believed from then on, wherever they lie.
    pub(super) async fn doubt(&self, builds: &[Manifest]) -> Result<(), BuildError> {
        for build in builds {
            self.store.doubt(build).await?;
        }
        Ok(())
    }

    /// Clears away what is not believed any more where it is likely to lie: builds that are in doubt, and
    /// of their family what rests on them or on anything refuted. What an older Kiln made does not say
    /// upon what, but against which build it was held: what was held against one in doubt is so, too.
    pub(super) async fn withdraw_refuted(
        &self,
        doubted: &[Manifest],
        family: &InputKey,
    ) -> Result<(), BuildError> {
        // One that can't be withdrawn does not keep the others.
        let mut failed = None;
        for build in doubted {
            failed = self.store.withdraw_build(build).await.err().or(failed);
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        // Others may have stored some of which this index has not heard.
        self.store.learn().await?;
        let mut fallen: BTreeSet<InputKey> = doubted.iter().map(|build| build.input_key).collect();
        let mut rest = self.with_provenance(family).await?;
        loop {
            let follows = |(_, said): &(Manifest, Provenance)| {
                let is_held_against_one = said.from.is_some_and(|from| fallen.contains(&from));
                said.upon.is_empty() && !said.from_nothing && is_held_against_one
            };
            let (more, left): (Vec<_>, Vec<_>) = rest.into_iter().partition(follows);
            rest = left;
            if more.is_empty() {
                break;
            }
            for (build, _) in more {
                self.doubt(from_ref(&build)).await?;
                self.store.withdraw_build(&build).await?;
                fallen.insert(build.input_key);
            }
        }
        for (build, _) in rest {
            if self.is_void(&build).await? {
                self.store.withdraw_build(&build).await?;
            }
        }
        Ok(())
    }

    /// The builds of a family that say how they came about.
    async fn with_provenance(
        &self,
        family: &InputKey,
    ) -> Result<Vec<(Manifest, Provenance)>, BuildError> {
        let read = |build: FamilyBuild| async move {
            let Some(manifest) = self.store.peek_input(&build.input_key).await? else {
                return Ok(None);
            };
            let said = self.provenance(&manifest).await?;
            Ok::<_, BuildError>(said.map(|said| (manifest, said)))
        };
        let builds = self.store.builds_of_family(family, u32::MAX).await?;
        let found = stream::iter(builds).map(read).buffered(READ_AHEAD);
        Ok(found.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    /// Decides whether a build that rests on a stage is audited, before it is stored under `key`, and says
    /// so in the store: a process that is killed between the two leaves it to the next.
    pub(crate) async fn choose_for_audit(
        &self,
        question: &Question<'_>,
        provenance: &Provenance,
        key: &InputKey,
    ) -> Result<(), BuildError> {
        let Some(claim) = Claim::of(provenance) else { return Ok(()) };
        if self.chooses(question, &claim).await? {
            self.store.mark(Mark::Unaudited, &key.to_string()).await?;
        }
        Ok(())
    }

    /// Whether a build is still to be audited, for a builder that audits.
    pub(crate) async fn is_unaudited(&self, build: &Manifest) -> Result<bool, BuildError> {
        if self.audit_share <= 0.0 {
            return Ok(false);
        }
        Ok(self.store.is_marked(Mark::Unaudited, &build.input_key.to_string()).await?)
    }
}
