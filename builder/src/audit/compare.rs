//! One audit: the build is compiled, compared and written down.

use std::path::{Path, PathBuf};
use std::slice;
use std::time::Instant;

use kiln_cache::build_draft::{BUILD_LOG, CLOSURE, PROVENANCE, UNITS, VMLINUX_O};
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::{Signature, SignatureKind, is_named_by_image, sign_build};
use kiln_cache::{Digest, InputKey};
use serde::Serialize;

use super::finding::{Finding, kind_of};
use crate::builder::{Builder, Built, Obtained, Question};
use crate::error::{BuildError, Doing};
use crate::kbuild::Made;
use crate::making::Turn;
use crate::stages::{Ground, Provenance, Stage};
use crate::tree::Repository;
use crate::work::{Compiled, Job, Prepared};

/// What is in a build beside what a test can run.
const NOTES: [&str; 7] =
    [BUILD_LOG, CLOSURE, UNITS, PROVENANCE, VMLINUX_O, "System.map", ".config"];

/// What an answer is as good as.
pub(crate) struct Claim {
    /// What it was proved by; of one that was compiled, the last of what it was compiled upon.
    pub(crate) ground: Ground,
    /// What else it rests on. Perhaps one of these is wrong and the last is not: nobody can tell.
    pub(crate) rests_on: Vec<Ground>,
    /// It was compiled, upon objects that rest on all that.
    pub(crate) is_compiled: bool,
}

impl Claim {
    /// What a build rests on beside make, if there is any such thing.
    pub(crate) fn of(provenance: &Provenance) -> Option<Self> {
        let rests_on = provenance.grounds();
        let own = provenance.own_ground();
        let ground = own.or_else(|| rests_on.last().copied())?;
        Some(Self { ground, rests_on, is_compiled: own.is_none() })
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
}

/// What came of an audit.
pub(crate) enum Audited {
    /// There was none: it was not chosen.
    Not,
    /// What was compiled is the same.
    Same(Checked),
    /// It is not: this is what came out. The proof is revoked, and what rests on it withdrawn.
    Otherwise(Box<Built>),
    /// It could not be compiled again, for a reason that says nothing of the proof.
    Impossible(BuildError),
}

/// What an audit compiled.
struct Again {
    job: Job,
    compiled: Compiled,
    /// The normalized configuration and its digest; `None` when the tree can't be configured.
    config: Option<(Digest, String)>,
    same: bool,
    from_nothing: bool,
    seconds: f64,
}

/// Whether a share of all requests, chosen by their keys, holds this one. The same request is
/// chosen every time.
pub(crate) fn is_chosen(key: &InputKey, share: f64) -> bool {
    let mut first = [0; 8];
    first.copy_from_slice(&key.0.as_bytes()[..8]);
    // 53 bits are what a float holds.
    ((u64::from_le_bytes(first) >> 11) as f64) < share * (1_u64 << 53) as f64
}

/// One in so many audits begins with an empty folder of objects.
const FROM_NOTHING: u8 = 8;

/// Whether the audit of a request is one of those, chosen by its key.
fn is_from_nothing(key: &InputKey) -> bool {
    key.0.as_bytes()[8].is_multiple_of(FROM_NOTHING)
}

impl Builder {
    /// Compiles what was proved to be `proved`, if it is chosen, and compares.
    ///
    /// It is compiled in a pair that only audits use, so nothing that a stage did to its pair can make
    /// both agree; mostly upon the build that was audited before, and one in [`FROM_NOTHING`] from
    /// nothing, so that what make overlooks is seen, too. What is the same is not kept.
    pub(crate) async fn audit(
        &self,
        question: &Question<'_>,
        claim: &Claim,
        proved: &Manifest,
    ) -> Result<Audited, BuildError> {
        match self.chooses(question, claim).await? {
            true => self.audit_chosen(question, claim, proved).await,
            false => Ok(Audited::Not),
        }
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
        Ok(!claim.is_compiled && self.is_first(claim, &kinds).await?)
    }

    /// Audits what was chosen.
    pub(crate) async fn audit_chosen(
        &self,
        question: &Question<'_>,
        claim: &Claim,
        proved: &Manifest,
    ) -> Result<Audited, BuildError> {
        let kinds = self.changed_kinds(question, claim).await?;
        let proof_seconds = question.begun.elapsed().as_secs_f64();
        let Again { job, compiled, config, same, from_nothing, seconds } =
            match self.compile_again(question, proved).await {
                Ok(again) => again,
                Err(error) => return Ok(Audited::Impossible(error)),
            };
        let compile_seconds = seconds;
        let built = matches!(compiled.made, Made::Well { .. });
        let note = compiled.made.note();
        let mut finding = Finding {
            commit: question.request.revision.commit.clone(),
            stage: claim.ground.stage,
            proved_by: claim.ground.from,
            closure: claim.ground.closure,
            compiled: None,
            kinds,
            same,
            built,
            proof_seconds,
            compile_seconds,
            from_nothing,
        };
        if same {
            self.write_down(&finding).await?;
            let stage = claim.ground.stage;
            let checked = Checked { stage, proof_seconds, compile_seconds, from_nothing };
            return Ok(Audited::Same(checked));
        }
        let Claim { ground, rests_on, .. } = claim;
        self.revoke(&[slice::from_ref(ground), rests_on].concat()).await?;
        // (What a closure proves has no entry of its own: it is void with the closure.)
        let wrong = (ground.stage != Stage::Closure).then_some(proved.input_key);
        let family = question.request.family(question.given, job.toolchain());
        self.withdraw_refuted(wrong, &family).await?;
        let digest = config.as_ref().map_or(question.given, |(digest, _)| *digest);
        let input = question.request.input(digest, job.toolchain());
        let (manifest, _) = self.keep(&job, question.key, input, compiled).await?;
        finding.compiled = Some(manifest.input_key);
        self.write_down(&finding).await?;
        let (commit, Ground { stage, from, .. }) = (&finding.commit, *ground);
        tracing::error!(%commit, %from, %stage, "an audited build is not what was proved");
        let text = config.map(|(_, text)| text).unwrap_or_default();
        let changes = crate::kconfig::changes(question.request.text(), &text);
        let mut instead = crate::making::built(manifest, Obtained::Compiled, changes, &text);
        instead.notes.extend(note);
        instead.notes.push(format!(
            "AUDIT: {} and it is not what comes out from sources; that stage is revoked for what \
             that build read: see `kiln audit report`, and please report it",
            match claim.is_compiled {
                true => format!("it was compiled upon what stage {stage} took from build {from},"),
                false => format!("stage {stage} proved it to be build {from},"),
            }
        ));
        Ok(Audited::Otherwise(Box::new(instead)))
    }

    /// Compiles a request in the pair of audits, and compares.
    async fn compile_again(
        &self,
        question: &Question<'_>,
        proved: &Manifest,
    ) -> Result<Again, BuildError> {
        let begun = Instant::now();
        let mut job = self.job(question)?;
        job.ccache = None;
        let pool_key = format!("{}-audit", job.pool_key());
        let Turn::Pair(pair) = self.take_pair(&job, &pool_key, None).await? else {
            return Err(BuildError::Stopped("an audit was answered from the store"));
        };
        let mut from_nothing = is_from_nothing(&question.key);
        let prepare = move |job: &Job| {
            let mut pair = pair;
            if from_nothing {
                pair.empty_objects()?;
            }
            job.prepare(pair)
        };
        let (compiled, config) = match job.on_thread(prepare).await? {
            Prepared::Unfit(failed) => (failed, None),
            Prepared::Ready { pair, text, digest, .. } => {
                from_nothing = !pair.built_before;
                let config = text.clone();
                let compile = move |job: &_| Job::compile(job, pair, &config, None);
                (job.on_thread(compile).await?, Some((digest, text)))
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let expected = proved.clone();
        let compare = move |_: &Job| {
            let same = is_same(&compiled, &expected)?;
            Ok((compiled, same))
        };
        let (compiled, same) = job.on_thread(compare).await?;
        Ok(Again { job, compiled, config, same, from_nothing, seconds })
    }

    async fn write_down(&self, finding: &Finding) -> Result<(), BuildError> {
        let mut known = self.closures.audits().await;
        Ok(known.write_down(&self.store, finding).await?)
    }

    /// Whether no audit has yet seen this stage with one of these kinds of files.
    async fn is_first(&self, claim: &Claim, kinds: &[String]) -> Result<bool, BuildError> {
        let mut known = self.closures.audits().await;
        known.read_on(&self.store).await?;
        Ok(!known.has_seen(claim.ground.stage, kinds))
    }

    async fn changed_kinds(
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

/// Whether what was compiled is what is stored: the same image, which names the kernel with its boot
/// code and modules, and byte for byte everything else that a test can run; or both do not build.
fn is_same(compiled: &Compiled, proved: &Manifest) -> Result<bool, BuildError> {
    match &compiled.made {
        Made::Badly { .. } => return Ok(!proved.is_built()),
        Made::Well { .. } if !proved.is_built() => return Ok(false),
        Made::Well { .. } => {}
    }
    let runs = |name: &str| !NOTES.contains(&name);
    let made: Vec<_> = compiled.artifacts.iter().filter(|(name, _)| runs(name)).collect();
    let stored = proved.artifacts.iter().filter(|artifact| runs(&artifact.name)).count();
    if made.len() != stored || made.iter().any(|(name, _)| proved.artifact(name).is_none()) {
        return Ok(false);
    }
    let (named, rest): (Vec<_>, Vec<_>) =
        made.into_iter().cloned().partition(|(name, _)| is_named_by_image(name));
    if Some(&image(&named)?) != proved.signatures.get(SignatureKind::Image) {
        tracing::error!("an audited build has another image");
        return Ok(false);
    }
    for (name, path) in &rest {
        if Some(digest(path)?) != proved.artifact(name).map(|artifact| artifact.digest) {
            tracing::error!(name, "an audited build differs here");
            return Ok(false);
        }
    }
    Ok(true)
}

fn image(files: &[(String, PathBuf)]) -> Result<Signature, BuildError> {
    let fail = |reason: String| BuildError::Infra { reason };
    let signatures = sign_build(files).map_err(|error| fail(error.to_string()))?;
    let image = signatures.get(SignatureKind::Image).cloned();
    image.ok_or_else(|| fail("a kernel that was compiled has no image".to_owned()))
}

fn digest(path: &Path) -> Result<Digest, BuildError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).doing("reading", path)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
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
