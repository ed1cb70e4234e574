//! Collecting garbage.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::store::Store;

use super::aside::KEPT;
use super::debug::{Choice, last_uses};
use super::most::most_go;
use super::needed::Holders;
use super::policy::{Policy, Reason};
use super::remove::Removal;
use super::report::{GcPhase, GcProgress, GcReport, Gone, LetGo};
use super::sanity::Sight;

/// Seconds for which an upload that gave no more sign of life holds what it held, whatever the embargo.
const HOLD: i64 = 24 * 3600;

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
    /// all that would go for its age may only seem old, by a clock that was set ahead: unless the
    /// policy says that the clock is right. Where [`Policy::spare_most`] is set and more than half of
    /// the builds would go for the quota, none goes for it, and the report says so
    /// ([`GcReport::refused`]); everything else goes as ever. [`StoreError::Busy`] when another process
    /// packs or collects, [`StoreError::NotShared`] or [`StoreError::AlsoUsedBy`]
    /// where nobody can know what must stay, or can't any more, [`StoreError::Overtaken`] when another
    /// process began to pack or collect because this one had lost its lock.
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
        // An embargo that is short is none for uploads that are under way.
        let alive = now.saturating_sub(policy.embargo.max(HOLD));
        if !policy.dry_run {
            index.expire(alive).await?;
        }
        // In this order; see the module.
        let held = index.reserved(alive).await?;
        // Before the manifests: a row comes after its manifest, so of these one at least is seen.
        let indexed = index.all_builds().await?.len();
        let (builds, names) = self.known_builds().await?;
        let shelf = self.shelf().await?;
        let named: HashSet<Digest> = names.values().flatten().map(|file| file.digest).collect();
        let sight = Sight { builds: &builds, named: &named, shelf: &shelf, indexed, now };
        if let Some(why) = sight.is_blind() {
            return Err(StoreError::Refused(why.to_owned()));
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
        let last_use = last_uses(&builds, &names);
        let choice = Choice {
            policy,
            order: &order,
            files: &names,
            shelf: &shelf,
            needed: &stays,
            kept: &kept,
            last_use: &last_use,
            now,
        };
        let mut let_go = self.choose_debug(&choice, shelf.bytes(&stays)).await?;
        // When not even what was used last of all that goes for its age is surely that old.
        let life = sight.life();
        let newest = order.iter().filter(|it| it.1.is_some()).map(|it| it.0.last_use).max();
        let by_age = let_go.iter().filter(|file| file.reason == Reason::Age);
        let newest_debug = by_age.filter_map(|file| last_use.get(&file.digest).copied()).max();
        let ages = [(newest, policy.max_age), (newest_debug, policy.debug_age)];
        let doubt = ages.into_iter().find_map(|(at, age)| life.doubt(at?, age?));
        if let Some(days) = doubt.filter(|_| !policy.trust_clock) {
            return Err(StoreError::Clock { days });
        }
        let saved = let_go.iter().map(|file| (file.digest, file.freed)).collect();
        let mut holders = Holders::new(&shelf, &saved);
        let files = |key: &InputKey| names.get(key).into_iter().flatten().map(|file| file.digest);
        let all = names.keys().flat_map(files);
        all.chain(consoles.iter().chain(&young).copied()).for_each(|it| holders.add(it));
        // What the blobs take before each build that goes for the quota, and what becomes free with it.
        // (Those that go for their age come first: they are the longest unused.)
        let (mut left, mut for_quota, aged) = (Vec::new(), Vec::new(), gone.len());
        for (build, reason) in order {
            let over = policy.quota.is_some_and(|quota| holders.bytes() > quota);
            let Some(reason) = reason.or(over.then_some(Reason::Quota)) else { continue };
            let before = holders.bytes();
            let (key, commit, last_use) = (build.key, build.commit.clone(), build.last_use);
            let freed = files(&key).map(|digest| holders.remove(digest)).sum();
            if reason == Reason::Quota {
                left.push(before);
                for_quota.push(freed);
            }
            report.gone.push(Gone { build: key, commit, last_use, freed, reason });
            gone.insert(key);
        }
        if let Some(quota) = policy.quota.filter(|_| policy.spare_most) {
            report.refused = most_go(quota, builds.len() - aged, &left, &for_quota);
        }
        if report.refused.is_some() {
            // They stay, and so does what they hold.
            for spared in report.gone.extract_if(.., |it| it.reason == Reason::Quota) {
                gone.remove(&spared.build);
                files(&spared.build).for_each(|digest| holders.add(digest));
            }
        }
        let room = policy.quota.map(|quota| quota.saturating_sub(holders.bytes()));
        let is_old = |since| {
            let is_sure = policy.trust_clock || life.doubt(since, KEPT).is_none();
            since < now.saturating_sub(KEPT) && is_sure
        };
        let aside = self.aside(now).await?.choose(is_old, room);
        (report.aside_bytes, report.aside_freed) = (aside.stays, aside.goes);
        let all = holders.bytes() + aside.stays;
        report.above_quota = policy.quota.map_or(0, |quota| all.saturating_sub(quota));
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
        let announced = self.announce().await?;
        let removed = removal.all(&garbage, let_go, &seen, report).await;
        self.conclude(announced, removed.is_ok()).await;
        let mut report = removed?;
        report.freed_bytes += freed(&report.let_go);
        self.clear_aside(aside, now).await?;
        Ok(report)
    }
}
