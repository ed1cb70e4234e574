//! Answering a request from the build of another tree, when that build's closure proves that both
//! trees give the same.

use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, FamilyBuild, InputKey, StoreError};

use crate::builder::Builder;
use crate::closure::{Closure, Edges};
use crate::error::BuildError;
use crate::kconfig::is_set;
use crate::pool::Folder;
use crate::recipe;
use crate::request::Request;
use crate::stages::{Base, PROVENANCE, Provenance, Stage};
use crate::toolchain::Toolchain;
use crate::tree::Repository;

/// How many builds a request is held against: those whose trees are nearest to its own.
pub(crate) const CANDIDATES: usize = 64;
/// Among how many of the newest builds of the family those are looked for.
pub(crate) const CONSIDERED: u32 = 1024;
/// Name of the artifact that holds the normalized configuration.
const CONFIG: &str = ".config";
/// How many closures are read side by side, once the nearest build has proved nothing: from a bucket
/// each takes a while.
pub(crate) const READ_AHEAD: usize = 8;

/// A build that is proved to be what a request asks for.
pub(crate) struct Proof {
    pub(crate) manifest: Manifest,
    /// The closure that proves it, a blob.
    pub(crate) closure: Digest,
}

impl Builder {
    /// The closure of a build: what it asked of its sources. `None` when it was not watched: a
    /// build command, a machine without /dev/fuse.
    pub async fn closure(&self, build: &Manifest) -> Result<Option<Arc<Closure>>, BuildError> {
        match build.artifact(kiln_cache::build_draft::CLOSURE) {
            Some(artifact) => self.closure_in(&artifact.digest).await,
            None => Ok(None),
        }
    }

    /// The commits of a history (as positions in it) that provably give what the build of one of
    /// them gave: all to which an unbroken run of changes leads that touch nothing in the build's
    /// closure. Holds at least `start`, the position of the commit that was built, and nothing else
    /// when the build's configuration sets an option whose images don't repeat.
    pub async fn same_class(
        &self,
        edges: &Arc<Edges>,
        start: usize,
        build: &Manifest,
    ) -> Result<Vec<usize>, BuildError> {
        let closure = match self.repeats(build).await? {
            true => self.closure(build).await?,
            false => None,
        };
        let Some(closure) = closure else { return Ok(vec![start]) };
        let edges = Arc::clone(edges);
        blocking(move || Ok(edges.same_class(start, &closure)?)).await
    }

    /// Looks for a build that is proved to be what a request asks for.
    pub(crate) async fn prove(
        &self,
        request: &Request,
        given: Digest,
        toolchain: Option<&Toolchain>,
    ) -> Result<Option<Proof>, BuildError> {
        if toolchain.is_none() {
            // Build commands are not watched.
            return Ok(None);
        }
        let family = request.family(given, toolchain);
        let repository = Repository::open(&request.repository)?;
        let near = request.revision.tree.as_str();
        let mut builds = self.candidates(&repository, &family, near, CANDIDATES).await?.into_iter();
        let read = |build: FamilyBuild| async move {
            let closure = self.closure_in(&build.closure).await;
            (build, closure)
        };
        let first = stream::iter(builds.next()).then(read);
        let mut builds = pin!(first.chain(stream::iter(builds).map(read).buffered(READ_AHEAD)));
        while let Some((build, closure)) = builds.next().await {
            let Some(closure) = closure? else { continue };
            let (repository, wanted) = (repository.clone(), request.revision.tree.clone());
            let touch =
                blocking(move || Ok(repository.first_touch(&build.tree, &wanted, &closure)?));
            if let Some(touch) = touch.await? {
                tracing::debug!(build = %build.input_key, %touch, "no proof from this build");
                continue;
            }
            // (Another one may have taken its place since it was listed, or in another index.)
            if let Some(manifest) = self.recall_input(&build.input_key).await?
                && manifest.has_closure(&build.closure)
                && self.repeats(&manifest).await?
            {
                return Ok(Some(Proof { manifest, closure: build.closure }));
            }
        }
        Ok(None)
    }

    /// The builds of a family whose trees are in a repository, at most so many: those that are
    /// nearest to a tree, the nearest one first, and the newest ones where that leaves a choice.
    pub(crate) async fn candidates(
        &self,
        repository: &Repository,
        family: &InputKey,
        near: &str,
        most: usize,
    ) -> Result<Vec<FamilyBuild>, BuildError> {
        let builds = self.store.builds_of_family(family, CONSIDERED).await?;
        let (here, near) = (repository.clone(), near.to_owned());
        blocking(move || {
            let trees: Vec<&str> = builds.iter().map(|build| build.tree.as_str()).collect();
            let chosen = here.nearest(&near, &trees, most)?;
            let mut builds: Vec<Option<FamilyBuild>> = builds.into_iter().map(Some).collect();
            Ok(chosen.into_iter().filter_map(|place| builds[place].take()).collect())
        })
        .await
    }

    /// The build whose objects a pair holds, if stages can go by it: it is whole, it repeats, and its
    /// closure is believed.
    pub(crate) async fn base(&self, pair: &Folder) -> Result<Option<Base>, BuildError> {
        let Some(key) = pair.holds() else { return Ok(None) };
        if self.is_doubted(pair).await? {
            return Ok(None);
        }
        let Some(manifest) = self.recall_input(&key).await? else { return Ok(None) };
        let artifact = |name: &str| manifest.artifact(name).map(|artifact| artifact.digest);
        let (Some(closure), Some(config)) =
            (artifact(kiln_cache::build_draft::CLOSURE), artifact(CONFIG))
        else {
            return Ok(None);
        };
        if !manifest.is_built() || !self.repeats(&manifest).await? {
            return Ok(None);
        }
        let Some(reads) = self.closure_in(&closure).await? else { return Ok(None) };
        let Some(text) = self.blob(&config).await? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text).into_owned();
        let believed = Stage::ALL.into_iter();
        let believed = believed.filter(|stage| !self.closures.is_revoked(*stage, &closure));
        Ok(Some(Base::new(&manifest, text, (closure, reads), believed.collect())))
    }

    /// How a build came about; `None` when it was plainly compiled, or that is lost.
    pub async fn provenance(&self, build: &Manifest) -> Result<Option<Provenance>, BuildError> {
        let Some(artifact) = build.artifact(PROVENANCE) else { return Ok(None) };
        let bytes = self.blob(&artifact.digest).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether building a build's input again would give the same image, as far as the recipe can
    /// tell. Where it would not, an equal closure proves nothing.
    pub(crate) async fn repeats(&self, build: &Manifest) -> Result<bool, BuildError> {
        // A tree that can't be configured has no configuration, and no image that could differ.
        let Some(config) = build.artifact(CONFIG) else { return Ok(true) };
        let Some(bytes) = self.blob(&config.digest).await? else { return Ok(false) };
        let text = String::from_utf8_lossy(&bytes);
        let set = recipe::UNREPEATABLE.iter().find(|(option, _)| is_set(&text, option));
        if let Some((option, why)) = set {
            tracing::debug!(build = %build.input_key, option, why, "it proves nothing");
        }
        Ok(set.is_none())
    }

    /// Whether what a closure proved is still believed: it was not refuted, and is of this version. Reads
    /// each once at most.
    pub(crate) async fn is_believed(&self, closure: &Digest) -> Result<bool, BuildError> {
        if self.believes_proofs && self.closures.is_readable(closure) {
            return Ok(!self.proves_nothing(closure).await?);
        }
        Ok(self.closure_in(closure).await?.is_some())
    }

    /// Reads a closure. One that is lost, damaged or of another version proves nothing, and is no
    /// reason to fail. Nor does any where proofs are not believed.
    pub(crate) async fn closure_in(
        &self,
        blob: &Digest,
    ) -> Result<Option<Arc<Closure>>, BuildError> {
        if !self.believes_proofs {
            return Ok(None);
        }
        self.load_revoked().await?;
        if self.closures.is_revoked(Stage::Closure, blob) {
            return Ok(None);
        }
        if let Some(closure) = self.closures.get(blob) {
            return Ok(Some(closure));
        }
        let Some(bytes) = self.blob(blob).await? else { return Ok(None) };
        match Closure::decode(&bytes) {
            Ok(closure) => Ok(Some(self.closures.keep(*blob, closure))),
            Err(error) => {
                tracing::warn!(%blob, %error, "a closure can't be read");
                Ok(None)
            }
        }
    }

    /// The content of a blob; `None` when it is lost or damaged.
    pub(crate) async fn blob(&self, blob: &Digest) -> Result<Option<Vec<u8>>, BuildError> {
        let bytes = match self.store.reader(blob).await {
            Ok(reader) => reader.read(0..reader.size()).await,
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(
                error
                @ (StoreError::Missing(_) | StoreError::LetGo(_) | StoreError::Corrupt { .. }),
            ) => {
                tracing::warn!(%blob, %error, "a part of a build can't be read");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Runs work that reads a repository where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|_| Err(BuildError::Stopped("comparing trees panicked")))
}
