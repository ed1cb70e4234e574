//! Two machines over a bucket and PostgreSQL, and what one of them does while the bucket answers the
//! other. Who collects or packs, and loses its connection while the bucket fails, does not send its
//! request again: by then somebody may rely on what it removes. Who fails takes nothing from who does
//! not.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::bucket::{Event, Eventful, What};
use common::{LIGHT, WHO_HAS_THE_LOCK, draft, end, input, merciless, noise};
use kiln_cache::retention::Policy;
use kiln_cache::transfer::Selection;
use kiln_cache::{Backend, Database, Digest, Location, Patience, Store, StoreError};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

/// Two machines over one bucket and one database; events wait for the first.
struct Two {
    here: Store,
    there: Store,
    bucket: Eventful,
    database: String,
    /// What both have pushed.
    files: Vec<(String, PathBuf)>,
    _folder: tempfile::TempDir,
}

async fn two(name: &str) -> Two {
    let folder = tempfile::tempdir().unwrap();
    let database = common::database();
    let bucket = Eventful::default();
    let open = async |machine: &str, store: Arc<dyn ObjectStore>| {
        let backend = Backend {
            store,
            parts: bucket.bucket.clone(),
            signer: None,
            prefix: "p".into(),
            name: "memory://".into(),
            patience: Patience { pause: Duration::from_millis(1), ..Patience::default() },
        };
        let location = Location::bucket(backend).with_local(folder.path().join(machine), 0);
        Store::open(&location.with_database(Database::parse(&database).unwrap())).await.unwrap()
    };
    let here = open("here", Arc::new(bucket.clone())).await;
    let there = open("there", bucket.bucket.clone()).await;
    let file = folder.path().join("file");
    std::fs::write(&file, noise(1, 5000)).unwrap();
    let files = vec![(name.to_owned(), file)];
    here.push(files.clone(), None).await.unwrap();
    Two { here, there, bucket, database, files, _folder: folder }
}

const WHO_HAS_THE_TURN: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                WHERE datname = current_database() AND state = 'idle in transaction'";

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_turn_removes_nothing_that_was_pushed_since() {
    let debug = Policy { debug_age: Some(-10), ..Policy::default() };
    for (what, below, name, policy) in [
        (What::Put, "p/builds/", "image", merciless()),
        (What::Delete, "p/blobs/", "image", merciless()),
        (What::Put, "p/blobs/", "image.debug", debug),
    ] {
        let Two { here, there, bucket, database, files, _folder } = two(name).await;
        let pusher = there.clone();
        let meanwhile = async move {
            end(&database, WHO_HAS_THE_TURN).await;
            pusher.push(files, None).await.unwrap();
        };
        bucket.wait_for(Event { what, below, fails: true, meanwhile: Box::pin(meanwhile) });
        let collected = here.gc(&policy).await;
        assert!(bucket.is_done(), "{what:?} {below}: {collected:?}");
        let builds = there.builds_with(&Digest::of(&noise(1, 5000))).await.unwrap();
        let [build] = &builds[..] else { panic!("{what:?} {below}: {builds:?}") };
        let reader = there.reader(&build.artifacts[0].digest).await.unwrap();
        assert_eq!(reader.read(0..5000).await.unwrap(), noise(1, 5000));
        assert!(collected.is_err(), "{what:?} {below}: {collected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_packs_and_lost_its_lock_replaces_nothing() {
    let Two { here, there, bucket, database, _folder, .. } = two("image").await;
    let meanwhile = async move {
        end(&database, WHO_HAS_THE_LOCK).await;
        there.pack(LIGHT, &|_| {}).await.unwrap();
    };
    let (what, meanwhile) = (What::Put, Box::pin(meanwhile));
    bucket.wait_for(Event { what, below: "p/blobs/", fails: true, meanwhile });
    let packed = here.pack(LIGHT, &|_| {}).await;
    assert!(matches!(packed, Err(StoreError::Overtaken)), "{packed:?}");
}

/// The answer that there is no such build comes after somebody else has stored and pinned it.
fn wait_for_build_and_pin(bucket: &Eventful, there: &Store, file: PathBuf) {
    let there = there.clone();
    let meanwhile = Box::pin(async move {
        let build = there.add_build(draft(7, &[("image", &file)])).await.unwrap();
        there.pin(&build.input_key, true).await.unwrap();
    });
    bucket.wait_for(Event { what: What::Get, below: "p/builds/", fails: false, meanwhile });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pins_what_is_not_there_takes_no_pin_from_who_saw_it_come() {
    let Two { here, there, bucket, files, _folder, .. } = two("image").await;
    wait_for_build_and_pin(&bucket, &there, files[0].1.clone());
    let pinned = here.pin(&input(7).key(), true).await;
    assert!(matches!(pinned, Err(StoreError::UnknownBuild(_))), "{pinned:?}");
    assert!(bucket.is_done());
    assert!(there.pins().await.unwrap().contains(&input(7).key()));
    bucket.bucket.head(&Path::from(format!("p/pins/{}", input(7).key()))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_to_bring_a_pinned_build_takes_no_pin_from_who_saw_it_come() {
    let Two { here, there, bucket, files, _folder, .. } = two("image").await;
    let root = _folder.path().join("from");
    let from = Store::open(&Location::folder(&root)).await.unwrap();
    let build = from.add_build(draft(7, &[("image", &files[0].1)])).await.unwrap();
    from.pin(&build.input_key, true).await.unwrap();
    let hex = build.artifacts[0].digest.to_hex();
    std::fs::remove_file(root.join("blobs").join(&hex[..2]).join(hex)).unwrap();
    wait_for_build_and_pin(&bucket, &there, files[0].1.clone());
    let report = from.copy_to(&here, &Selection::default(), &|_| ()).await.unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(bucket.is_done());
    assert!(there.pins().await.unwrap().contains(&build.input_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pushes_half_a_build_takes_it_back_unless_somebody_has_completed_it() {
    for is_completed in [false, true] {
        let Two { here, there, bucket, _folder, .. } = two("image").await;
        let file = _folder.path().join("another");
        std::fs::write(&file, noise(2, 5000)).unwrap();
        let (digest, _) = here.put_file(&file).await.unwrap();
        let hex = digest.to_hex();
        let blob = Path::from(format!("p/blobs/{}/{hex}", &hex[..2]));
        // As by somebody whose clock is so far ahead that the upload seems to have died.
        let raw = Arc::clone(&bucket.bucket);
        let meanwhile = Box::pin(async move { raw.delete(&blob).await.unwrap() });
        bucket.wait_for(Event { what: What::Put, below: "p/builds/", fails: false, meanwhile });
        let files = vec![("image".to_owned(), file)];
        if is_completed {
            let (there, files) = (there.clone(), files.clone());
            let meanwhile = Box::pin(async move { _ = there.push(files, None).await.unwrap() });
            bucket.wait_for(Event { what: What::Get, below: "p/blobs/", fails: false, meanwhile });
        }
        let pushed = here.push_blobs(&[("image".to_owned(), digest)], None).await;
        assert!(matches!(pushed, Err(StoreError::Missing(it)) if it == digest), "{pushed:?}");
        assert!(bucket.is_done());
        let builds = there.builds_with(&digest).await.unwrap();
        assert_eq!(builds.len(), usize::from(is_completed));
        // Either way it can be pushed again.
        let again = here.push(files, None).await.unwrap().manifest;
        assert!(builds.iter().all(|build| *build == again));
        let reader = there.reader(&digest).await.unwrap();
        assert_eq!(reader.read(0..5000).await.unwrap(), noise(2, 5000));
        assert!(there.build_by_input(&again.input_key).await.unwrap().is_some());
    }
}
