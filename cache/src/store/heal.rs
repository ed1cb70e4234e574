//! Reading manifests, and mending what a killed process or a bad disk left behind.

use std::collections::HashSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::blob::quarantine::quarantine;
use crate::blob::store::object_of;
use crate::digest::Digest;
use crate::error::{Quarantine, StoreError};
use crate::index::Indexed;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::manifests::{self, Read};

use super::Store;

/// How often a build is looked at that others store and remove meanwhile.
const RETRIES: usize = 3;

/// Manifests indexed in one turn, for which others wait.
const CHUNK: usize = 64;

/// Manifests read at once: a bucket answers slowly, but many at a time.
const AT_ONCE: usize = 16;

impl Store {
    /// The build of an input. When its row in the index is missing (its writer was killed before
    /// writing it) or is that of a build which was removed since, the manifest answers, and the row
    /// is written now.
    ///
    /// A manifest that can't be read, or whose bytes were changed, is quarantined and reported as
    /// [`StoreError::Damaged`]; from then on the build is unknown, and can be built again.
    pub async fn build_by_input(&self, key: &InputKey) -> Result<Option<Manifest>, StoreError> {
        let Some(read) = self.look_up(key).await? else { return Ok(None) };
        if let Err(error) = self.inner.index.used(key).await {
            // Whoever looks something up does not care.
            tracing::debug!(%key, %error, "a use was not noted");
        }
        Ok(Some(read.manifest))
    }

    /// The same for whoever only looks whether it is there, or what it is: that is no use of the build.
    pub async fn peek_input(&self, key: &InputKey) -> Result<Option<Manifest>, StoreError> {
        Ok(self.look_up(key).await?.map(|read| read.manifest))
    }

    /// The same with what tells its object from another.
    pub(super) async fn look_up(&self, key: &InputKey) -> Result<Option<Read>, StoreError> {
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
                    let indexed = indexed.map(|indexed| indexed.manifest);
                    let moved = self.retire(key, unreadable.tag.as_deref(), indexed).await?;
                    return Err(StoreError::Damaged { what, why: format!("{why}; {moved}") });
                }
                return Err(unreadable.error);
            }
        };
        if indexed.is_some_and(|indexed| indexed.manifest == read.digest) {
            return Ok(Some(read));
        }
        match self.settle(key).await? {
            Settled::Right(read) => Ok(read),
            Settled::Changed(read) => {
                let was = self.inner.index.manifest_of(key).await?.map(|it| it.manifest);
                let moved = self.retire(key, read.tag.as_deref(), was).await?;
                Err(StoreError::Damaged {
                    what: format!("the manifest of build {key}"),
                    why: format!("its bytes are not those that were stored; {moved}"),
                })
            }
        }
    }

    /// Makes the index agree with a manifest that it does not know, or knows otherwise: the build
    /// was stored by somebody with another index, or removed and stored again a moment ago. Unless
    /// something changed the manifest's bytes.
    pub(crate) async fn settle(&self, key: &InputKey) -> Result<Settled, StoreError> {
        for _ in 0..RETRIES {
            let indexed = self.inner.index.manifest_of(key).await?;
            let read = match manifests::read(&self.inner.objects, key).await? {
                None => return Ok(Settled::Right(None)),
                Some(Ok(read)) => read,
                // The next look-up says more.
                Some(Err(unreadable)) => return Err(unreadable.error),
            };
            match indexed {
                Some(indexed) if indexed.manifest == read.digest => {
                    return Ok(Settled::Right(Some(read)));
                }
                Some(indexed) if !is_newer(&read.manifest, &indexed) => {
                    return Ok(Settled::Changed(read));
                }
                _ => {}
            }
            if self.index_found(vec![read.clone()]).await?.is_empty() {
                return Ok(Settled::Right(Some(read)));
            }
        }
        Err(restless(key))
    }

    /// Takes a build out of use that turned out to be wrong: its manifest is quarantined, and from
    /// then on the build is unknown, and can be made again. Its files stay: other builds may have
    /// the same. So does another build of the same input that has taken its place by now.
    pub async fn withdraw_build(&self, build: &Manifest) -> Result<(), StoreError> {
        let key = &build.input_key;
        // In this order: what is read then is as new as the row, or newer.
        let indexed = self.inner.index.manifest_of(key).await?.map(|indexed| indexed.manifest);
        let tag = match manifests::read(&self.inner.objects, key).await? {
            Some(Ok(read)) if read.manifest.own_name() == build.own_name() => read.tag,
            // (What can't be read is put aside by the next look-up.)
            _ => return Ok(()),
        };
        match self.retire(key, tag.as_deref(), indexed).await? {
            Quarantine::Failed(why) => {
                Err(StoreError::Damaged { what: manifests::object_of(key).to_string(), why })
            }
            _ => Ok(()),
        }
    }

    /// Takes a blob out of use that can't be read, be it for what it rests on: from then on it counts
    /// as lost, and its builds are made again when they are asked for. `false`: it can be read.
    pub async fn set_aside(&self, digest: &Digest) -> Result<bool, StoreError> {
        let reader = match self.reader(digest).await {
            Ok(reader) => reader,
            // It is not there; or was quarantined a moment ago, and what is there since is another.
            Err(StoreError::Missing(_) | StoreError::Corrupt { .. }) => {
                return Ok(!self.contains(digest).await?);
            }
            Err(StoreError::LetGo(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let read = async {
            let mut pieces = reader.stream(0..reader.size());
            while pieces.try_next().await?.is_some() {}
            Ok(())
        };
        match read.await {
            Ok(()) => Ok(false),
            // Let go of on purpose: not lost.
            Err(StoreError::LetGo(_)) => Ok(false),
            Err(
                StoreError::Missing(_) | StoreError::Corrupt { .. } | StoreError::NotRepeated(_),
            ) => {
                // Only what was read: another process may have stored it whole since.
                match quarantine(&self.inner.objects, &object_of(digest), reader.tag()).await {
                    Quarantine::Gone => Ok(!self.contains(digest).await?),
                    Quarantine::Moved(_) | Quarantine::Failed(_) => Ok(true),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a manifest out of use, first in the index, then as an object. `tag` is the entity tag
    /// of the object that is meant, `indexed` the digest that the index had for it: what others
    /// stored in its place stays.
    pub(super) async fn retire(
        &self,
        key: &InputKey,
        tag: Option<&str>,
        indexed: Option<Digest>,
    ) -> Result<Quarantine, StoreError> {
        if let Some(indexed) = indexed {
            self.inner.index.remove_build(key, &indexed).await?;
        }
        Ok(quarantine(&self.inner.objects, &manifests::object_of(key), tag).await)
    }

    /// Makes the index agree with the manifests: adds and corrects rows of builds, removes those
    /// without a manifest. Names added later by [`Self::add_request`] and [`Self::add_revision`],
    /// evidence and journals are not touched. Returns the number of builds. Manifests that can't
    /// be read are left for [`Self::verify`] to report.
    pub async fn reindex(&self) -> Result<u64, StoreError> {
        let seen = self.read_manifests(|_| true).await?;
        self.learn_pins().await?;
        for (key, indexed) in self.inner.index.all_builds().await? {
            // A build that was stored since the listing has a manifest, too.
            if !seen.contains(&key)
                && self.inner.objects.head(&manifests::object_of(&key)).await?.is_none()
            {
                self.inner.index.remove_build(&key, &indexed).await?;
            }
        }
        Ok(seen.len() as u64)
    }

    /// Adds the builds that the index does not know, without reading the manifests of those that
    /// it does.
    pub async fn learn(&self) -> Result<(), StoreError> {
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
                    chunk.push(read);
                }
                Some(Err(unreadable)) => {
                    tracing::warn!(%key, error = %unreadable.error, "not indexed");
                }
                None => {}
            }
            if chunk.len() == CHUNK {
                self.index_read(std::mem::take(&mut chunk)).await?;
            }
        }
        self.index_read(chunk).await?;
        Ok(seen)
    }

    /// Indexes manifests that were read; those that others replaced since are looked at again.
    async fn index_read(&self, found: Vec<Read>) -> Result<(), StoreError> {
        for key in self.index_found(found).await? {
            // What is wrong with one is for whoever looks it up.
            if let Err(error) = self.settle(&key).await {
                tracing::warn!(%key, %error, "not indexed");
            }
        }
        Ok(())
    }

    /// Indexes manifests that were read and are still there, in a turn in which nobody removes any.
    /// Gives the builds of the others, which were removed or replaced since.
    pub(crate) async fn index_found(&self, found: Vec<Read>) -> Result<Vec<InputKey>, StoreError> {
        let (mut rows, mut others) = (Vec::new(), Vec::new());
        if found.is_empty() {
            return Ok(others);
        }
        let finding = self.inner.index.finding().await?;
        let objects = self.inner.objects.clone();
        let look = move |read: Read| {
            let objects = objects.clone();
            async move {
                let there = objects.head(&manifests::object_of(&read.manifest.input_key)).await?;
                let is_there = there.is_some_and(|there| there.e_tag == read.tag);
                Ok::<_, StoreError>((read, is_there))
            }
        };
        let mut looking = stream::iter(found).map(look).buffered(AT_ONCE).boxed();
        while let Some((read, is_there)) = looking.try_next().await? {
            match is_there {
                true => rows.push((read.manifest, read.digest)),
                false => others.push(read.manifest.input_key),
            }
        }
        finding.add(&rows).await?;
        Ok(others)
    }
}

/// How a manifest that differs from the index came to differ.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The index knows it now; or it is gone, and that is right, too.
    Right(Option<Read>),
    /// Something changed its bytes.
    Changed(Read),
}

/// Whether a manifest is another one than the indexed one, rather than the same one with other bytes.
/// A sealed one that can be read has the bytes that it was written with. Of older ones the time tells:
/// a build that is stored again is made at another.
fn is_newer(manifest: &Manifest, indexed: &Indexed) -> bool {
    manifest.format >= manifests::SEALED || manifest.created != indexed.created
}

/// Others store and remove the same build all the time.
pub(super) fn restless(key: &InputKey) -> StoreError {
    StoreError::Damaged {
        what: manifests::object_of(key).to_string(),
        why: "it comes and goes: other processes store and remove this build".into(),
    }
}
