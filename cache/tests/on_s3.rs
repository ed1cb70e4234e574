//! The suites of builds, blobs, families, evidence and retention once more over S3, with the index in
//! PostgreSQL, and what only a bucket can get wrong.
#![allow(clippy::duplicate_mod, reason = "each suite brings its own copy of what they share")]

#[path = "blobs.rs"]
mod blobs;
#[path = "builds.rs"]
mod builds;
mod common;
#[path = "evidence.rs"]
mod evidence;
#[path = "families.rs"]
mod families;
#[path = "gc.rs"]
mod gc;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Fixture, LIGHT, draft, merciless, neighbours, noise, quiet, request};
use kiln_cache::retention::{GcPhase, GcProgress, Policy};
use kiln_cache::{Location, Manifest, Store, StoreError};

/// A machine that shares nothing with the fixture's but the bucket.
fn elsewhere(fixture: &Fixture, name: &str) -> Location {
    let location = Location::bucket(fixture.backend());
    location.with_local(fixture.folder.path().join(name), 64 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_a_database_gets_an_index_beside_it() {
    let fixture = Fixture::new().await;
    let file = fixture.file("image", b"an image");
    let first = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let other = Store::open(&elsewhere(&fixture, "other")).await.unwrap();
    assert_eq!(other.build_by_request(&request(1)).await.unwrap(), Some(first));
    // What was stored since is found by its key at once, and by other names when opened again.
    let second = fixture.store.add_build(draft(2, &[("image", &file)])).await.unwrap();
    assert_eq!(other.build_by_request(&request(2)).await.unwrap(), None);
    other.close().await;
    let other = Store::open(&elsewhere(&fixture, "other")).await.unwrap();
    assert_eq!(other.build_by_request(&request(2)).await.unwrap(), Some(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_once_is_not_fetched_again() {
    let fixture = Fixture::new().await;
    let content = noise(7, 3 << 20);
    let file = fixture.file("image", &content);
    let (digest, _) = fixture.store.put_file(&file).await.unwrap();
    let store = Store::open(&elsewhere(&fixture, "other")).await.unwrap();
    let cached = || {
        let files = std::fs::read_dir(fixture.folder.path().join("other/cache")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    assert_eq!(cached(), 0);
    for _ in 0..2 {
        let reader = store.reader(&digest).await.unwrap();
        assert!(reader.read(0..reader.size()).await.unwrap() == content);
        assert!((3 << 20..4 << 20).contains(&cached()), "{}", cached());
    }
    // Wrong bytes in the copy are fetched anew, and the bucket's blob is not blamed.
    for file in std::fs::read_dir(fixture.folder.path().join("other/cache")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let reader = store.reader(&digest).await.unwrap();
    assert!(reader.read(0..reader.size()).await.unwrap() == content);
    assert!(store.contains(&digest).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_gives_the_stored_form_to_anybody() {
    let fixture = Fixture::new().await;
    let digest = fixture.store.put_bytes(noise(8, 100_000).into()).await.unwrap();
    let valid = Duration::from_secs(60);
    let url = fixture.store.signed_url(&digest, valid).await.unwrap().unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.unwrap() == std::fs::read(fixture.blob(&digest)).unwrap());
    let unsigned = reqwest::get(url.split('?').next().unwrap()).await.unwrap();
    assert_eq!(unsigned.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_bucket_is_left_alone() {
    let fixture = Fixture::new().await;
    let mut backend = fixture.backend();
    backend.prefix = "thesis".into();
    backend.store.put_opts(&"thesis/x.tex".into(), "x".into(), Default::default()).await.unwrap();
    let location = Location::bucket(backend).with_local(fixture.folder.path().join("other"), 0);
    let error = Store::open(&location).await.unwrap_err();
    assert!(matches!(error, kiln_cache::StoreError::NotAStore(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_bucket_at_once() {
    let fixture = Fixture::new().await;
    let mut backend = fixture.backend();
    backend.prefix = "new".into();
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let local = fixture.folder.path().join(format!("machine {n}"));
            let location = Location::bucket(backend.clone()).with_local(local, 0);
            tokio::spawn(async move { Store::open(&location).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

/// Another machine with the same bucket and database.
async fn replica(fixture: &Fixture) -> Store {
    let database = fixture.location().database().unwrap().clone();
    Store::open(&elsewhere(fixture, "replica").with_database(database)).await.unwrap()
}

fn wait_for(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| runtime.block_on(future));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_a_shared_database_is_neither_packed_nor_collected() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    let alone = Store::open(&elsewhere(&fixture, "alone")).await.unwrap();
    let dry = Policy { dry_run: true, ..merciless() };
    let refusals = [
        alone.gc(&merciless()).await.map(|_| ()).unwrap_err(),
        alone.gc(&dry).await.map(|_| ()).unwrap_err(),
        alone.pack(LIGHT, &|_| {}).await.map(|_| ()).unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, StoreError::NotShared(_)), "{error}");
        assert!(error.to_string().contains("--database postgres://"), "{error}");
    }
    assert_eq!(fixture.store.stats().await.unwrap().blobs, 2);
    // Whoever only looks is in nobody's way; who would be, by storing something, is refused.
    fixture.store.gc(&dry).await.unwrap();
    let file = fixture.file("other", b"something else");
    let error = alone.add_build(draft(7, &[("image", &file)])).await.unwrap_err();
    assert!(matches!(error, StoreError::Bypassed { .. }), "{error}");
    fixture.store.may_be_collected().await.unwrap();
    assert!(fixture.store.is_whole(&builds[0]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_was_used_without_a_database_first_is_collected_once_that_is_forgotten() {
    let fixture = Fixture::new().await;
    let alone = Store::open(&elsewhere(&fixture, "alone")).await.unwrap();
    let file = fixture.file("image", b"something");
    alone.add_build(draft(7, &[("image", &file)])).await.unwrap();
    neighbours(&fixture, 1).await;
    // Who came first goes on.
    alone.add_build(draft(8, &[("image", &file)])).await.unwrap();
    let error = fixture.store.gc(&merciless()).await.unwrap_err();
    let StoreError::AlsoUsedBy { other, id } = &error else { panic!("{error}") };
    assert!(other.ends_with("alone/index.sqlite"), "{error}");
    assert!(error.to_string().contains(&format!("--forget-database {id}")), "{error}");
    let unknown = fixture.store.forget_database("somebody").await.unwrap_err();
    assert!(matches!(unknown, StoreError::UnknownDatabase(_)), "{unknown}");
    fixture.store.forget_database(id).await.unwrap();
    fixture.store.gc(&merciless()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_packs_and_lost_its_lock_rests_nothing_on_what_was_removed() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 2).await;
    let blob = |build: &Manifest| fixture.blob(&build.artifacts[0].digest);
    let before: Vec<_> = builds.iter().map(|it| std::fs::read(blob(it)).unwrap()).collect();
    let once = AtomicBool::new(false);
    let watch = |_| {
        if once.swap(true, Ordering::SeqCst) {
            return;
        }
        wait_for(async {
            // One is packed by itself, the other is about to be a difference to it.
            let other =
                builds.iter().zip(&before).find(|it| std::fs::read(blob(it.0)).unwrap() == *it.1);
            fixture.store.pin(&other.unwrap().0.input_key, true).await.unwrap();
            fixture.break_lock().await;
            let report = replica(&fixture).await.gc(&merciless()).await.unwrap();
            assert_eq!((report.gone.len(), report.freed_blobs), (1, 1));
        });
    };
    assert!(matches!(fixture.store.pack(LIGHT, &watch).await, Err(StoreError::Overtaken)));
    let verified = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
    assert_eq!((verified.builds, verified.blobs), (1, 1));
    // Somebody else may go on.
    fixture.store.pack(LIGHT, &|_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_collects_and_lost_its_lock_removes_nothing_more() {
    let fixture = Fixture::new().await;
    let builds = neighbours(&fixture, 3).await;
    let keep_commits = [builds[0].commit.clone()].into();
    let policy = Policy { keep_commits, ..merciless() };
    let watch = |at: GcProgress| {
        if at.phase == GcPhase::Blobs {
            wait_for(async {
                fixture.break_lock().await;
                replica(&fixture).await.pack(LIGHT, &|_| {}).await.unwrap();
            });
        }
    };
    assert!(matches!(fixture.store.collect(&policy, &watch).await, Err(StoreError::Overtaken)));
    assert_eq!(fixture.store.stats().await.unwrap().blobs, 3);
    fixture.store.gc(&policy).await.unwrap();
    assert_eq!(fixture.store.stats().await.unwrap().blobs, 1);
    let verified = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
}
