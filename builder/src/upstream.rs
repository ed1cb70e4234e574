//! Another Kiln that is asked before anything is compiled.
//!
//! It only saves time: one that is down, slow or wrong is said once and not asked again, and the
//! revision is compiled here. Its word counts for one thing, that a configuration as given leads to
//! the normalized one of its build; tree, toolchain and recipe must be the request's own, and
//! digests and signatures are computed here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kiln_cache::manifest::Manifest;
use kiln_cache::{BuildInput, Remote, RemoteError};

use crate::builder::{Builder, Question};
use crate::error::{BuildError, Doing};

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
    /// Asks the other Kiln, if there is one, for the build of a request, and keeps it.
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
        match self.bring(upstream, &manifest).await {
            Ok(manifest) => {
                self.store.add_request(key, &manifest.input_key).await?;
                Ok(Some(manifest))
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

    async fn bring(&self, upstream: &Upstream, manifest: &Manifest) -> Result<Manifest, Failure> {
        let folder = tempfile::tempdir().doing("making", &std::env::temp_dir())?;
        let mut files = Vec::with_capacity(manifest.artifacts.len());
        for (n, artifact) in manifest.artifacts.iter().enumerate() {
            let path = folder.path().join(n.to_string());
            let (digest, size) = (&artifact.digest, artifact.size);
            upstream
                .remote
                .download(digest, size, &path, &|_| ())
                .await
                .map_err(Failure::Upstream)?;
            files.push((artifact.name.clone(), path));
        }
        let kept = self.store.add_known(manifest, files).await.map(|added| added.manifest);
        kept.map_err(|error| Failure::Here(error.into()))
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
