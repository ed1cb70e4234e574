//! A proof that is refuted without being chosen for an audit.
//!
//! A revision of which a closure proves that it gives a certain build may have a build of its own: of
//! somebody who believed no proof, of a process that was at it at the same time, of another machine whose
//! builds were imported. Where that one is something else, one of the two is wrong. Which one a compile
//! from nothing says, as it does where an audit finds something else: until then nothing is revoked.

use kiln_cache::build_draft::CLOSURE;
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::SignatureKind;
use kiln_cache::{Digest, InputKey};

use super::compare::Claim;
use super::finding::Finding;
use crate::builder::Builder;
use crate::error::BuildError;
use crate::kbuild::Made;
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

/// Whose word turns out to be wrong, by a compile from nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// What the closure proves: it lacks something, or its build is not what it seems.
    Proof,
    /// The revision's own build.
    Own,
    /// Neither is what comes out, and nobody can tell more.
    Both,
}

impl Builder {
    /// Holds the build `own` of a request against the build `by`, whose closure proves that the request
    /// gives that one. When they differ, the request is compiled from nothing. What that speaks against is
    /// withdrawn: the proof, with its build, and then neither closure proves anything any more; or the
    /// build `own`, with what stages said of it; or all that. It is written down for `kiln audit report`.
    ///
    /// Whether anything is gone: by this call, or because one of the builds or the closure was withdrawn
    /// before. Not when that is no proof, when both are the same, or when it can't be compiled here.
    pub async fn refute(
        &self,
        request: &Request,
        own: InputKey,
        by: InputKey,
    ) -> Result<bool, BuildError> {
        let [own, proving] =
            [self.store.build_by_input(&own).await?, self.store.build_by_input(&by).await?];
        let (Some(own), Some(proving)) = (own, proving) else { return Ok(true) };
        let Some(proof) = closure_of(&proving).filter(|_| differ(&own, &proving)) else {
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
        let (question, commit) = (self.question(request)?, &request.revision.commit);
        let (job, once) = match self.compile_from_nothing(&question).await {
            Ok(compiled) => compiled,
            Err(error) => {
                tracing::error!(%commit, %by, %error, "a build is not what a closure proves it to be, \
                    and which of the two is wrong can't be found out here");
                return Ok(false);
            }
        };
        // That took a while, and others may have found out the same.
        self.store.look_again();
        for build in [&own, &proving] {
            if self.store.peek_input(&build.input_key).await?.as_ref() != Some(build)
                || self.is_void(build).await?
            {
                return Ok(true);
            }
        }
        let wrong = if self.is_same(&job, &once.compiled, &own).await? {
            Wrong::Proof
        } else if self.is_same(&job, &once.compiled, &proving).await? {
            Wrong::Own
        } else {
            Wrong::Both
        };
        let ground = Ground { stage: Stage::Closure, closure: proof, from: by };
        let blamed = self.blamed(wrong, ground, &own, &proving).await?;
        let grounds = blamed.as_ref().map(Claim::grounds).unwrap_or_default();
        let doubted = self.in_doubt(wrong, &grounds, &own, &proving).await?;
        // Without any, no stage had a part in it: the proof was tried, and make has overlooked something.
        let is_of_make = blamed.is_none();
        let claim = blamed.unwrap_or(Claim { ground, rests_on: Vec::new(), is_compiled: false });
        let finding = Finding {
            commit: commit.clone(),
            stage: claim.ground.stage,
            proved_by: claim.ground.from,
            closure: claim.ground.closure,
            compiled: (!is_of_make).then_some(own.input_key),
            kinds: self.changed_kinds(&question, &claim).await?,
            same: is_of_make,
            overlooked: is_of_make,
            built: matches!(once.compiled.made, Made::Well { .. }),
            proof_seconds: 0.0,
            compile_seconds: once.seconds,
            from_nothing: true,
            compiled_upon: claim.is_compiled,
        };
        if is_of_make {
            tracing::error!(%commit, own = %own.input_key, "a build is not what comes out from nothing");
        }
        let family = request.family(question.given, question.toolchain.as_deref());
        self.doubt_all(&grounds, &doubted, &finding, &family).await?;
        if self.store.peek_input(&own.input_key).await?.is_none() {
            self.keep_instead(&question, &job, once, Vec::new()).await?;
        }
        Ok(true)
    }

    /// What stages said that turns out to be wrong when the build `own` is not the build `proving`, as
    /// `ground` says. `None`: nothing.
    async fn blamed(
        &self,
        wrong: Wrong,
        ground: Ground,
        own: &Manifest,
        proving: &Manifest,
    ) -> Result<Option<Claim>, BuildError> {
        let said_of_own = self.provenance(own).await?;
        if wrong == Wrong::Own {
            return Ok(said_of_own.as_ref().and_then(Claim::of));
        }
        // What the watching of the one overlooked, that of the other has overlooked as well.
        let read = closure_of(own).map(|closure| Ground { closure, from: own.input_key, ..ground });
        let mut rests_on: Vec<Ground> = read.into_iter().collect();
        let said_of_own = said_of_own.filter(|_| wrong == Wrong::Both);
        for said in [said_of_own, self.provenance(proving).await?].into_iter().flatten() {
            rests_on.extend(said.grounds());
        }
        Ok(Some(Claim { ground, rests_on, is_compiled: false }))
    }

    /// The builds that are in doubt then.
    async fn in_doubt(
        &self,
        wrong: Wrong,
        grounds: &[Ground],
        own: &Manifest,
        proving: &Manifest,
    ) -> Result<Vec<Manifest>, BuildError> {
        let is_right = |build: &Manifest| wrong == Wrong::Proof && build == own;
        let first = if wrong == Wrong::Proof { proving } else { own };
        let mut doubted = self.doubted(grounds, first).await?;
        doubted.retain(|build| !is_right(build));
        Ok(doubted)
    }
}

fn closure_of(build: &Manifest) -> Option<Digest> {
    build.artifact(CLOSURE).map(|artifact| artifact.digest)
}
