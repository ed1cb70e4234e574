//! Adding builds and the names that lead to them.

use std::path::PathBuf;

use futures::stream::{self, StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::build_draft::BuildDraft;
use crate::digest::Digest;
use crate::error::{Quarantine, StoreError};
use crate::input::InputKey;
use crate::manifest::{FORMAT, Manifest};
use crate::manifests;
use crate::objects::Created;
use crate::signature::Signature;

use super::Store;
use super::heal::restless;
use super::ingest::{describe, ingest, missing};
use super::push::AT_ONCE;

/// How often a build is stored while others store and remove the same one.
const RETRIES: usize = 3;

/// What became of a build that was to be stored.
#[derive(Clone, Debug)]
pub struct Added {
    /// The build that the store has: another one of the same input, if that was the first.
    pub manifest: Manifest,
    /// The one that was to be stored.
    pub made: Manifest,
}

impl Added {
    /// Whether one input gave two kernels, or one and none; the first stays.
    pub fn differ(&self) -> bool {
        self.made.is_another_than(&self.manifest)
    }
}

impl Store {
    /// Stores a finished build: its files, then its manifest, then its row in the index. When this
    /// returns, all of it is durable; before, nothing of it is visible but blobs.
    ///
    /// Builds are immutable: when there is one of the same input already, its manifest is kept and
    /// returned, and only the draft's request and commit are added as names of it. Unless it can
    /// no longer be served because blobs of it were lost: then it gives way to the new one.
    pub async fn add_build(&self, draft: BuildDraft) -> Result<Manifest, StoreError> {
        Ok(self.add_or_find(draft).await?.manifest)
    }

    /// The same, for whoever wants to know whether there was another one.
    pub async fn add_or_find(&self, draft: BuildDraft) -> Result<Added, StoreError> {
        self.add_if(draft, Ok).await
    }

    /// The same, when `judge` takes the manifest that was made of the files. Refused files stay as
    /// blobs that nothing names.
    pub(super) async fn add_if(
        &self,
        draft: BuildDraft,
        judge: impl FnOnce(Manifest) -> Result<Manifest, StoreError>,
    ) -> Result<Added, StoreError> {
        draft.check()?;
        let owner = Uuid::new_v4().to_string();
        let (artifacts, signed) =
            ingest(&self.inner, &owner, &draft.result, &draft.artifacts).await?;
        let files = draft.artifacts.clone();
        let manifest = judge(describe(draft, artifacts, signed))?;
        let made = manifest.clone();
        let (manifest, _) = self.add_described(&owner, manifest).await?;
        self.put_back(&manifest, &files).await?;
        self.inner.index.release(&owner).await?;
        Ok(Added { manifest, made })
    }

    /// Stores what was removed before the build named it: by somebody whose clock is so far ahead
    /// that the upload seemed to have died. From now on nobody removes it.
    pub(super) async fn put_back(
        &self,
        manifest: &Manifest,
        files: &[(String, PathBuf)],
    ) -> Result<(), StoreError> {
        let place = |(name, path): &(String, PathBuf)| {
            Some((manifest.artifact(name)?.digest, path.clone()))
        };
        let files = files.iter().filter_map(place).collect();
        for (digest, path) in missing(&self.inner, files).await? {
            if self.inner.blobs.put_file(&path).await?.0 != digest {
                return Err(StoreError::Changed(path));
            }
        }
        Ok(())
    }

    /// Stores the manifest of a build whose files are here, and its row in the index. The upload
    /// `owner` holds the build from then on, be it new or not: it is here until it is let go of.
    ///
    /// A pushed build that was named otherwise before, by a Kiln that did not look at all of its
    /// files, is named anew: its key is of its files, so it is the same build.
    pub(super) async fn add_described(
        &self,
        owner: &str,
        manifest: Manifest,
    ) -> Result<(Manifest, Created), StoreError> {
        let (key, index) = (manifest.input_key, &self.inner.index);
        let bytes = manifests::encode(&manifest)?;
        self.inner.join().await?;
        index.reserve(owner, &[key.0]).await?;
        for _ in 0..RETRIES {
            let objects = &self.inner.objects;
            if manifests::create(objects, &key, bytes.clone()).await? == Created::New {
                let row = (manifest, Digest::of(&bytes));
                index.add_relied_on(&row).await?;
                return Ok((row.0, Created::New));
            }
            match self.look_up(&key).await {
                Ok(Some(first)) if self.is_whole(&first.manifest).await? => {
                    index.add_request(&manifest.request_key, &key).await?;
                    index.add_revision(&manifest.commit, &key, None).await?;
                    let mut first = first.manifest;
                    if is_misnamed(&first, &manifest) {
                        tracing::warn!(%key, "this build was named by some of its files: mended");
                        let signatures = manifest.signatures.clone();
                        first = Manifest { format: FORMAT, signatures, ..first };
                        let bytes = manifests::encode(&first)?;
                        // In one step: the build is there all the time. Its new row is written by
                        // the next look-up, if not here.
                        objects.put(&manifests::object_of(&key), bytes.clone().into()).await?;
                        index.add_builds(&[(first.clone(), Digest::of(&bytes))]).await?;
                    }
                    return Ok((first, Created::Exists));
                }
                Ok(Some(first)) => {
                    tracing::warn!(%key, "files of this build were lost: storing the new one");
                    let moved = self.retire(&key, first.tag.as_deref(), Some(first.digest)).await?;
                    if let Quarantine::Failed(why) = moved {
                        let what = manifests::object_of(&key).to_string();
                        return Err(StoreError::Damaged { what, why });
                    }
                }
                // It was quarantined by this look-up, or removed by another process.
                Ok(None) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(restless(&key))
    }

    /// A build that is here with all its files. Then nobody collects it who had decided to before
    /// this; it counts as used at `used`, unless it was used later.
    pub(super) async fn confirm(
        &self,
        key: &InputKey,
        used: i64,
    ) -> Result<Option<Manifest>, StoreError> {
        let (owner, index) = (self.hold_build(key).await?, &self.inner.index);
        let mut here = self.look_up(key).await?.map(|here| here.manifest);
        if let Some(build) = &here {
            match self.is_whole(build).await? {
                true => index.used_since(key, used).await?,
                false => here = None,
            }
        }
        index.release(&owner).await?;
        Ok(here)
    }

    /// Holds the name of a build, be it here or not: from now on nobody removes it, until what this
    /// gives is let go of.
    pub(super) async fn hold_build(&self, key: &InputKey) -> Result<String, StoreError> {
        let owner = Uuid::new_v4().to_string();
        self.inner.join().await?;
        self.inner.index.reserve(&owner, &[key.0]).await?;
        Ok(owner)
    }

    /// Remembers that a request (a configuration as given) leads to a stored build.
    pub async fn add_request(
        &self,
        request: &InputKey,
        input: &InputKey,
    ) -> Result<(), StoreError> {
        self.must_know(input).await?;
        self.inner.index.add_request(request, input).await
    }

    /// Remembers that a commit (hexadecimal) leads to a stored build, which is its own.
    /// [`StoreError::UnknownBuild`] when there is no such build, perhaps since a moment ago.
    pub async fn add_revision(&self, commit: &str, input: &InputKey) -> Result<(), StoreError> {
        self.name(commit, input, None).await
    }

    pub(super) async fn name(
        &self,
        commit: &str,
        input: &InputKey,
        closure: Option<&Digest>,
    ) -> Result<(), StoreError> {
        self.must_know(input).await?;
        self.inner.index.add_revision(commit, input, closure).await?;
        // Nobody collects it from here on; somebody may have, just before.
        self.must_know(input).await
    }

    pub(super) async fn must_know(&self, input: &InputKey) -> Result<(), StoreError> {
        if self.inner.index.manifest_of(input).await?.is_some()
            || self.build_by_input(input).await?.is_some()
        {
            return Ok(());
        }
        Err(StoreError::UnknownBuild(*input))
    }

    /// Whether every file of a build is here. Says nothing about their bytes.
    pub async fn is_whole(&self, manifest: &Manifest) -> Result<bool, StoreError> {
        let digests: Vec<_> = manifest.artifacts.iter().map(|it| it.digest).collect();
        let mut looking = stream::iter(digests)
            .map(|digest| {
                let store = self.clone();
                async move { store.contains(&digest).await }
            })
            .buffer_unordered(AT_ONCE)
            .boxed();
        while let Some(is_here) = looking.try_next().await? {
            if !is_here {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a pushed build has a signature that, in the same version, is not that of its files.
fn is_misnamed(first: &Manifest, made: &Manifest) -> bool {
    let differs = |kind, was: &Signature| {
        made.signatures
            .get(kind)
            .is_some_and(|made| made.version == was.version && made.hash != was.hash)
    };
    first.is_pushed()
        && first.artifacts == made.artifacts
        && first.signatures.0.iter().any(|(kind, was)| differs(*kind, was))
}
