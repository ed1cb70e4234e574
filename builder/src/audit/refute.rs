//! A proof that is refuted without an audit.
//!
//! A revision of which a closure proves that it gives a certain build may have a build of its own: of
//! somebody who believed no proof, of a process that was at it at the same time, of another machine whose
//! builds were imported. Where that one is something else, it is an audit with a mismatch that has cost
//! nothing, and means the same.

use kiln_cache::InputKey;
use kiln_cache::build_draft::CLOSURE;
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::SignatureKind;

use super::compare::Claim;
use super::finding::Finding;
use crate::builder::Builder;
use crate::error::BuildError;
use crate::proving::blocking;
use crate::request::Request;
use crate::stages::{Ground, Stage};
use crate::tree::Repository;

/// Whether two builds can't both be what one input gives: two images of one version of the signature, or
/// one that did not build.
pub(crate) fn differ(one: &Manifest, other: &Manifest) -> bool {
    let image = |build: &Manifest| build.signatures.get(SignatureKind::Image).copied();
    match (image(one), image(other)) {
        (Some(one), Some(other)) => one.version == other.version && one.hash != other.hash,
        _ => one.is_built() != other.is_built(),
    }
}

impl Builder {
    /// Holds the build `own` of a request against the build `by`, whose closure proves that the request
    /// gives that one. When they differ, both are withdrawn, since nobody can tell which of them is wrong,
    /// neither closure proves anything any more, and the incident is written down for `kiln audit report`.
    ///
    /// Whether the proof is gone: by this call, or because one of the builds or the closure was withdrawn
    /// before. Not when that is no proof, or both are the same.
    pub async fn refute(
        &self,
        request: &Request,
        own: InputKey,
        by: InputKey,
    ) -> Result<bool, BuildError> {
        let [own, proving] =
            [self.store.build_by_input(&own).await?, self.store.build_by_input(&by).await?];
        let (Some(own), Some(proving)) = (own, proving) else { return Ok(true) };
        let blob = |build: &Manifest| build.artifact(CLOSURE).map(|artifact| artifact.digest);
        let Some(proof) = blob(&proving).filter(|_| differ(&own, &proving)) else {
            return Ok(false);
        };
        let Some(closure) = self.closure_in(&proof).await? else { return Ok(true) };
        let (path, trees) =
            (request.repository.clone(), [&proving, &own].map(|build| build.input.tree.clone()));
        let touch = blocking(move || {
            Ok(Repository::open(&path)?.first_touch(&trees[0], &trees[1], &closure)?)
        });
        if touch.await?.is_some() || !self.repeats(&proving).await? {
            return Ok(false);
        }
        let ground = Ground { stage: Stage::Closure, closure: proof, from: by };
        let mut rests_on = Vec::new();
        for build in [&own, &proving] {
            let read = blob(build).map(|closure| (closure, build.input_key));
            rests_on.extend(read.map(|(closure, from)| Ground { closure, from, ..ground }));
            let provenance = self.provenance(build).await?;
            rests_on.extend(provenance.map(|it| it.grounds()).unwrap_or_default());
        }
        let claim = Claim { ground, rests_on, is_compiled: false };
        let question = self.question(request)?;
        let finding = Finding {
            commit: request.revision.commit.clone(),
            stage: ground.stage,
            proved_by: ground.from,
            closure: ground.closure,
            compiled: Some(own.input_key),
            kinds: self.changed_kinds(&question, &claim).await?,
            same: false,
            built: own.is_built(),
            proof_seconds: 0.0,
            compile_seconds: own.seconds,
            from_nothing: false,
            compiled_upon: false,
            overlooked: false,
        };
        let family = request.family(question.given, question.toolchain.as_deref());
        self.doubt_both(&claim, &own, &finding, &family).await?;
        Ok(true)
    }
}
