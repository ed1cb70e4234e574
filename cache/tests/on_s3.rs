//! The suites of builds, blobs, families and evidence once more over S3, with the index in
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

use common::{Fixture, draft, noise, request};
use kiln_cache::{Location, Store};

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
    let valid = std::time::Duration::from_secs(60);
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
