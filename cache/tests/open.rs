//! Opening: what is a store, and what to do when it can't be opened.

mod common;

use std::path::Path;

use common::{Fixture, draft, quiet, story};
use kiln_cache::error::StoreError;
use kiln_cache::{Location, Store};

async fn open(root: &Path) -> Result<Store, StoreError> {
    Store::open(&Location::folder(root)).await
}

#[tokio::test]
async fn new_and_empty_folders_become_stores() {
    let folder = tempfile::tempdir().unwrap();
    for root in [folder.path().join("made/by/kiln"), folder.path().join("empty")] {
        if root.ends_with("empty") {
            std::fs::create_dir(&root).unwrap();
        }
        let store = open(&root).await.unwrap();
        assert_eq!(store.folder(), root);
        assert!(store.verify(true, &quiet).await.unwrap().is_clean());
        assert_eq!(store.stats().await.unwrap().builds, 0);
        assert_eq!(std::fs::read_to_string(root.join("format.json")).unwrap(), "{\"format\":1}");
    }
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let error = open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAStore(_)), "{error}");
    assert!(error.to_string().contains("--store"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let file = folder.path().join("thesis.tex");
    let error = open(&file).await.unwrap_err();
    assert!(story(&error).contains("thesis.tex"), "{}", story(&error));
}

#[tokio::test]
async fn a_newer_store_is_refused_and_left_alone() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let mark = fixture.root().join("format.json");
    std::fs::write(&mark, r#"{"format":2}"#).unwrap();
    let error = open(&fixture.root()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("newer Kiln"), "{error}");
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), r#"{"format":2}"#);
}

/// What opening a store says whose index's layout was changed by this statement.
async fn refusal(statement: &'static str) -> StoreError {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let path = fixture.root().join("index.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
    open(&fixture.root()).await.unwrap_err()
}

#[tokio::test]
async fn a_newer_index_is_refused() {
    let error = refusal(
        "INSERT INTO _sqlx_migrations \
         (version, description, success, checksum, execution_time) \
         VALUES (99, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    assert!(matches!(error, StoreError::NewerFormat { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn an_index_of_another_line_is_not_called_newer() {
    // Steps 4 to 9 were never taken by a release; and a step may have had another text once.
    let added = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (4, 'of another line', TRUE, x'00', 0)";
    let changed = "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2";
    for (statement, step) in [(added, "step 4"), (changed, "step 2")] {
        let error = refusal(statement).await;
        assert!(matches!(error, StoreError::OtherLayout { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(step) && text.contains("index.sqlite"), "{text}");
        assert!(!text.contains("newer") && text.contains("move it"), "{text}");
    }
}

#[tokio::test]
async fn a_damaged_index_is_named_with_the_way_out() {
    let fixture = Fixture::new().await;
    let file = fixture.file("a", b"x");
    let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    fixture.store.close().await;
    let index = fixture.root().join("index.sqlite");
    std::fs::write(&index, vec![b'x'; 8192]).unwrap();
    let error = open(&fixture.root()).await.unwrap_err();
    assert!(matches!(error, StoreError::IndexDamaged { .. }), "{}", story(&error));
    assert!(error.to_string().contains("move it"), "{error}");
    // The way out works.
    std::fs::rename(&index, fixture.folder.path().join("broken")).unwrap();
    let store = open(&fixture.root()).await.unwrap();
    assert_eq!(store.build_by_request(&build.request_key).await.unwrap(), Some(build));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let opening = (0..8).map(|_| {
        let root = folder.path().join("store");
        tokio::spawn(async move { open(&root).await.map(|store| store.folder()) })
    });
    for task in opening.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
}
