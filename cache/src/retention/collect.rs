//! Collecting garbage.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;

use crate::blob::store::{PREFIX, digest_of, object_of};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Artifact;
use crate::manifests;
use crate::pack::lock;
use crate::store::Store;
use crate::time::now;

use super::debug::Choice;
use super::needed::{Shelf, Stored};
use super::policy::{GcReport, Gone, Known, LetGo, Policy, Reason};

/// Blobs removed while uploads wait: a few milliseconds.
const BATCH: usize = 32;

/// What becomes free when files are let go of.
fn freed(files: &[LetGo]) -> u64 {
    files.iter().map(|file| file.freed).sum()
}

impl Store {
    /// Removes builds by a policy, and blobs that nobody needs. A blob is needed when a build that
    /// stays names it, when it is the console of a run, or when one of those rests on it. Blobs
    /// that no build names are left alone for the embargo, and what an upload holds is never
    /// touched. Where the policy says so, files with debug information go first, and their builds
    /// stay. Evidence and journals stay.
    ///
    /// Refuses ([`StoreError::Refused`]) when a manifest can't be read, or when nothing of what
    /// builds name is here: then it does not see what it thinks it sees. [`StoreError::Busy`] when
    /// another process packs or collects.
    pub async fn gc(&self, policy: &Policy) -> Result<GcReport, StoreError> {
        let _lock = lock::claim(&self.folder())?;
        let _alone = self.inner().index.alone().await?.ok_or(StoreError::Busy)?;
        let now = now();
        let index = &self.inner().index;
        if !policy.dry_run {
            index.expire(now.saturating_sub(policy.embargo)).await?;
        }
        let (builds, names) = self.known_builds().await?;
        let shelf = self.shelf().await?;
        let refuse = |why: &str| Err(StoreError::Refused(why.to_owned()));
        let named: HashSet<Digest> = names.values().flatten().map(|file| file.digest).collect();
        if !named.is_empty()
            && !shelf.blobs.is_empty()
            && !named.iter().any(|digest| shelf.blobs.contains_key(digest))
        {
            return refuse("not one of the blobs that builds name is here");
        }
        let consoles: HashSet<Digest> = index.consoles().await?.into_keys().collect();
        let mut report = GcReport {
            dry_run: policy.dry_run,
            builds: builds.len() as u64,
            kept_by_name: builds.iter().filter(|build| policy.keeps(build)).count() as u64,
            blobs: shelf.blobs.len() as u64,
            bytes: shelf.bytes(shelf.blobs.keys()),
            ..GcReport::default()
        };
        // What no build and no run names is garbage once it is old enough.
        let reached = shelf.reach(named.iter().chain(&consoles).copied());
        let held = index.reserved(now.saturating_sub(policy.embargo)).await?;
        let (mut garbage, mut young) = (HashSet::new(), held.clone());
        for (digest, blob) in shelf.blobs.iter().filter(|it| !reached.contains(it.0)) {
            match !held.contains(digest) && blob.written < now.saturating_sub(policy.embargo) {
                true => garbage.insert(*digest),
                false => young.insert(*digest),
            };
        }
        report.embargoed = young.difference(&reached).count() as u64;
        // Builds, the longest unused first.
        let mut gone: HashSet<InputKey> = HashSet::new();
        let needed = |gone: &HashSet<InputKey>| {
            let staying = names.iter().filter(|it| !gone.contains(it.0)).flat_map(|it| it.1);
            let staying = staying.map(|file| file.digest);
            shelf.reach(staying.chain(consoles.iter().chain(&young).copied()))
        };
        let order = policy.order(&builds, now);
        gone.extend(order.iter().filter(|it| it.1.is_some()).map(|it| it.0.key));
        let stays = needed(&gone);
        let kept: HashSet<Digest> = builds
            .iter()
            .filter(|build| policy.keeps(build))
            .flat_map(|build| names.get(&build.key).into_iter().flatten())
            .map(|file| file.digest)
            .chain(consoles.iter().chain(&young).copied())
            .collect();
        let choice = Choice {
            policy,
            order: &order,
            files: &names,
            shelf: &shelf,
            needed: &stays,
            kept: &kept,
            now,
        };
        let mut let_go = self.choose_debug(&choice, shelf.bytes(&stays)).await?;
        let room = |stays: &HashSet<Digest>| {
            let saved = let_go.iter().filter(|it| stays.contains(&it.digest)).map(|it| it.freed);
            shelf.bytes(stays) - saved.sum::<u64>()
        };
        let mut bytes = room(&stays);
        for (build, reason) in order {
            let over = policy.quota.is_some_and(|quota| bytes > quota);
            let Some(reason) = reason.or(over.then_some(Reason::Quota)) else { continue };
            let (key, commit, last_use) = (build.key, build.commit.clone(), build.last_use);
            report.gone.push(Gone { build: key, commit, last_use, reason });
            if gone.insert(key) {
                bytes = room(&needed(&gone));
            }
        }
        report.above_quota = policy.quota.map_or(0, |quota| bytes.saturating_sub(quota));
        let stays = needed(&gone);
        garbage.extend(shelf.blobs.keys().filter(|it| !stays.contains(it)));
        let_go.retain(|file| stays.contains(&file.digest));
        if policy.dry_run {
            report.freed_blobs = garbage.len() as u64;
            report.freed_bytes = shelf.bytes(&garbage) + freed(&let_go);
            report.let_go = let_go;
            return Ok(report);
        }
        for build in &report.gone {
            index.remove_build(&build.build).await?;
            self.inner().objects.delete(&manifests::object_of(&build.build)).await?;
        }
        self.remove_blobs(&shelf, &garbage, &mut report).await?;
        report.let_go = self.let_go(let_go).await?;
        report.freed_bytes += freed(&report.let_go);
        Ok(report)
    }

    /// Removes blobs, each before what it rests on, and none that somebody wants by now.
    async fn remove_blobs(
        &self,
        shelf: &Shelf,
        garbage: &HashSet<Digest>,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let mut spared: HashSet<Digest> = HashSet::new();
        for batch in shelf.dependents_first(garbage).chunks(BATCH) {
            let mut condemn = self.inner().index.condemn().await?;
            for digest in batch {
                let blob = shelf.blobs.get(digest);
                // What an upload came to want since the look rests on other blobs, too.
                if spared.contains(digest) || !condemn.is_free(digest).await? {
                    spared.extend(shelf.reach([*digest]));
                    continue;
                }
                self.inner().objects.delete(&object_of(digest)).await?;
                report.freed_blobs += 1;
                report.freed_bytes += blob.map_or(0, |blob| blob.bytes);
            }
            condemn.done().await?;
        }
        Ok(())
    }

    /// All builds, from their manifests, and the files of each.
    async fn known_builds(
        &self,
    ) -> Result<(Vec<Known>, HashMap<InputKey, Vec<Artifact>>), StoreError> {
        let (uses, pins) = (self.inner().index.uses().await?, self.inner().index.pins().await?);
        let (mut builds, mut names) = (Vec::new(), HashMap::new());
        let mut listed = manifests::list(&self.inner().objects);
        while let Some(object) = listed.try_next().await? {
            let Some(key) = manifests::key_of(&object) else { continue };
            let manifest = match manifests::read(&self.inner().objects, &key).await? {
                Some(Ok(read)) => read.manifest,
                None => continue,
                Some(Err(unreadable)) => {
                    let why = format!("nobody knows what build {key} needs ({})", unreadable.error);
                    return Err(StoreError::Refused(why));
                }
            };
            let used = uses.get(&key).copied().unwrap_or(manifest.created);
            builds.push(Known {
                key,
                last_use: used.max(manifest.created),
                pinned: pins.contains(&key),
                commit: manifest.commit,
            });
            names.insert(key, manifest.artifacts);
        }
        Ok((builds, names))
    }

    /// All blobs. One that can't be opened rests on nothing: `verify` says more of it.
    async fn shelf(&self) -> Result<Shelf, StoreError> {
        let objects = &self.inner().objects;
        let mut shelf = Shelf::default();
        let mut list = objects.list(PREFIX);
        let fail = |source| objects.fail("listing blobs".into(), source);
        while let Some(meta) = list.try_next().await.map_err(fail)? {
            let Some(digest) = digest_of(&meta.location) else { continue };
            let rests_on = match self.reader(&digest).await {
                Ok(reader) => reader.rests_on(),
                Err(StoreError::LetGo(_)) => Vec::new(),
                Err(StoreError::Missing(_) | StoreError::Corrupt { .. }) => continue,
                Err(error @ StoreError::NewerFormat { .. }) => {
                    return Err(StoreError::Refused(error.to_string()));
                }
                Err(error) => return Err(error),
            };
            let written = meta.last_modified.timestamp();
            shelf.blobs.insert(digest, Stored { bytes: meta.size, rests_on, written });
        }
        Ok(shelf)
    }

    /// Pins a build: no policy removes it. Or lets it go.
    pub async fn pin(&self, key: &InputKey, pinned: bool) -> Result<(), StoreError> {
        self.inner().index.pin(key, pinned, now()).await
    }

    /// The pinned builds.
    pub async fn pins(&self) -> Result<HashSet<InputKey>, StoreError> {
        self.inner().index.pins().await
    }
}
