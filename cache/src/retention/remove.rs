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
            let index = &self.store.inner().index;
            let mut condemn = index.condemn(self.alone).await?;
            let mut hidden = Vec::new();
            for build in batch {
                if let Some(seen) = seen.get(&build.build)
                    && condemn.unindex(&build.build, seen).await?
                {
                    hidden.push((build, *seen));
                }
            }
            condemn.done().await?;
            // Whoever wanted one of them in between has put its row back, or holds it.
            let mut condemn = index.condemn(self.alone).await?;
            condemn.removing().await?;
            let mut removed = HashSet::new();
            for (build, seen) in hidden {
                let object = manifests::object_of(&build.build);
                let tag = seen.tag.as_deref();
                if condemn.may_remove(&build.build, seen).await?
                    && self.store.inner().objects.delete_if(&object, tag).await?
                {
                    removed.insert(build.build);
                    went.push(build.clone());
                }
            }
            condemn.done().await?;
            for build in batch.iter().filter(|build| !removed.contains(&build.build)) {
                let files = self.names.get(&build.build).into_iter().flatten();
                self.spare(files.map(|file| file.digest).collect::<Vec<_>>());
            }
        }
        Ok(went)
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

    /// Lets go of files, once blobs are gone that rested on them; gives those that went.
    pub(super) async fn debug(&mut self, files: Vec<LetGo>) -> Result<Vec<LetGo>, StoreError> {
        let mut went = Vec::new();
        for file in files {
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            if !self.spared.contains(&file.digest) && !condemn.is_held(&file.digest).await? {
                self.store.inner().blobs.let_go(&file.digest, file.size).await?;
                went.push(file);
            }
            condemn.done().await?;
        }
        Ok(went)
    }
}
