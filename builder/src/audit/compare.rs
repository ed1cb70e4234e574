//! One audit: the build is compiled, compared and written down.

use std::iter;

use kiln_cache::InputKey;
use kiln_cache::manifest::Manifest;
use serde::Serialize;

use super::again::Again;
use super::finding::{Finding, kind_of};
use crate::builder::{Builder, Built, Question};
use crate::error::BuildError;
use crate::kbuild::Made;
use crate::stages::{Ground, Provenance, Stage};
use crate::tree::Repository;

/// What an answer is as good as.
pub(crate) struct Claim {
    /// What it was proved by; of one that was compiled, the last of what it was compiled upon.
    pub(crate) ground: Ground,
    /// What else it rests on. Perhaps one of these is wrong and that is not: nobody can tell.
    pub(crate) rests_on: Vec<Ground>,
    /// It was compiled, upon objects that rest on all that.
    pub(crate) is_compiled: bool,
}

impl Claim {
    /// What a build rests on beside make, if there is any such thing.
    pub(crate) fn of(provenance: &Provenance) -> Option<Self> {
        let mut rests_on = provenance.grounds();
        let own = provenance.own_ground();
        let ground = own.or_else(|| rests_on.last().copied())?;
        rests_on.retain(|one| !one.is_one_with(&ground));
        Some(Self { ground, rests_on, is_compiled: own.is_none() })
    }

    /// Everything that it rests on.
    pub(super) fn grounds(&self) -> Vec<Ground> {
        iter::once(self.ground).chain(self.rests_on.iter().copied()).collect()
    }

    /// What a person is told when it turns out to be wrong.
    fn alarm(&self) -> String {
        let Ground { stage, from, .. } = self.ground;
        let what = match self.is_compiled {
            true => format!("it was compiled upon what stage {stage} took from build {from},"),
            false => format!("stage {stage} proved it to be build {from},"),
        };
        format!(
            "AUDIT: {what} and it is not what comes out from sources; that stage is revoked for what \
             that build read, and that build withdrawn, as it may be the one that is wrong: see `kiln \
             audit report`, and please report it"
        )
    }
}

/// An audit that confirmed a proof.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The stage that was audited.
    pub stage: Stage,
    /// Seconds that the proof took.
    pub proof_seconds: f64,
    /// Seconds that compiling took, upon the build before in a pair of its own.
    pub compile_seconds: f64,
    /// Whether it was compiled from nothing instead.
    pub from_nothing: bool,
    /// Whether something else came out upon the build before, so that this was compiled from nothing.
    pub overlooked: bool,
    /// Whether no stage answered: it was compiled, upon objects that rest on the stage's word.
    pub compiled_upon: bool,
}

/// What came of an audit.
pub(crate) enum Audited {
    /// There was none: it was not chosen.
    Not,
    /// What was compiled is the same.
    Same(Checked),
    /// It is not: this is what came out. The proof is revoked, and what rests on it withdrawn.
    Otherwise(Box<Built>),
    /// It could not be compiled again, for a reason that says nothing of the proof. (Where there is
    /// something that speaks against it, and the rest could not be compiled, that is an error.)
    Impossible(BuildError),
}

/// Whether a share of all requests, chosen by their keys, holds this one. The same request is
/// chosen every time.
pub(crate) fn is_chosen(key: &InputKey, share: f64) -> bool {
    let mut first = [0; 8];
    first.copy_from_slice(&key.0.as_bytes()[..8]);
    // 53 bits are what a float holds.
    ((u64::from_le_bytes(first) >> 11) as f64) < share * (1_u64 << 53) as f64
}

impl Builder {
    /// Compiles what was proved to be `proved`, if it is chosen, and compares.
    ///
    /// It is compiled in a pair that only audits use, so nothing that a stage did to its pair can make
    /// both agree; mostly upon the build that was audited before, and some from nothing, so that what make
    /// overlooks is seen, too. What is the same is not kept.
    pub(crate) async fn audit(
        &self,
        question: &Question<'_>,
        claim: &Claim,
        proved: &Manifest,
    ) -> Result<Audited, BuildError> {
        if self.audit_share <= 0.0 {
            return Ok(Audited::Not);
        }
        let kinds = self.changed_kinds(question, claim).await?;
        if is_chosen(&question.key, self.audit_share) || self.is_first(claim, &kinds).await? {
            return self.audit_of(question, claim, proved, kinds).await;
        }
        Ok(Audited::Not)
    }

    /// Whether an answer is audited: its share is, and so is what is the first of its kind.
    pub(super) async fn chooses(
        &self,
        question: &Question<'_>,
        claim: &Claim,
    ) -> Result<bool, BuildError> {
        if self.audit_share <= 0.0 || is_chosen(&question.key, self.audit_share) {
            return Ok(self.audit_share > 0.0);
        }
        let kinds = self.changed_kinds(question, claim).await?;
        self.is_first(claim, &kinds).await
    }

    /// Audits what was chosen.
    pub(crate) async fn audit_chosen(
        &self,
        question: &Question<'_>,
        claim: &Claim,
        proved: &Manifest,
    ) -> Result<Audited, BuildError> {
        let kinds = self.changed_kinds(question, claim).await?;
        self.audit_of(question, claim, proved, kinds).await
    }

    async fn audit_of(
        &self,
        question: &Question<'_>,
        claim: &Claim,
        proved: &Manifest,
        kinds: Vec<String>,
    ) -> Result<Audited, BuildError> {
        let proof_seconds = question.begun.elapsed().as_secs_f64();
        let again = self.compile_again(question, claim.ground.stage, proved).await;
        let Again { job, once, same, overlooked } = match again {
            Ok(again) => again,
            Err(error @ BuildError::Undecided { .. }) => {
                let (commit, by) = (&question.request.revision.commit, claim.ground.from);
                tracing::error!(%commit, %by, %error);
                return Err(error);
            }
            Err(error) => return Ok(Audited::Impossible(error)),
        };
        let (from_nothing, compile_seconds) = (once.from_nothing, once.seconds);
        let finding = Finding {
            commit: question.request.revision.commit.clone(),
            stage: claim.ground.stage,
            proved_by: claim.ground.from,
            closure: claim.ground.closure,
            compiled: (!same).then(|| once.key(question, &job)),
            kinds,
            same,
            built: matches!(once.compiled.made, Made::Well { .. }),
            proof_seconds,
            compile_seconds,
            from_nothing,
            overlooked,
            compiled_upon: claim.is_compiled,
        };
        if same {
            self.write_down(&finding).await?;
            let stage = claim.ground.stage;
            let compiled_upon = claim.is_compiled;
            let checked = Checked {
                stage,
                proof_seconds,
                compile_seconds,
                from_nothing,
                compiled_upon,
                overlooked,
            };
            return Ok(Audited::Same(checked));
        }
        let mut notes = vec![claim.alarm()];
        // What was compiled comes after that: storing it takes long, and may fail.
        if !self.is_known_to_be_wrong(claim, proved).await? {
            let family = question.request.family(question.given, job.toolchain());
            let grounds = claim.grounds();
            let doubted = self.doubted(&grounds, proved).await?;
            notes.extend(self.doubt_all(&grounds, &doubted, &finding, &family).await?);
        }
        let instead = self.keep_instead(question, &job, once, notes).await?;
        Ok(Audited::Otherwise(Box::new(instead)))
    }

    /// Whether another process has found out the same meanwhile, so that what is stored now is right.
    async fn is_known_to_be_wrong(
        &self,
        claim: &Claim,
        proved: &Manifest,
    ) -> Result<bool, BuildError> {
        let stored = self.store.build_by_input(&proved.input_key).await?;
        Ok(stored.as_ref() != Some(proved) && self.is_revoked(&claim.ground).await?)
    }

    /// Carries out what a mismatch means, of builds of which one is wrong, nobody can tell which: all of
    /// them go, and what they read proves nothing any more. First of all it is said of them that they are
    /// in doubt: from then on nobody answers with them, wherever this is cut off. Returns what a person
    /// should know beside that.
    pub(super) async fn doubt_all(
        &self,
        grounds: &[Ground],
        doubted: &[Manifest],
        finding: &Finding,
        family: &InputKey,
    ) -> Result<Option<String>, BuildError> {
        self.doubt(doubted).await?;
        let closures = grounds.iter().map(|ground| Ground { stage: Stage::Closure, ..*ground });
        self.revoke(&grounds.iter().copied().chain(closures).collect::<Vec<_>>()).await?;
        self.write_down(finding).await?;
        let Finding { commit, proved_by, stage, same, .. } = finding;
        if !same {
            tracing::error!(%commit, %proved_by, %stage, "an audited build is not what was proved");
        }
        let withdrawn = self.withdraw_refuted(doubted, family).await;
        Ok(withdrawn.err().map(|error| {
            tracing::error!(%error, "what an audit left in doubt is still in the store");
            format!("AUDIT: not all builds that are now in doubt could be withdrawn: {error}")
        }))
    }

    /// The builds of which one may be wrong: the one that was proved, and those that its grounds are of,
    /// unless others have taken their places by now.
    pub(super) async fn doubted(
        &self,
        grounds: &[Ground],
        proved: &Manifest,
    ) -> Result<Vec<Manifest>, BuildError> {
        let mut doubted = vec![proved.clone()];
        for Ground { closure, from, .. } in grounds {
            let is_new = doubted.iter().all(|build| build.input_key != *from);
            if is_new && let Some(build) = self.store.peek_input(from).await? {
                doubted.extend(Some(build).filter(|build| build.has_closure(closure)));
            }
        }
        Ok(doubted)
    }

    pub(super) async fn write_down(&self, finding: &Finding) -> Result<(), BuildError> {
        let mut known = self.closures.audits().await;
        Ok(known.write_down(&self.store, finding).await?)
    }

    /// Whether no audit has yet seen a stage's answer with one of these kinds of files.
    async fn is_first(&self, claim: &Claim, kinds: &[String]) -> Result<bool, BuildError> {
        if claim.is_compiled {
            return Ok(false);
        }
        let mut known = self.closures.audits().await;
        known.read_on(&self.store).await?;
        Ok(!known.has_seen(claim.ground.stage, kinds))
    }

    pub(super) async fn changed_kinds(
        &self,
        question: &Question<'_>,
        claim: &Claim,
    ) -> Result<Vec<String>, BuildError> {
        let from = self.store.build_by_input(&claim.ground.from).await?;
        // What was compiled shows nothing of how the stage fares with what changed since.
        let Some(from) = from.filter(|_| !claim.is_compiled) else { return Ok(vec![]) };
        let repository = Repository::open(&question.request.repository)?;
        let (a, b) = (from.input.tree, question.request.revision.tree.clone());
        if !repository.which_trees(&[&a])?.contains(&true) {
            // It was proved by way of another repository.
            return Ok(vec![]);
        }
        let changes = tokio::task::spawn_blocking(move || repository.visible_changes(&a, &b)).await;
        let changes = changes.map_err(|_| BuildError::Stopped("comparing trees panicked"))??;
        let mut kinds: Vec<String> = changes.iter().map(|change| kind_of(&change.path)).collect();
        kinds.sort();
        kinds.dedup();
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use kiln_cache::Digest;

    use super::*;

    #[test]
    fn a_share_is_chosen() {
        let keys = (0..10_000_u32).map(|n| InputKey(Digest::of(&n.to_le_bytes())));
        let chosen = keys.clone().filter(|key| is_chosen(key, 0.1)).count();
        assert!((900..1100).contains(&chosen), "{chosen}");
        assert!(keys.clone().all(|key| is_chosen(&key, 1.0)));
        assert!(!keys.clone().any(|key| is_chosen(&key, 0.0)));
    }
}
