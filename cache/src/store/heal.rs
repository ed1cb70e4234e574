//! Reading manifests, and mending what a killed process or a bad disk left behind.

use std::collections::HashSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::blob::quarantine::quarantine;
use crate::blob::store::object_of;
use crate::digest::Digest;
use crate::error::{Quarantine, StoreError};
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::manifests::{self, Read};
use crate::time::now;

use super::Store;

/// Manifests indexed in one transaction.
const CHUNK: usize = 256;

/// Manifests read at once: a bucket answers slowly, but many at a time.
const AT_ONCE: usize = 16;

impl Store {
    /// The build of an input. When its row in the index is missing (its writer was killed before
    /// writing it), the manifest answers, and the row is written now.
    ///
    /// A manifest that can't be read, or is not the one that was indexed, is quarantined and
    /// reported as [`StoreError::Damaged`]; from then on the build is unknown, and can be built
    /// again.
    pub async fn build_by_input(&self, key: &InputKey) -> Result<Option<Manifest>, StoreError> {
        let indexed = self.inner.index.manifest_of(key).await?;
        let read = match manifests::read(&self.inner.objects, key).await? {
            None => {
                if indexed.is_some() {
                    tracing::warn!(%key, "the index knows a build whose manifest is gone");
                }
                return Ok(None);
            }
            Some(Ok(read)) => read,
            Some(Err(unreadable)) => {
                // A newer manifest is fine where it is.
                if let StoreError::Damaged { what, why } = unreadable.error {
                    let moved = self.retire(key, unreadable.tag.as_deref()).await?;
                    return Err(StoreError::Damaged { what, why: format!("{why}; {moved}") });
                }
                return Err(unreadable.error);
            }
        };
        if let Err(error) = self.inner.index.used(key, now()).await {
            // Whoever looks something up does not care.
            tracing::debug!(%key, %error, "a use was not noted");
        }
        match indexed {
            Some(digest) if digest == read.digest => Ok(Some(read.manifest)),
            Some(_) => self.settle_difference(key, read).await,
            None => {
                self.inner.index.add_builds(&[(read.manifest.clone(), read.digest)]).await?;
                Ok(Some(read.manifest))
            }
        }
    }

    /// A manifest that differs from the indexed one: either it was replaced a moment ago, or
    /// something changed its bytes.
    async fn settle_difference(
        &self,
        key: &InputKey,
        read: Read,
    ) -> Result<Option<Manifest>, StoreError> {
        if self.inner.index.manifest_of(key).await? == Some(read.digest) {
            return Ok(Some(read.manifest));
        }
        let moved = self.retire(key, None).await?;
        Err(StoreError::Damaged {
            what: format!("the manifest of build {key}"),
            why: format!("its bytes are not those that were stored; {moved}"),
        })
    }

    /// Takes a build out of use that turned out to be wrong: its manifest is quarantined, and from
    /// then on the build is unknown, and can be made again. Its files stay: other builds may have
    /// the same.
    pub async fn withdraw(&self, key: &InputKey) -> Result<(), StoreError> {
        match self.retire(key, None).await? {
            Quarantine::Failed(why) => {
                Err(StoreError::Damaged { what: manifests::object_of(key).to_string(), why })
            }
            _ => Ok(()),
        }
    }

    /// Takes a blob out of use that can't be read, be it for what it rests on: from then on it counts
    /// as lost, and its builds are made again when they are asked for. `false`: it can be read.
    pub async fn set_aside(&self, digest: &Digest) -> Result<bool, StoreError> {
        let read = async {
            let reader = self.reader(digest).await?;
            let mut pieces = reader.stream(0..reader.size());
            while pieces.try_next().await?.is_some() {}
            Ok(())
        };
        match read.await {
            Ok(()) => Ok(false),
            // Let go of on purpose: not lost.
            Err(StoreError::LetGo(_)) => Ok(false),
            Err(StoreError::Missing(_) | StoreError::Corrupt { .. }) => {
                quarantine(&self.inner.objects, &object_of(digest), None).await;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a manifest out of use, first in the index, then as an object. `tag` is the entity tag
    /// of the object that is meant, if it matters.
    pub(super) async fn retire(
        &self,
        key: &InputKey,
        tag: Option<&str>,
    ) -> Result<Quarantine, StoreError> {
        self.inner.index.remove_build(key).await?;
        Ok(quarantine(&self.inner.objects, &manifests::object_of(key), tag).await)
    }

    /// Makes the index agree with the manifests: adds and corrects rows of builds, removes those
    /// without a manifest. Names added later by [`Self::add_request`] and [`Self::add_revision`],
    /// evidence and journals are not touched. Returns the number of builds. Manifests that can't
    /// be read are left for [`Self::verify`] to report.
    pub async fn reindex(&self) -> Result<u64, StoreError> {
        let seen = self.read_manifests(|_| true).await?;
        for key in self.inner.index.all_builds().await?.into_keys() {
            // A build that was stored since the listing has a manifest, too.
            if !seen.contains(&key)
                && self.inner.objects.head(&manifests::object_of(&key)).await?.is_none()
            {
                self.inner.index.remove_build(&key).await?;
            }
        }
        Ok(seen.len() as u64)
    }

    /// Adds the builds that the index does not know, without reading the manifests of those that
    /// it does.
    pub(super) async fn learn(&self) -> Result<(), StoreError> {
        let known = self.inner.index.all_builds().await?;
        self.read_manifests(|key| !known.contains_key(key)).await?;
        Ok(())
    }

    /// Indexes the manifests that are `wanted`; gives their keys. Several are read at once.
    async fn read_manifests(
        &self,
        wanted: impl Fn(&InputKey) -> bool,
    ) -> Result<HashSet<InputKey>, StoreError> {
        let mut seen = HashSet::new();
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut keys = Vec::new();
        let mut listing = manifests::list(&self.inner.objects);
        while let Some(object) = listing.try_next().await? {
            keys.extend(manifests::key_of(&object).filter(|key| wanted(key)));
        }
        let objects = self.inner.objects.clone();
        let read = move |key: InputKey| {
            let objects = objects.clone();
            async move { Ok::<_, StoreError>((key, manifests::read(&objects, &key).await?)) }
        };
        let mut reading = stream::iter(keys).map(read).buffer_unordered(AT_ONCE).boxed();
        while let Some((key, read)) = reading.try_next().await? {
            match read {
                Some(Ok(read)) => {
                    seen.insert(key);
                    chunk.push((read.manifest, read.digest));
                }
                Some(Err(unreadable)) => {
                    tracing::warn!(%key, error = %unreadable.error, "not indexed");
                }
                None => {}
            }
            if chunk.len() == CHUNK {
                self.inner.index.add_builds(&chunk).await?;
                chunk.clear();
            }
        }
        self.inner.index.add_builds(&chunk).await?;
        Ok(seen)
    }
}
