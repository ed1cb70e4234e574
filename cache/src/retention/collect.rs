//! Collecting garbage.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::store::Store;

use super::debug::Choice;
use super::needed::Holders;
use super::policy::{Policy, Reason};
use super::remove::Removal;
use super::report::{GcPhase, GcProgress, GcReport, Gone, LetGo};
use super::sanity::Sight;

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
    /// Refuses ([`StoreError::Refused`]) when a manifest can't be read, or when nothing of what builds
    /// name is here: then it does not see what it thinks it sees; and ([`StoreError::Clock`]) when
    /// something would go for its age by a clock that can't be believed. [`StoreError::Busy`] when
    /// another process packs or collects, [`StoreError::NotShared`] or [`StoreError::AlsoUsedBy`]
    /// where nobody can know what must stay, [`StoreError::Overtaken`] when another process began
    /// to pack or collect because this one had lost its lock.
    pub async fn gc(&self, policy: &Policy) -> Result<GcReport, StoreError> {
        self.collect(policy, &|_| ()).await
    }

    /// The same, and tells how far it is: no turn is taken while it does.
    pub async fn collect(
        &self,
        policy: &Policy,
        progress: &(dyn Fn(GcProgress) + Sync),
    ) -> Result<GcReport, StoreError> {
        let house = self.house().await?;
        let index = &self.inner().index;
        progress(GcProgress { phase: GcPhase::Looking, done: 0, total: 0 });
        let now = index.now().await;
        let since = now.saturating_sub(policy.embargo);
        if !policy.dry_run {
            index.expire(since).await?;
        }
        // In this order; see the module.
        let held = index.reserved(since).await?;
        let (builds, names) = self.known_builds().await?;
        let shelf = self.shelf().await?;
        let named: HashSet<Digest> = names.values().flatten().map(|file| file.digest).collect();
        let indexed = index.all_builds().await?.len();
        let sight = Sight { builds: &builds, named: &named, shelf: &shelf, indexed, now };
        if let Some(why) = sight.is_blind() {
            return Err(StoreError::Refused(why.to_owned()));
        }
        let aside = self.clear_aside(now, policy.dry_run).await?;
        let above_alone = policy.quota.map_or(0, |quota| aside.bytes.saturating_sub(quota));
        let quota = policy.quota.map(|quota| quota.saturating_sub(aside.bytes));
        let policy = &Policy { quota, ..policy.clone() };
        let consoles: HashSet<Digest> = index.consoles().await?.into_keys().collect();
        let mut report = GcReport {
            dry_run: policy.dry_run,
            builds: builds.len() as u64,
            kept_by_name: builds.iter().filter(|build| policy.keeps(build)).count() as u64,
            blobs: shelf.blobs.len() as u64,
            bytes: shelf.bytes(shelf.blobs.keys()),
            aside_bytes: aside.bytes,
            aside_freed: aside.freed,
            ..GcReport::default()
        };
        // What no build and no run names is garbage once it is old enough.
        let reached = shelf.reach(named.iter().chain(&consoles).copied());
        let (mut garbage, mut young) = (HashSet::new(), held.clone());
        for (digest, blob) in shelf.blobs.iter().filter(|it| !reached.contains(it.0)) {
            match !held.contains(digest) && blob.written < since {
                true => garbage.insert(*digest),
                false => young.insert(*digest),
            };
        }
        let is_kept = |it: &&Digest| shelf.blobs.contains_key(*it) && !reached.contains(*it);
        report.embargoed = young.iter().filter(is_kept).count() as u64;
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
        let is_by_age = order.iter().any(|it| it.1.is_some()) || policy.debug_age.is_some();
        if let Some(days) = sight.silence().filter(|_| is_by_age || !garbage.is_empty()) {
            return Err(StoreError::Clock { days });
        }
        let mut let_go = self.choose_debug(&choice, shelf.bytes(&stays)).await?;
        let saved = let_go.iter().map(|file| (file.digest, file.freed)).collect();
        let mut holders = Holders::new(&shelf, &saved);
        let files = |key: &InputKey| names.get(key).into_iter().flatten().map(|file| file.digest);
        let staying = names.keys().filter(|key| !gone.contains(key)).flat_map(files);
        staying.chain(consoles.iter().chain(&young).copied()).for_each(|it| holders.add(it));
        for (build, reason) in order {
            let over = policy.quota.is_some_and(|quota| holders.bytes() > quota);
            let Some(reason) = reason.or(over.then_some(Reason::Quota)) else { continue };
            let (key, commit, last_use) = (build.key, build.commit.clone(), build.last_use);
            report.gone.push(Gone { build: key, commit, last_use, reason });
            if gone.insert(key) {
                files(&key).for_each(|digest| holders.remove(digest));
            }
        }
        report.above_quota = policy.quota.map_or(0, |quota| holders.bytes().saturating_sub(quota));
        report.above_quota += above_alone;
        let stays = needed(&gone);
        garbage.extend(shelf.blobs.keys().filter(|it| !stays.contains(it)));
        let_go.retain(|file| stays.contains(&file.digest));
        if policy.dry_run {
            report.freed_blobs = garbage.len() as u64;
            report.freed_bytes = shelf.bytes(&garbage) + freed(&let_go);
            report.let_go = let_go;
            return Ok(report);
        }
        let mut removal = Removal {
            store: self,
            alone: &house.alone,
            shelf: &shelf,
            names: &names,
            progress,
            spared: HashSet::new(),
        };
        let seen = builds.iter().map(|build| (build.key, &build.seen)).collect();
        report.gone = removal.builds(report.gone, &seen).await?;
        removal.blobs(&garbage, &mut report).await?;
        report.let_go = removal.debug(let_go).await?;
        report.freed_bytes += freed(&report.let_go);
        Ok(report)
    }
}
