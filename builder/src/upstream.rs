//! Another Kiln that is asked before anything is compiled.
//!
//! It only saves time: one that is down, slow or wrong is said once and not asked again, and the
//! revision is compiled here. Tree, toolchain and recipe of what it sends must be the request's own, and
//! digests and signatures are computed here. The rest is its word: that these files come out of that
//! input, from the configuration as given; what the build read (its closure, by which T0 answers for
//! other trees here, too) and what it rests on. Nothing here can compute these again short of
//! compiling, so whoever names another Kiln trusts it like everybody who writes to the own store. But
//! what was refuted or left in doubt here is not taken from it, and with `--audit` its stages' answers
//! and what its closures prove are audited like the own ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kiln_cache::manifest::Manifest;
use kiln_cache::{BuildInput, Remote, RemoteError};

use crate::builder::{Builder, Question};
use crate::error::{BuildError, Doing};
use crate::stages::{PROVENANCE, Provenance};

/// How long to wait for "do you know this?".
const ANSWER: Duration = Duration::from_secs(5);

/// The other Kiln.
pub(crate) struct Upstream {
    remote: Remote,
    is_down: AtomicBool,
}

impl Upstream {
    pub(crate) fn new(remote: Remote) -> Self {
        Self { remote, is_down: AtomicBool::new(false) }
    }

    fn give_up(&self, why: &dyn std::fmt::Display) {
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!("{why}; building without it");
        }
    }
}

impl Builder {
    /// Asks the other Kiln, if there is one, for the build of a request, and keeps it. One that rests on
    /// what was refuted here is not taken.
    pub(crate) async fn fetch(
        &self,
        question: &Question<'_>,
    ) -> Result<Option<Manifest>, BuildError> {
        let Question { request, given, toolchain, key, .. } = question;
        let Some(upstream) = &self.upstream else { return Ok(None) };
        if upstream.is_down.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let asking = tokio::time::timeout(ANSWER, upstream.remote.build_of_request(key));
        let known = match asking.await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                upstream.give_up(&error);
                return Ok(None);
            }
            Err(_) => {
                let url = upstream.remote.url();
                upstream.give_up(&format_args!("{url} gave no answer within {ANSWER:?}"));
                return Ok(None);
            }
        };
        let Some(manifest) = known else { return Ok(None) };
        if !answers(&manifest.input, &request.input(*given, toolchain.as_deref())) {
            let url = upstream.remote.url();
            upstream.give_up(&format_args!("{url} sent the build of something else"));
            return Ok(None);
        }
        match self.bring(question, upstream, &manifest).await {
            Ok(Some(manifest)) => {
                self.store.add_request(key, &manifest.input_key).await?;
                Ok(Some(manifest))
            }
            Ok(None) => {
                let (url, build) = (upstream.remote.url(), manifest.input_key);
                tracing::info!(url, %build, "not taken: an audit left it, or what it rests on, in doubt");
                Ok(None)
            }
            // It was let go of there: that build only is not to be had.
            Err(Failure::Upstream(RemoteError::Missing { .. })) => Ok(None),
            Err(Failure::Upstream(error)) => {
                upstream.give_up(&error);
                Ok(None)
            }
            Err(Failure::Here(error)) => Err(error),
        }
    }

    /// `None`: it is not believed here, or an audit here left it in doubt, or what it was made upon (then
    /// it is to be compiled anew; there nobody may have heard of that).
    async fn bring(
        &self,
        question: &Question<'_>,
        upstream: &Upstream,
        manifest: &Manifest,
    ) -> Result<Option<Manifest>, Failure> {
        if self.is_withdrawn(manifest).await? {
            return Ok(None);
        }
        let folder = tempfile::tempdir().doing("making", &std::env::temp_dir())?;
        // First what is small and may say that the rest is not wanted.
        let mut wanted: Vec<_> = manifest.artifacts.iter().collect();
        wanted.sort_by_key(|artifact| artifact.name != PROVENANCE);
        let mut files = Vec::with_capacity(wanted.len());
        for (n, artifact) in wanted.into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            let (digest, size) = (&artifact.digest, artifact.size);
            upstream
                .remote
                .download(digest, size, &path, true, &|_| ())
                .await
                .map_err(Failure::Upstream)?;
            if artifact.name == PROVENANCE {
                let bytes = std::fs::read(&path).doing("reading", &path)?;
                let said: Option<Provenance> = serde_json::from_slice(&bytes).ok();
                if self.would_be_void(said.as_ref()).await? {
                    return Ok(None);
                }
                if let Some(said) = said {
                    self.choose_for_audit(question, &said, &manifest.input_key).await?;
                }
            }
            files.push((artifact.name.clone(), path));
        }
        // The store gives the first of two.
        self.make_way(&manifest.input_key).await?;
        let added = self.store.add_known(manifest, files).await.map_err(BuildError::from)?;
        let is_void = self.is_void(&added.manifest).await?;
        Ok((!is_void).then_some(added.manifest))
    }
}

/// Whose fault it is.
enum Failure {
    Upstream(RemoteError),
    Here(BuildError),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Here(error)
    }
}

/// Whether a build can be what a request asks for: the same but for its configuration, which was
/// normalized.
fn answers(input: &BuildInput, wanted: &BuildInput) -> bool {
    BuildInput { config: wanted.config, ..input.clone() } == *wanted
}
