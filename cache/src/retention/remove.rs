//! Removing what a collection has chosen, and nothing that somebody wants by now.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::blob::store::object_of;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::index::{Alone, Condemn, Seen};
use crate::input::InputKey;
use crate::manifest::Artifact;
use crate::manifests;
use crate::objects::Objects;
use crate::store::Store;

use super::needed::Shelf;
use super::report::{GcPhase, GcProgress, GcReport, Gone, LetGo};

/// Builds taken out of the index while uploads wait.
const BATCH: usize = 32;

/// How long uploads wait for a turn in which objects are removed; and for the last of them, which a
/// bucket may be slow at.
const TURN: Duration = Duration::from_millis(250);

/// The pause between two turns in a file. Its writers don't queue up, but look whether it is free:
/// in SQLite, the longer they wait the seldomer, every tenth of a second at last.
const PAUSE: Duration = Duration::from_millis(120);

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
    /// Removes all that was chosen, and says in the report what went.
    pub(super) async fn all(
        &mut self,
        garbage: &HashSet<Digest>,
        let_go: Vec<LetGo>,
        seen: &HashMap<InputKey, &Seen>,
        mut report: GcReport,
    ) -> Result<GcReport, StoreError> {
        report.gone = self.builds(report.gone, seen).await?;
        self.blobs(garbage, &mut report).await?;
        report.let_go = self.debug(let_go, seen).await?;
        Ok(report)
    }

    /// Before each turn: says how far this is, and looks whether still nobody else has a say.
    async fn go_on(&self, phase: GcPhase, done: usize, total: usize) -> Result<(), StoreError> {
        (self.progress)(GcProgress { phase, done: done as u64, total: total as u64 });
        self.store.must_be_only_one().await
    }

    /// Between two turns.
    async fn give_way(&self) {
        if self.store.inner().index.is_file() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Spares blobs and what they rest on.
    fn spare(&mut self, blobs: impl IntoIterator<Item = Digest>) {
        self.spared.extend(self.shelf.reach(blobs));
    }

    /// Removes builds that nobody relies on since they were seen; gives those that went.
    async fn builds(
        &mut self,
        going: Vec<Gone>,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<Vec<Gone>, StoreError> {
        let (mut went, total) = (Vec::new(), going.len());
        for (n, batch) in going.chunks(BATCH).enumerate() {
            if n > 0 {
                self.give_way().await;
            }
            self.go_on(GcPhase::Builds, n * BATCH, total).await?;
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

    /// The second turn, or more of them: removes the manifests of builds that were taken out of the
    /// index; gives those that went. Whoever came to want one in between holds it, or has put its row
    /// back; what stays has its row again.
    pub(super) async fn remove(
        &self,
        hidden: &[InputKey],
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<HashSet<InputKey>, StoreError> {
        let (mut removed, mut next) = (HashSet::new(), 0);
        let objects = &self.store.inner().objects;
        // Not while others wait.
        let fail = |source| objects.fail("trying out a condition".into(), source);
        objects.heeds().await.map_err(fail)?;
        while next < hidden.len() {
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            let begun = Instant::now();
            while let Some(key) = hidden.get(next)
                && begun.elapsed() < TURN
            {
                next += 1;
                let Some(seen) = seen.get(key) else { continue };
                if remove_manifest(objects, &mut condemn, key, seen).await? {
                    removed.insert(*key);
                }
            }
            condemn.done().await?;
        }
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
    async fn blobs(
        &mut self,
        garbage: &HashSet<Digest>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let (order, mut next) = (self.shelf.dependents_first(garbage), 0);
        while next < order.len() {
            if next > 0 {
                self.give_way().await;
            }
            self.go_on(GcPhase::Blobs, next, order.len()).await?;
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            let begun = Instant::now();
            while let Some(digest) = order.get(next)
                && begun.elapsed() < TURN
            {
                next += 1;
                // What an upload came to want since the look rests on other blobs, too.
                if self.spared.contains(digest) || !self.remove_blob(&mut condemn, digest).await? {
                    self.spare([*digest]);
                    continue;
                }
                report.freed_blobs += 1;
                report.freed_bytes += self.shelf.bytes([digest]);
            }
            condemn.done().await?;
        }
        Ok(())
    }

    /// Lets go of files, once blobs are gone that rested on them; gives those that went. One stays
    /// when any build that names it was used, pinned or added since, and so does what it rests on:
    /// that comes behind it.
    async fn debug(
        &mut self,
        files: Vec<LetGo>,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<Vec<LetGo>, StoreError> {
        let (mut went, total) = (Vec::new(), files.len());
        for (n, file) in files.into_iter().enumerate() {
            self.go_on(GcPhase::Blobs, n, total).await?;
            let mut condemn = self.store.inner().index.condemn(self.alone).await?;
            let stays = self.spared.contains(&file.digest)
                || !self.let_go(&mut condemn, &file, seen).await?;
            condemn.done().await?;
            match stays {
                true => self.spare([file.digest]),
                false => went.push(file),
            }
        }
        Ok(went)
    }

    // These, like [`remove_manifest`], make one request at a time and look before each: if the turn was
    // lost, then with its connection, and the look fails.

    /// `false`: somebody wants the blob by now.
    async fn remove_blob(
        &self,
        condemn: &mut Condemn,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let objects = &self.store.inner().objects;
        let mut tries = objects.tries();
        while condemn.is_free(digest).await? {
            match objects.once().delete(&object_of(digest)).await {
                Ok(()) => return Ok(true),
                Err(error) => tries.after(error).await?,
            }
        }
        Ok(false)
    }

    /// `false`: somebody wants the file by now.
    async fn let_go(
        &self,
        condemn: &mut Condemn,
        file: &LetGo,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<bool, StoreError> {
        let inner = self.store.inner();
        let mut tries = inner.objects.tries();
        while condemn.is_unused(&file.digest, seen).await? {
            match inner.blobs.let_go(&file.digest, file.size).await {
                Ok(()) => return Ok(true),
                Err(error) => tries.after(error).await?,
            }
        }
        Ok(false)
    }
}

/// Removes the manifest of a build that was taken out of the index. `false`: somebody wants the build
/// by now, or stored it anew.
pub(crate) async fn remove_manifest(
    objects: &Objects,
    condemn: &mut Condemn,
    key: &InputKey,
    seen: &Seen,
) -> Result<bool, StoreError> {
    let (object, mut tries) = (manifests::object_of(key), objects.tries());
    while condemn.may_remove(key, seen).await? {
        match objects.once().delete_if(&object, seen.tag.as_deref()).await {
            Ok(removed) => return Ok(removed),
            Err(error) => tries.after(error).await?,
        }
    }
    Ok(false)
}
