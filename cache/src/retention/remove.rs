//! Removing what a collection has chosen, and nothing that somebody wants by now.

use std::collections::{HashMap, HashSet};

use crate::blob::store::object_of;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::index::{Alone, Seen};
use crate::input::InputKey;
use crate::manifest::Artifact;
use crate::manifests;
use crate::store::Store;

use super::needed::Shelf;
use super::report::{GcPhase, GcProgress, GcReport, Gone, LetGo};

/// Builds or blobs removed while uploads wait: a few milliseconds.
const BATCH: usize = 32;

/// A collection that has decided.
pub(super) struct Removal<'a> {
    pub(super) store: &'a Store,
    pub(super) alone: &'a Alone,
    pub(super) shelf: &'a Shelf,
    /// The files of all builds.
    pub(super) names: &'a HashMap<InputKey, Vec<Artifact>>,
    pub(super) progress: &'a (dyn Fn(GcProgress) + Sync),
    /// Blobs that somebody came to want since, with all that they rest on.
    pub(super) spared: HashSet<Digest>,
}

impl Removal<'_> {
    fn tell(&self, phase: GcPhase, done: usize, total: usize) {
        (self.progress)(GcProgress { phase, done: done as u64, total: total as u64 });
    }

    /// Spares blobs and what they rest on.
    fn spare(&mut self, blobs: impl IntoIterator<Item = Digest>) {
        self.spared.extend(self.shelf.reach(blobs));
    }

    /// Removes builds that nobody relies on since they were seen; gives those that went.
    pub(super) async fn builds(
        &mut self,
        going: Vec<Gone>,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<Vec<Gone>, StoreError> {
        let (mut went, total) = (Vec::new(), going.len());
        for (n, batch) in going.chunks(BATCH).enumerate() {
            self.tell(GcPhase::Builds, n * BATCH, total);
            let hidden = self.hide(batch, seen).await?;
            let removed = self.remove(&hidden, seen).await?;
            let stays = |build: &&Gone| !removed.contains(&build.build);
            for build in batch.iter().filter(stays) {
                let files = self.names.get(&build.build).into_iter().flatten();
                self.spare(files.map(|file| file.digest).collect::<Vec<_>>());
            }
            went.extend(batch.iter().filter(|build| !stays(build)).cloned());
        }
        Ok(went)
    }

    /// The first turn: takes builds out of the index; gives those that it took.
    pub(super) async fn hide(
        &self,
        builds: &[Gone],
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<Vec<InputKey>, StoreError> {
        let mut hidden = Vec::new();
        let mut condemn = self.store.inner().index.condemn(self.alone).await?;
        for key in builds.iter().map(|gone| gone.build) {
            if let Some(seen) = seen.get(&key)
                && condemn.unindex(&key, seen).await?
            {
                hidden.push(key);
            }
        }
        condemn.done().await?;
        Ok(hidden)
    }

    /// The second turn: removes the manifests of builds that were taken out of the index; gives those
    /// that went. Whoever came to want one in between holds it, or has put its row back; what stays
    /// has its row again.
    pub(super) async fn remove(
        &self,
        hidden: &[InputKey],
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<HashSet<InputKey>, StoreError> {
        let mut removed = HashSet::new();
        let mut condemn = self.store.inner().index.condemn(self.alone).await?;
        for key in hidden {
            let Some(seen) = seen.get(key) else { continue };
            let (object, tag) = (manifests::object_of(key), seen.tag.as_deref());
            if condemn.may_remove(key, seen).await?
                && self.store.inner().objects.delete_if(&object, tag).await?
            {
                removed.insert(*key);
            }
        }
        condemn.done().await?;
        for key in hidden.iter().filter(|key| !removed.contains(key)) {
            match self.store.settle(key).await {
                // What is wrong with it is for whoever looks it up.
                Ok(_) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Removes blobs, each before what it rests on.
    pub(super) async fn blobs(
        &mut self,
        garbage: &HashSet<Digest>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        for (n, batch) in self.shelf.dependents_first(garbage).chunks(BATCH).enumerate() {
            self.tell(GcPhase::Blobs, n * BATCH, garbage.len());
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            for digest in batch {
                // What an upload came to want since the look rests on other blobs, too.
                if self.spared.contains(digest) || !condemn.is_free(digest).await? {
                    self.spare([*digest]);
                    continue;
                }
                self.store.inner().objects.delete(&object_of(digest)).await?;
                report.freed_blobs += 1;
                report.freed_bytes += self.shelf.bytes([digest]);
            }
            condemn.done().await?;
        }
        Ok(())
    }

    /// Lets go of files, once blobs are gone that rested on them; gives those that went. One stays
    /// when any build that names it was used, pinned or added since.
    pub(super) async fn debug(
        &mut self,
        files: Vec<LetGo>,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<Vec<LetGo>, StoreError> {
        let (mut went, total) = (Vec::new(), files.len());
        for (n, file) in files.into_iter().enumerate() {
            self.tell(GcPhase::Blobs, n, total);
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            if !self.spared.contains(&file.digest) && condemn.is_unused(&file.digest, seen).await? {
                self.store.inner().blobs.let_go(&file.digest, file.size).await?;
                went.push(file);
            }
            condemn.done().await?;
        }
        Ok(went)
    }
}
