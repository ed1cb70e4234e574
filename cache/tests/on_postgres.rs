//! The suites of builds, families, evidence and retention once more, with the index in PostgreSQL,
//! and what only a database that several machines share can get wrong.
#![allow(clippy::duplicate_mod, reason = "each suite brings its own copy of what they share")]

#[path = "builds.rs"]
mod builds;
mod common;
#[path = "evidence.rs"]
mod evidence;
#[path = "families.rs"]
mod families;
#[path = "gc.rs"]
mod gc;

use common::{Fixture, draft, merciless, request};
use kiln_cache::error::StoreError;
use kiln_cache::evidence::{Outcome, Run, TestKey};
use kiln_cache::signature::ImageId;
use kiln_cache::transfer::Selection;
use kiln_cache::{Database, Digest, Location, Query, Store};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_database() {
    let fixture = Fixture::new().await;
    let replica = fixture.reopen().await;
    let file = fixture.file("image", b"an image");
    let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let found = replica.find_build(&Query::parse(&build.commit).unwrap()).await.unwrap();
    assert_eq!(found, Some(build));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_write_the_same_at_once_agree() {
    let fixture = Fixture::new().await;
    fixture.store.journal_create("j", "k", json!({})).await.unwrap();
    let file = fixture.file("image", b"an image");
    let mut tasks = Vec::new();
    for writer in 0..6_u64 {
        let (store, file) = (fixture.reopen().await, file.clone());
        tasks.push(tokio::spawn(async move {
            for n in 0..20 {
                // The same builds, in another order each.
                let seed = (n * 7 + writer * 3) % 20;
                store.add_build(draft(seed, &[("image", &file)])).await.unwrap();
                store.journal_append("j", json!([writer, n])).await.unwrap();
                if n % 5 == 0 {
                    store.reindex().await.unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fixture.store.stats().await.unwrap().builds, 20);
    for seed in 0..20 {
        assert!(fixture.store.build_by_request(&request(seed)).await.unwrap().is_some());
    }
    let journal = fixture.store.journal_read("j").await.unwrap().unwrap();
    let numbers: Vec<_> = journal.events.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=120).collect::<Vec<_>>());
    let report = fixture.store.verify(true, &common::quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
}

#[tokio::test]
async fn a_database_belongs_to_one_store() {
    let fixture = Fixture::new().await;
    let other = Location::folder(fixture.folder.path().join("other"));
    let database = fixture.location().database().unwrap().clone();
    let error = Store::open(&other.with_database(database)).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherDatabase { .. }), "{error}");
    assert!(error.to_string().contains("--database"), "{error}");
}

#[tokio::test]
async fn an_empty_database_learns_the_builds() {
    let fixture = Fixture::new().await;
    let file = fixture.file("image", b"an image");
    let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let database = Database::parse(&common::database()).unwrap();
    let location = Location::folder(fixture.root()).with_database(database);
    let store = Store::open(&location).await.unwrap();
    assert_eq!(store.build_by_request(&build.request_key).await.unwrap(), Some(build));
}

#[tokio::test]
async fn nobody_there_is_said_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://kiln:s3cret@127.0.0.1:1/kiln";
    let location = Location::folder(folder.path().join("store"));
    let location = location.with_database(Database::parse(url).unwrap());
    let error = Store::open(&location).await.unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
    let story = common::story(&error);
    assert!(story.contains("postgres://kiln@127.0.0.1:1/kiln"), "{story}");
    assert!(!story.contains("s3cret"), "{story}");
}

/// Lets something go on until it is about to write to a table, then something else happen, and then
/// the first go on.
async fn held_up<T: Send + 'static>(
    fixture: &Fixture,
    lock: &'static str,
    doing: impl Future<Output = T> + Send + 'static,
    meanwhile: impl Future<Output = ()>,
) -> T {
    let mut connection = fixture.connect().await;
    for statement in ["BEGIN", lock] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let doing = tokio::spawn(doing);
    let waiting = "SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                   WHERE d.datname = current_database() AND NOT l.granted";
    loop {
        let (waits,): (i64,) = sqlx::query_as(waiting).fetch_one(&mut connection).await.unwrap();
        if waits > 0 {
            break;
        }
        assert!(!doing.is_finished(), "it wrote nothing there");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    meanwhile.await;
    sqlx::query("COMMIT").execute(&mut connection).await.unwrap();
    doing.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_too_late_for_its_build_is_refused() {
    let fixture = Fixture::new().await;
    let file = fixture.file("image", b"an image");
    let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let (store, key) = (fixture.store.clone(), build.input_key);
    let naming = async move { store.add_revision("abcdef0123456789", &key).await };
    let named = held_up(&fixture, "LOCK TABLE revisions IN EXCLUSIVE MODE", naming, async {
        assert_eq!(fixture.store.gc(&merciless()).await.unwrap().gone.len(), 1);
    });
    let named = named.await;
    assert!(matches!(named, Err(StoreError::UnknownBuild(_))), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_stays_that_a_run_is_about_to_name() {
    for is_copied in [false, true] {
        let (fixture, from) = (Fixture::new().await, Fixture::new().await);
        let mut console = Digest::of(b"");
        for store in [&fixture.store, &from.store] {
            console = store.put_bytes("a console".into()).await.unwrap();
        }
        let run = Run {
            id: uuid::Uuid::from_u128(1),
            image: ImageId(Digest::of(b"image")),
            test: TestKey(Digest::of(b"test")),
            outcome: Outcome::Ok,
            seconds: 1.0,
            finished: 100,
            console: Some(console),
        };
        from.store.record_run(&run).await.unwrap();
        // It was stored long ago.
        fixture.execute("DELETE FROM reservations").await;
        let (store, from) = (fixture.store.clone(), from.store.clone());
        let recording = async move {
            match is_copied {
                true => _ = from.copy_to(&store, &Selection::default(), &|_| ()).await.unwrap(),
                false => store.record_run(&run).await.unwrap(),
            }
        };
        held_up(&fixture, "LOCK TABLE runs IN EXCLUSIVE MODE", recording, async {
            fixture.store.gc(&merciless()).await.unwrap();
        })
        .await;
        assert!(fixture.store.contains(&console).await.unwrap(), "copied: {is_copied}");
    }
}
