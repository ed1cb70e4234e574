//! Retention: what goes, what stays, and who is never in its way.

mod common;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Fixture, LIGHT, draft, merciless, neighbours, noise, quiet};
use kiln_cache::retention::{GcPhase, GcProgress, GcReport, Policy, Reason};
use kiln_cache::{Database, Location, Manifest, Store, StoreError};

async fn readable(fixture: &Fixture, build: &Manifest) -> bool {
    for artifact in &build.artifacts {
        match fixture.store.reader(&artifact.digest).await {
            Ok(reader) => assert!(reader.read(0..reader.size()).await.is_ok()),
            Err(StoreError::Missing(_)) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_says_what_then_happens() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 30).await;
    fixture.store.pin(&builds[3].input_key, true).await.unwrap();
    let total = fixture.store.gc(&Policy { dry_run: true, ..Policy::default() }).await.unwrap();
    assert_eq!((total.gone.len(), total.freed_blobs), (0, 0));
    let policy = Policy {
        quota: Some(total.bytes / 3),
        embargo: 3600,
        keep_commits: HashSet::from([builds[7].commit.clone()]),
        dry_run: true,
        ..Policy::default()
    };
    let said = fixture.store.gc(&policy).await.unwrap();
    for build in &builds {
        assert!(readable(&fixture, build).await, "a rehearsal removes nothing");
    }
    let done = fixture.store.gc(&Policy { dry_run: false, ..policy.clone() }).await.unwrap();
    assert_eq!((said.freed_blobs, said.freed_bytes), (done.freed_blobs, done.freed_bytes));
    assert_eq!(said.gone, done.gone);
    assert_eq!((done.builds, done.kept_by_name, done.above_quota), (30, 2, 0));
    assert!(done.gone.iter().all(|gone| gone.reason == Reason::Quota));
    let gone: HashSet<_> = done.gone.iter().map(|gone| gone.build).collect();
    for build in &builds {
        let key = build.input_key;
        assert_eq!(readable(&fixture, build).await, !gone.contains(&key));
        assert_eq!(
            fixture.store.build_by_input(&key).await.unwrap().is_some(),
            !gone.contains(&key)
        );
    }
    let left = fixture.store.stats().await.unwrap().stored_bytes;
    assert_eq!(left, total.bytes - done.freed_bytes);
    assert!(left <= total.bytes / 3);
    assert!(fixture.store.verify(true, &quiet).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_rest_on_stays() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 6).await;
    fixture.store.pack(LIGHT, &|_| {}).await.unwrap();
    let everything = Policy { quota: Some(0), ..Policy::default() };
    let keep =
        Policy { keep_commits: HashSet::from([builds[0].commit.clone()]), ..everything.clone() };
    let report = fixture.store.gc(&keep).await.unwrap();
    assert_eq!(report.gone.len(), 5);
    assert!(report.above_quota > 0);
    assert!(readable(&fixture, &builds[0]).await);
    assert!(fixture.store.verify(true, &quiet).await.unwrap().is_clean());
    let report = fixture.store.gc(&everything).await.unwrap();
    assert_eq!((report.gone.len(), report.above_quota), (1, 0));
    assert_eq!(fixture.store.stats().await.unwrap().blobs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_a_little_too_small_does_not_take_most_of_a_packed_store() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 6).await;
    fixture.store.pack(LIGHT, &|_| {}).await.unwrap();
    let bytes = fixture.store.stats().await.unwrap().stored_bytes;
    // The keyframe is nearly all of it.
    let quota = Some(bytes * 9 / 10);
    let policy = Policy { quota, spare_most: true, ..Policy::default() };
    let asked = Policy { spare_most: false, dry_run: true, ..policy.clone() };
    let all = fixture.store.gc(&asked).await.unwrap();
    assert_eq!((all.gone.len(), all.refused), (6, None));
    assert_eq!(all.gone.iter().map(|gone| gone.freed).sum::<u64>(), all.freed_bytes);
    // What nobody needs goes all the same, and the rehearsal says so.
    fixture.store.put_bytes(noise(99, 5000).into()).await.unwrap();
    fixture.execute("UPDATE reservations SET at = at - 100000").await;
    let policy = Policy { embargo: -10, ..policy };
    let said = fixture.store.gc(&Policy { dry_run: true, ..policy.clone() }).await.unwrap();
    let done = fixture.store.gc(&policy).await.unwrap();
    assert_eq!(done, GcReport { dry_run: false, ..said });
    let most = done.refused.unwrap();
    assert_eq!((done.gone.len(), most.builds, most.going, most.half), (0, 6, 6, 3));
    assert_eq!((done.freed_blobs, done.above_quota), (1, bytes - bytes * 9 / 10));
    assert_eq!(most.all_free, all.freed_bytes);
    assert!(most.half_frees * 10 < most.all_free, "{most:?}");
    for build in &builds {
        assert!(readable(&fixture, build).await);
    }
    // What it offers does what it says.
    let offered = Policy { quota: Some(most.smallest), ..policy.clone() };
    let done = fixture.store.gc(&offered).await.unwrap();
    assert_eq!((done.gone.len(), done.freed_bytes, done.above_quota), (3, most.half_frees, 0));
    assert_eq!(done.refused, None);
    // What goes for its age is not asked about, and counts neither here nor there.
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    let aged = Policy { max_age: Some(50_000), quota: Some(0), trust_clock: true, ..policy };
    assert_eq!(fixture.store.gc(&aged).await.unwrap().gone.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_file_by_its_digest_uses_its_build() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 3).await;
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    for _ in 0..2 {
        fixture.store.used_file(&builds[1].artifacts[0].digest).await;
    }
    let policy = Policy { max_age: Some(50_000), ..Policy::default() };
    assert_eq!(fixture.store.gc(&policy).await.unwrap().gone.len(), 2);
    assert!(readable(&fixture, &builds[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_what_a_build_is_does_not_use_it() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    let key = builds[0].input_key;
    assert_eq!(fixture.store.peek_input(&key).await.unwrap().as_ref(), Some(&builds[0]));
    fixture.store.build_by_input(&builds[1].input_key).await.unwrap();
    let policy = Policy { max_age: Some(50_000), ..Policy::default() };
    let gone = fixture.store.gc(&policy).await.unwrap().gone;
    assert_eq!(gone.iter().map(|gone| gone.build).collect::<Vec<_>>(), [key]);
    assert_eq!(fixture.store.peek_input(&key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_outlive_the_index() {
    let mut fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 3).await;
    for build in &builds[..2] {
        fixture.store.pin(&build.input_key, true).await.unwrap();
    }
    fixture.store.pin(&builds[1].input_key, false).await.unwrap();
    let store = fixture.reopen_without_index().await;
    assert_eq!(store.pins().await.unwrap(), [builds[0].input_key].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_gone_is_not_pinned() {
    let fixture = Fixture::new().await;
    let build = neighbours(&fixture, 1).await.remove(0);
    assert_eq!(fixture.store.gc(&merciless()).await.unwrap().gone.len(), 1);
    let error = fixture.store.pin(&build.input_key, true).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild(_)), "{error}");
    assert!(fixture.store.pins().await.unwrap().is_empty());
    let objects = fixture.root().join("pins");
    assert!(!objects.exists() || objects.read_dir().unwrap().next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_kept_for_every_commit_that_leads_to_it() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 3).await;
    let names = ["1111111111", "2222222222"].map(str::to_owned);
    // The same files pushed for another commit, and a proof for a third.
    for (build, name) in builds.iter().zip(&names) {
        fixture.store.add_revision(&name.to_ascii_uppercase(), &build.input_key).await.unwrap();
    }
    let keep_commits = HashSet::from(names);
    let policy = Policy { max_age: Some(-10), keep_commits, ..Policy::default() };
    let report = fixture.store.gc(&policy).await.unwrap();
    assert_eq!((report.gone.len(), report.kept_by_name), (1, 2));
    assert!(readable(&fixture, &builds[0]).await && readable(&fixture, &builds[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn age_counts_from_the_last_use() {
    let fixture = Fixture::new().await;
    neighbours(&fixture, 3).await;
    let old = Policy { max_age: Some(1000), ..Policy::default() };
    assert_eq!(fixture.store.gc(&old).await.unwrap().gone.len(), 0);
    let all = Policy { max_age: Some(-10), ..Policy::default() };
    let report = fixture.store.gc(&all).await.unwrap();
    assert!(report.gone.iter().all(|gone| gone.reason == Reason::Age));
    assert_eq!(report.gone.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_left_alone() {
    let fixture = Fixture::new().await;
    // Nobody names it yet: it is held, and it is young.
    let loose = fixture.store.put_bytes(noise(7, 5000).into()).await.unwrap();
    let policy = Policy { quota: Some(0), embargo: 3600, ..Policy::default() };
    let report = fixture.store.gc(&policy).await.unwrap();
    assert_eq!((report.freed_blobs, report.embargoed), (0, 1));
    assert!(fixture.store.contains(&loose).await.unwrap());
    // Without an embargo, too, as long as the upload holds it.
    let hasty = Policy { embargo: -10, ..policy.clone() };
    assert_eq!(fixture.store.gc(&hasty).await.unwrap().freed_blobs, 0);
    // An upload that died long ago.
    fixture.execute("UPDATE reservations SET at = at - 100000").await;
    let report = fixture.store.gc(&Policy { embargo: -10, ..policy }).await.unwrap();
    assert_eq!((report.freed_blobs, report.embargoed), (1, 0));
    assert!(!fixture.store.contains(&loose).await.unwrap());
}

/// Builds come while others go; whatever was acknowledged after its turn began is there.
#[tokio::test(flavor = "multi_thread")]
async fn collecting_beside_uploads_loses_nothing() {
    let fixture = Fixture::new().await;
    let shared = fixture.file("shared", &noise(1, 300_000));
    let policy = Policy { quota: Some(0), embargo: 3600, ..Policy::default() };
    for round in 0..20_u64 {
        let own = fixture.file(&format!("own{round}"), &noise(round + 10, 50_000));
        let files = [("shared", shared.as_path()), ("own", own.as_path())];
        let upload = fixture.store.add_build(draft(round, &files));
        let (built, collected) = tokio::join!(upload, fixture.store.gc(&policy));
        let (built, collected) = (built.unwrap(), collected.unwrap());
        let was_seen = collected.gone.iter().any(|gone| gone.build == built.input_key);
        assert!(was_seen || readable(&fixture, &built).await, "round {round}");
        let verified = fixture.store.verify(false, &quiet).await.unwrap();
        assert!(verified.is_clean(), "{:?}", verified.problems);
    }
}

/// Collects, and does something else when it has decided and is about to begin with a phase.
async fn gc_beside(
    store: &Store,
    policy: Policy,
    phase: GcPhase,
    meanwhile: impl AsyncFn() + Sync,
) -> GcReport {
    let begun = AtomicBool::new(false);
    let watch = |at: GcProgress| {
        if at.phase == phase && !begun.swap(true, Ordering::SeqCst) {
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| runtime.block_on(meanwhile()));
        }
    };
    let report = store.collect(&policy, &watch).await.unwrap();
    assert!(begun.into_inner(), "{phase:?} was never begun");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_pushed_again_beside_gc_is_kept() {
    for phase in [GcPhase::Builds, GcPhase::Blobs] {
        let fixture = Fixture::new().await;
        let mut files = Vec::new();
        for n in 0..3 {
            let image = fixture.file(&format!("image{n}"), &noise(n, 50_000));
            files.push(vec![("image".to_owned(), image)]);
            fixture.store.push(files[n as usize].clone(), None).await.unwrap();
        }
        let pusher = fixture.reopen().await;
        let pushed = Mutex::new(None);
        let report = gc_beside(&fixture.store, merciless(), phase, async || {
            let build = pusher.push(files[1].clone(), None).await.unwrap().manifest;
            *pushed.lock().unwrap() = Some(build);
        });
        let report = report.await;
        assert_eq!(report.gone.len(), if phase == GcPhase::Builds { 2 } else { 3 });
        let build = pushed.into_inner().unwrap().unwrap();
        assert!(readable(&fixture, &build).await, "{phase:?}");
        let found = fixture.store.build_by_input(&build.input_key).await.unwrap();
        assert_eq!(found, Some(build));
        let verified = fixture.store.verify(true, &quiet).await.unwrap();
        assert!(verified.is_clean(), "{phase:?}: {:?}", verified.problems);
        assert_eq!((verified.builds, verified.healed, verified.blobs), (1, 0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_or_gets_a_name_beside_gc_is_kept() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 3).await;
    let report = gc_beside(&fixture.store, merciless(), GcPhase::Builds, async || {
        fixture.store.pin(&builds[0].input_key, true).await.unwrap();
        fixture.store.add_revision("abcdef0123456789", &builds[1].input_key).await.unwrap();
    });
    assert_eq!(report.await.gone.len(), 1);
    assert!(readable(&fixture, &builds[0]).await && readable(&fixture, &builds[1]).await);
    assert!(!readable(&fixture, &builds[2]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_over_one_folder_keep_each_other_from_collecting() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    let database = Database::Sqlite(fixture.folder.path().join("other.sqlite"));
    let location = Location::folder(fixture.root()).with_database(database);
    let other = Store::open(&location).await.unwrap();
    assert!(matches!(other.gc(&merciless()).await, Err(StoreError::AlsoUsedBy { .. })));
    // Who was refused has left no trace.
    fixture.store.gc(&Policy { dry_run: true, ..merciless() }).await.unwrap();
    other.pin(&builds[0].input_key, true).await.unwrap();
    for error in [
        fixture.store.gc(&merciless()).await.map(|_| ()).unwrap_err(),
        fixture.store.pack(LIGHT, &|_| {}).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::AlsoUsedBy { .. }), "{error}");
        assert!(error.to_string().contains("other.sqlite"), "{error}");
    }
    assert!(readable(&fixture, &builds[0]).await && readable(&fixture, &builds[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_joins_beside_gc_loses_nothing() {
    for phase in [GcPhase::Builds, GcPhase::Blobs] {
        let fixture = Fixture::new().await;
        let files = vec![("image".to_owned(), fixture.file("image", &noise(1, 5000)))];
        fixture.store.push(files.clone(), None).await.unwrap();
        let other = fixture.by_another_database().await;
        let pushing = Mutex::new(None);
        let watch = |at: GcProgress| {
            let mut pushing = pushing.lock().unwrap();
            if at.phase != phase || pushing.is_some() {
                return;
            }
            let (other, files) = (other.clone(), files.clone());
            let push = pushing.insert(tokio::spawn(async move { other.push(files, None).await }));
            let seen = async {
                while fixture.store.may_be_collected().await.is_ok() && !push.is_finished() {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                // Time enough for one who would not wait.
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            };
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| runtime.block_on(seen));
        };
        let stopped = fixture.store.collect(&merciless(), &watch).await;
        assert!(matches!(stopped, Err(StoreError::AlsoUsedBy { .. })), "{phase:?}: {stopped:?}");
        let pushing = pushing.into_inner().unwrap().unwrap();
        let build = pushing.await.unwrap().unwrap().manifest;
        assert!(readable(&fixture, &build).await, "{phase:?}");
        assert_eq!(other.build_by_input(&build.input_key).await.unwrap(), Some(build));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_a_manifest_can_not_be_read() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    std::fs::write(fixture.manifest(&builds[0].input_key), b"{").unwrap();
    let policy = Policy { quota: Some(0), ..Policy::default() };
    assert!(matches!(fixture.store.gc(&policy).await, Err(StoreError::Refused(_))));
    assert!(readable(&fixture, &builds[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_what_its_builds_name_is_not_touched() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    for build in &builds {
        std::fs::remove_file(fixture.blob(&build.artifacts[0].digest)).unwrap();
    }
    // Be there others or none: a folder that is not mounted looks like an empty one.
    for _ in 0..2 {
        for policy in [merciless(), Policy { quota: Some(0), ..merciless() }] {
            assert!(matches!(fixture.store.gc(&policy).await, Err(StoreError::Refused(_))));
        }
        assert!(fixture.manifest(&builds[0].input_key).exists());
        fixture.store.put_bytes(noise(9, 100).into()).await.unwrap();
    }
    std::fs::remove_dir_all(fixture.root().join("builds")).unwrap();
    assert!(matches!(fixture.store.gc(&merciless()).await, Err(StoreError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_for_its_age_by_a_clock_that_was_set_ahead() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    // As if the clock had been set 400 days ahead since.
    fixture.execute("UPDATE uses SET at = at - 34560000").await;
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(34_560_000);
    for build in &builds {
        let blob = std::fs::File::open(fixture.blob(&build.artifacts[0].digest)).unwrap();
        blob.set_modified(long_ago).unwrap();
    }
    let policy = Policy { max_age: Some(180 * 86400), embargo: 86400, ..Policy::default() };
    for _ in 0..2 {
        let error = fixture.store.gc(&policy).await.unwrap_err();
        assert!(matches!(error, StoreError::Clock { days: 400 }), "{error}");
        // That somebody uses the store by that clock does not make it right.
        let image = fixture.file("image", &noise(9, 100));
        fixture.store.push(vec![("image".to_owned(), image)], None).await.unwrap();
    }
    let trusting = Policy { trust_clock: true, dry_run: true, ..policy.clone() };
    assert_eq!(fixture.store.gc(&trusting).await.unwrap().gone.len(), 2);
    // What has nothing to do with age may go.
    let quota = Policy { quota: Some(1_500_000), embargo: 86400, ..Policy::default() };
    assert_eq!(fixture.store.gc(&quota).await.unwrap().gone.len(), 1);
    // Who asks for a build shows that the clock is right.
    for build in &builds {
        fixture.store.build_by_input(&build.input_key).await.unwrap();
    }
    assert_eq!(fixture.store.gc(&policy).await.unwrap().gone.len(), 0);
}

/// An ELF file of nothing but the names of its sections.
fn elf(names: &[u8], seed: u64) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file.extend(names);
    file.extend(noise(seed, 900_000));
    let table = file.len() as u64;
    let mut entry = vec![0; 64];
    entry[0x18..0x20].copy_from_slice(&64_u64.to_le_bytes());
    entry[0x20..0x28].copy_from_slice(&(names.len() as u64).to_le_bytes());
    file.extend(entry);
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3c..0x3e].copy_from_slice(&1_u16.to_le_bytes());
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_information_goes_first_and_can_come_back() {
    let fixture = Fixture::new().await;
    let mut builds = Vec::new();
    for n in 0..6 {
        let names: &[u8] = if n == 5 { b"\0.text\0" } else { b"\0.text\0.rela.debug_info\0" };
        let object = fixture.file("vmlinux.o", &elf(names, n + 70));
        let image = fixture.file("image", &noise(n + 50, 300_000));
        let files = [("vmlinux.o", object.as_path()), ("image", image.as_path())];
        builds.push(fixture.store.add_build(draft(n, &files)).await.unwrap());
    }
    fixture.store.pin(&builds[1].input_key, true).await.unwrap();
    let all = fixture.store.gc(&Policy { dry_run: true, ..Policy::default() }).await.unwrap().bytes;
    // Room for all but three of the objects.
    let policy = Policy {
        quota: Some(all - 2_500_000),
        debug_first: true,
        embargo: 3600,
        dry_run: true,
        ..Policy::default()
    };
    let said = fixture.store.gc(&policy).await.unwrap();
    let done = fixture.store.gc(&Policy { dry_run: false, ..policy.clone() }).await.unwrap();
    assert_eq!((&said.let_go, said.freed_bytes), (&done.let_go, done.freed_bytes));
    assert_eq!((done.let_go.len(), done.gone.len(), done.above_quota), (3, 0, 0));
    assert_eq!(fixture.store.stats().await.unwrap().stored_bytes, all - done.freed_bytes);
    let gone: HashSet<_> = done.let_go.iter().map(|file| file.build).collect();
    assert!(!gone.contains(&builds[1].input_key), "it is pinned");
    assert!(!gone.contains(&builds[5].input_key), "it has none");
    for build in &builds {
        let object = build.artifact("vmlinux.o").unwrap();
        let image = build.artifact("image").unwrap();
        let opened = fixture.store.reader(&object.digest).await;
        match gone.contains(&build.input_key) {
            true => assert!(matches!(opened, Err(StoreError::LetGo(_)))),
            false => assert!(opened.is_ok()),
        }
        assert_eq!(fixture.store.reader(&image.digest).await.unwrap().size(), 300_000);
        assert!(fixture.store.is_whole(build).await.unwrap(), "nobody takes it for lost");
    }
    for _ in 0..2 {
        let report = fixture.store.verify(true, &quiet).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        assert_eq!((report.let_go, report.quarantined), (3, 0));
        // Packing passes them by.
        fixture.store.pack(LIGHT, &|_| {}).await.unwrap();
    }
    // The same files again bring one back.
    let n = builds.iter().position(|build| gone.contains(&build.input_key)).unwrap() as u64;
    let object = fixture.file("vmlinux.o", &elf(b"\0.text\0.rela.debug_info\0", n + 70));
    let image = fixture.file("image", &noise(n + 50, 300_000));
    let files = [("vmlinux.o", object.as_path()), ("image", image.as_path())];
    let again = fixture.store.add_build(draft(n, &files)).await.unwrap();
    assert!(fixture.store.reader(&again.artifact("vmlinux.o").unwrap().digest).await.is_ok());
    // By age, whatever the quota; and a whole build takes the name with it.
    let aged = Policy { debug_age: Some(-10), quota: None, dry_run: false, ..policy.clone() };
    let report = fixture.store.gc(&aged).await.unwrap();
    assert!(report.let_go.iter().all(|file| file.reason == Reason::Age));
    assert_eq!(report.let_go.len(), 2, "{:?}", report.let_go);
    let nothing = Policy { quota: Some(0), dry_run: false, ..policy };
    let report = fixture.store.gc(&nothing).await.unwrap();
    assert_eq!(report.gone.len(), 5);
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.let_go, 0);
}

type Files = Vec<(String, std::path::PathBuf)>;

/// Two builds of one file with debug information each. The first is stored as a difference to the
/// second.
async fn resting(fixture: &Fixture) -> [(kiln_cache::Digest, Files); 2] {
    let mut builds = Vec::new();
    for n in 0..2 {
        let mut object = elf(b"\0.text\0.rela.debug_info\0", 1);
        object.splice(500_000..500_100, noise(n + 50, 100));
        let object = fixture.file(&format!("vmlinux.o{n}"), &object);
        let files = vec![("vmlinux.o".to_owned(), object)];
        let pushed = fixture.store.push(files.clone(), None).await.unwrap();
        builds.push((pushed.files[0].digest, files));
    }
    fixture.store.pack(LIGHT, &|_| {}).await.unwrap();
    let mut sizes = Vec::new();
    for (digest, _) in &builds {
        sizes.push(fixture.store.stored_bytes(digest).await.unwrap());
    }
    if sizes[0] > sizes[1] {
        sizes.reverse();
        builds.reverse();
    }
    assert!(sizes[0] < sizes[1] / 10);
    builds.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_information_stays_while_somebody_uses_what_rests_on_it() {
    let policy = Policy { debug_age: Some(-10), ..Policy::default() };
    for is_used in [false, true] {
        let fixture = Fixture::new().await;
        let [(difference, files), (base, _)] = resting(&fixture).await;
        let beside = fixture.reopen().await;
        let report = gc_beside(&fixture.store, policy.clone(), GcPhase::Blobs, async || {
            if is_used {
                beside.push(files.clone(), None).await.unwrap();
            }
        });
        assert_eq!(report.await.let_go.len(), if is_used { 0 } else { 2 });
        for digest in [difference, base] {
            let read = match beside.reader(&digest).await {
                Ok(reader) => reader.read(0..reader.size()).await.map(|_| ()),
                Err(error) => Err(error),
            };
            assert_eq!(read.is_ok(), is_used, "{read:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_information_stays_while_an_upload_holds_what_rests_on_it() {
    let fixture = Fixture::new().await;
    let [(difference, of_difference), (base, of_base)] = resting(&fixture).await;
    // The build of the difference is old, that of its base was just asked for.
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    fixture.store.push(of_base.clone(), None).await.unwrap();
    let policy =
        Policy { max_age: Some(50_000), debug_age: Some(-10), embargo: -10, ..Policy::default() };
    let upload = fixture.reopen().await;
    let report = gc_beside(&fixture.store, policy.clone(), GcPhase::Blobs, async || {
        upload.put_file(&of_difference[0].1).await.unwrap();
    });
    let report = report.await;
    assert_eq!((report.gone.len(), report.freed_blobs, report.let_go.len()), (1, 0, 0));
    for digest in [difference, base] {
        let reader = upload.reader(&digest).await.unwrap();
        assert!(reader.read(0..reader.size()).await.is_ok());
    }
    // When the upload has died, both go: one with its build, the other by itself.
    fixture.execute("UPDATE reservations SET at = at - 100000").await;
    let report = fixture.store.gc(&policy).await.unwrap();
    assert_eq!((report.gone.len(), report.freed_blobs, report.let_go.len()), (0, 1, 1));
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

/// Two builds of one file with debug information, each with a file of its own.
async fn sharing(fixture: &Fixture) -> (Vec<Files>, Vec<Manifest>) {
    let object = fixture.file("vmlinux.o", &elf(b"\0.text\0.debug_info\0", 1));
    let (mut files, mut builds) = (Vec::new(), Vec::new());
    for n in 0..2 {
        let image = fixture.file(&format!("image{n}"), &noise(n + 5, 1000));
        files.push(vec![("vmlinux.o".to_owned(), object.clone()), ("image".to_owned(), image)]);
        let pushed = fixture.store.push(files[n as usize].clone(), None).await.unwrap();
        builds.push(pushed.manifest);
    }
    (files, builds)
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_information_is_as_old_as_the_last_use_of_any_build() {
    let fixture = Fixture::new().await;
    let (files, builds) = sharing(&fixture).await;
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    fixture.store.push(files[1].clone(), None).await.unwrap();
    let policy = Policy { debug_age: Some(50_000), ..Policy::default() };
    assert_eq!(fixture.store.gc(&policy).await.unwrap().let_go, []);
    fixture.execute("UPDATE uses SET at = at - 100000").await;
    assert_eq!(fixture.store.gc(&policy).await.unwrap().let_go.len(), 1);
    assert!(fixture.store.is_whole(&builds[0]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_information_that_is_pushed_or_pinned_beside_gc_stays() {
    let policy = Policy { debug_age: Some(-10), ..Policy::default() };
    for case in ["the same", "another", "pin", "nothing"] {
        let fixture = Fixture::new().await;
        let (files, builds) = sharing(&fixture).await;
        let beside = fixture.reopen().await;
        let mut other = files[0].clone();
        other.push(("more".to_owned(), fixture.file("more", &noise(9, 1000))));
        let report =
            gc_beside(&fixture.store, policy.clone(), GcPhase::Blobs, async || match case {
                "the same" => _ = beside.push(files[1].clone(), None).await.unwrap(),
                "another" => _ = beside.push(other.clone(), None).await.unwrap(),
                "pin" => beside.pin(&builds[1].input_key, true).await.unwrap(),
                _ => {}
            });
        let went = report.await.let_go.len();
        assert_eq!(went, usize::from(case == "nothing"), "{case}");
        let object = builds[0].artifact("vmlinux.o").unwrap();
        assert_eq!(fixture.store.reader(&object.digest).await.is_ok(), went == 0, "{case}");
    }
}
