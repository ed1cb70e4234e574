//! What can't be seen from outside: what happens between the two turns of a removal.

use std::collections::{HashMap, HashSet};

use super::needed::Shelf;
use super::policy::Reason;
use super::remove::Removal;
use super::report::{GcProgress, Gone};
use crate::build_draft::BuildDraft;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::index::Seen;
use crate::input::{BuildInput, InputKey};
use crate::location::Location;
use crate::manifest::{BuildResult, Manifest};
use crate::manifests;
use crate::query::Query;
use crate::store::Store;

async fn store(folder: &tempfile::TempDir) -> (Store, Manifest, Seen) {
    let store = Store::open(&Location::folder(folder.path().join("store"))).await.unwrap();
    let file = folder.path().join("image");
    std::fs::write(&file, b"an image").unwrap();
    let input = BuildInput {
        tree: "a".repeat(40),
        config: Digest::of(b"config"),
        arch: "x86_64".into(),
        toolchain: Digest::of(b"gcc"),
        recipe: "1".into(),
        targets: vec![],
    };
    let draft = BuildDraft {
        request_key: input.key(),
        family_key: InputKey(Digest::of(b"family")),
        input,
        commit: "c".repeat(40),
        result: BuildResult::Built,
        artifacts: vec![("image".into(), file)],
        compiler: "gcc".into(),
        seconds: 1.0,
    };
    let build = store.add_build(draft).await.unwrap();
    let read = manifests::read(&store.inner().objects, &build.input_key).await;
    let read = read.unwrap().unwrap().unwrap();
    let uses = store.inner().index.uses().await.unwrap()[&build.input_key].times;
    (store, build, Seen { manifest: read.digest, tag: read.tag, uses })
}

#[tokio::test]
async fn a_look_up_between_the_turns_keeps_a_build() {
    let folder = tempfile::tempdir().unwrap();
    let (store, build, seen) = store(&folder).await;
    let (index, key) = (&store.inner().index, build.input_key);
    let alone = index.alone().await.unwrap().unwrap();
    let mut condemn = index.condemn(&alone).await.unwrap();
    assert!(condemn.unindex(&key, &seen).await.unwrap());
    condemn.done().await.unwrap();
    let found = store.build_by_input(&key).await.unwrap();
    assert_eq!(found.as_ref(), Some(&build));
    let mut condemn = index.condemn(&alone).await.unwrap();
    assert!(!condemn.may_remove(&key, &seen).await.unwrap());
}

#[tokio::test]
async fn what_is_pinned_between_the_turns_stays_and_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, build, seen) = store(&folder).await;
    let (index, key) = (&store.inner().index, build.input_key);
    let alone = index.alone().await.unwrap().unwrap();
    let (shelf, names) = (Shelf::default(), HashMap::new());
    let (progress, spared) = (&|_: GcProgress| (), HashSet::new());
    let removal =
        Removal { store: &store, alone: &alone, shelf: &shelf, names: &names, progress, spared };
    let seen = HashMap::from([(key, &seen)]);
    let gone =
        Gone { build: key, commit: String::new(), last_use: 0, freed: 0, reason: Reason::Age };
    let hidden = removal.hide(&[gone], &seen).await.unwrap();
    assert_eq!((&hidden[..], index.manifest_of(&key).await.unwrap()), (&[key][..], None));
    store.pin(&key, true).await.unwrap();
    assert!(removal.remove(&hidden, &seen).await.unwrap().is_empty());
    assert!(index.manifest_of(&key).await.unwrap().is_some());
    let by_commit = Query::parse(&build.commit).unwrap();
    assert_eq!(store.find_builds(&by_commit).await.unwrap(), [build]);
}

#[tokio::test]
async fn a_look_up_that_read_too_early_makes_no_row_without_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let (store, build, seen) = store(&folder).await;
    let (index, key) = (&store.inner().index, build.input_key);
    let read = manifests::read(&store.inner().objects, &key).await.unwrap().unwrap().unwrap();
    let alone = index.alone().await.unwrap().unwrap();
    let mut condemn = index.condemn(&alone).await.unwrap();
    assert!(condemn.unindex(&key, &seen).await.unwrap());
    condemn.done().await.unwrap();
    let mut condemn = index.condemn(&alone).await.unwrap();
    assert!(condemn.may_remove(&key, &seen).await.unwrap());
    let (objects, object) = (&store.inner().objects, manifests::object_of(&key));
    objects.delete_if(&object, seen.tag.as_deref()).await.unwrap();
    // As when it is killed here: the turn counts for nothing, and the manifest is gone.
    drop(condemn);
    assert_eq!(store.index_found(vec![read.clone()]).await.unwrap(), [key]);
    assert_eq!(index.manifest_of(&key).await.unwrap(), None);
    // One that was stored again since is not the one that was read.
    let again = Manifest { seconds: 2.0, ..build };
    objects.put(&object, manifests::encode(&again).unwrap().into()).await.unwrap();
    assert_eq!(store.index_found(vec![read]).await.unwrap(), [key]);
    assert_eq!(store.build_by_input(&key).await.unwrap(), Some(again));
}

#[tokio::test]
async fn who_began_before_does_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, build, _) = store(&folder).await;
    let index = &store.inner().index;
    let first = index.alone().await.unwrap().unwrap();
    index.condemn(&first).await.unwrap().done().await.unwrap();
    // As if the first had lost its lock.
    let second = index.alone().await.unwrap().unwrap();
    assert!(matches!(index.condemn(&first).await, Err(StoreError::Overtaken)));
    let hold = index.reserve_alone(&first, "first", &[build.artifacts[0].digest]).await;
    assert!(matches!(hold, Err(StoreError::Overtaken)));
    index.condemn(&second).await.unwrap().done().await.unwrap();
}

#[tokio::test]
async fn another_object_of_the_name_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, build, seen) = store(&folder).await;
    let (objects, object) = (&store.inner().objects, manifests::object_of(&build.input_key));
    objects.put(&object, bytes::Bytes::from_static(b"another").into()).await.unwrap();
    assert!(!objects.delete_if(&object, seen.tag.as_deref()).await.unwrap());
    assert!(objects.head(&object).await.unwrap().is_some());
    let now = objects.head(&object).await.unwrap().unwrap().e_tag;
    assert!(objects.delete_if(&object, now.as_deref()).await.unwrap());
    assert!(objects.delete_if(&object, now.as_deref()).await.unwrap(), "gone already");
}
