//! What must be known of audits by everybody who shares a store, and must outlive its index: what was
//! refuted, and what is still to be audited. (The journal says more, to those who share a database.)

use std::collections::BTreeSet;

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey, Mark};

use super::compare::Claim;
use crate::builder::{Builder, Question};
use crate::error::BuildError;
use crate::stages::{Ground, Provenance, Stage};

/// The name of the mark that a stage proves nothing any more by a closure.
fn name_of(stage: Stage, closure: &Digest) -> String {
    kiln_cache::refutation(closure, stage.name())
}

/// What such a name says. `None` of a stage that only another Kiln has.
fn said(name: &str) -> Option<(Stage, Digest)> {
    let (closure, stage) = name.split_once('-')?;
    let stage = Stage::ALL.into_iter().find(|known| known.name() == stage)?;
    Some((stage, closure.parse().ok()?))
}

impl Builder {
    /// Stages and closures that an audit has refuted, by this process or another: read before a
    /// proof, unless that was done a moment ago.
    pub(crate) async fn load_revoked(&self) -> Result<(), BuildError> {
        if !self.closures.knows_revoked() {
            let mut known = self.closures.audits().await;
            known.read_on(&self.store).await?;
            let marks = self.store.marks(Mark::Revoked).await?;
            let marked = marks.iter().filter_map(|name| said(name));
            self.closures.set_revoked(known.refuted().chain(marked));
        }
        Ok(())
    }

    /// Whether a stage was taken out of use for a closure, by anybody.
    pub(super) async fn is_revoked(&self, ground: &Ground) -> Result<bool, BuildError> {
        Ok(self.store.is_marked(Mark::Revoked, &name_of(ground.stage, &ground.closure)).await?)
    }

    /// Takes stages out of use for closures, for everybody and for good.
    pub(super) async fn revoke(&self, grounds: &[Ground]) -> Result<(), BuildError> {
        for Ground { stage, closure, .. } in grounds {
            self.closures.revoke(*stage, *closure);
            self.store.mark(Mark::Revoked, &name_of(*stage, closure)).await?;
        }
        Ok(())
    }

    /// Takes builds out of the store: those that are in doubt, and of their family what was held against
    /// one of them, what was compiled upon its objects, and what rests on anything refuted. (The last are
    /// not believed anywhere, wherever they lie; this clears them away where they are likely to be.)
    pub(super) async fn withdraw_refuted(
        &self,
        doubted: &[InputKey],
        family: &InputKey,
    ) -> Result<(), BuildError> {
        let mut fallen: BTreeSet<InputKey> = doubted.iter().copied().collect();
        // One that can't be withdrawn does not keep the others.
        let mut failed = None;
        for key in doubted {
            failed = self.store.withdraw(key).await.err().or(failed);
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        // Others may have stored some of which this index has not heard.
        self.store.learn().await?;
        let mut rest = Vec::new();
        for build in self.store.builds_of_family(family, u32::MAX).await? {
            let Some(manifest) = self.store.build_by_input(&build.input_key).await? else {
                continue;
            };
            if let Some(provenance) = self.provenance(&manifest).await? {
                rest.push((build.input_key, provenance));
            }
        }
        loop {
            let before = fallen.len();
            for (key, provenance) in &rest {
                let follows = !provenance.from_nothing && fallen.contains(&provenance.from);
                if follows || self.closures.are_refuted(&provenance.grounds()) {
                    fallen.insert(*key);
                }
            }
            if fallen.len() == before {
                break;
            }
        }
        for key in fallen.iter().filter(|key| !doubted.contains(key)) {
            self.store.withdraw(key).await?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_was_revoked() {
        let closure = Digest::of(b"closure");
        for stage in Stage::ALL {
            assert_eq!(said(&name_of(stage, &closure)), Some((stage, closure)));
        }
        for other in [format!("{closure}-guess"), closure.to_string(), "x-closure".into()] {
            assert_eq!(said(&other), None, "{other}");
        }
    }
}
