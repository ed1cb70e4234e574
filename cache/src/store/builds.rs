//! Adding builds and the names that lead to them.

use std::path::PathBuf;

use uuid::Uuid;

use crate::build_draft::BuildDraft;
use crate::digest::Digest;
use crate::error::{Quarantine, StoreError};
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::manifests;
use crate::objects::Created;

use super::Store;
use super::ingest::{describe, ingest};

/// How often a build is stored while others store and remove the same one.
const RETRIES: usize = 3;

impl Store {
    /// Stores a finished build: its files, then its manifest, then its row in the index. When this
    /// returns, all of it is durable; before, nothing of it is visible but blobs.
    ///
    /// Builds are immutable: when there is one of the same input already, its manifest is kept and
    /// returned, and only the draft's request and commit are added as names of it. Unless it can
    /// no longer be served because blobs of it were lost: then it gives way to the new one.
    pub async fn add_build(&self, draft: BuildDraft) -> Result<Manifest, StoreError> {
        self.add_if(draft, Ok).await
    }

    /// The same, when `judge` takes the manifest that was made of the files. Refused files stay as
    /// blobs that nothing names.
    pub(super) async fn add_if(
        &self,
        draft: BuildDraft,
        judge: impl FnOnce(Manifest) -> Result<Manifest, StoreError>,
    ) -> Result<Manifest, StoreError> {
        draft.check()?;
        let owner = Uuid::new_v4().to_string();
        let artifacts = ingest(&self.inner, &owner, &draft.artifacts).await?;
        let files = draft.artifacts.clone();
        let manifest = self.add_described(judge(describe(draft, artifacts).await?)?).await?;
        self.put_back(&manifest, &files).await?;
        self.inner.index.release(&owner).await?;
        Ok(manifest)
    }

    /// Stores what was removed before the build named it: by somebody whose clock is so far ahead
    /// that the upload seemed to have died. From now on nobody removes it.
    pub(super) async fn put_back(
        &self,
        manifest: &Manifest,
        files: &[(String, PathBuf)],
    ) -> Result<(), StoreError> {
        for (name, path) in files {
            let Some(artifact) = manifest.artifact(name) else { continue };
            if !self.inner.blobs.is_here(&artifact.digest).await? {
                self.inner.blobs.put_file(path).await?;
            }
        }
        Ok(())
    }

    /// Stores the manifest of a build whose files are here, and its row in the index.
    pub(super) async fn add_described(&self, manifest: Manifest) -> Result<Manifest, StoreError> {
        let key = manifest.input_key;
        let bytes = manifests::encode(&manifest)?;
        for _ in 0..RETRIES {
            let objects = &self.inner.objects;
            if manifests::create(objects, &key, bytes.clone()).await? == Created::New {
                let row = (manifest, Digest::of(&bytes));
                self.inner.index.add_builds(std::slice::from_ref(&row)).await?;
                return Ok(row.0);
            }
            match self.build_by_input(&key).await {
                Ok(Some(first)) if self.is_whole(&first).await? => {
                    self.inner.index.add_request(&manifest.request_key, &key).await?;
                    self.inner.index.add_revision(&manifest.commit, &key).await?;
                    return Ok(first);
                }
                Ok(Some(_)) => {
                    tracing::warn!(%key, "files of this build were lost: storing the new one");
                    let moved = self.retire(&key, None).await?;
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
        Err(StoreError::Damaged {
            what: manifests::object_of(&key).to_string(),
            why: "it comes and goes: other processes store and remove this build".into(),
        })
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

    /// Remembers that a commit (hexadecimal) leads to a stored build.
    pub async fn add_revision(&self, commit: &str, input: &InputKey) -> Result<(), StoreError> {
        self.must_know(input).await?;
        self.inner.index.add_revision(commit, input).await
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
        for artifact in &manifest.artifacts {
            if !self.contains(&artifact.digest).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
