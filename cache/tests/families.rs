//! Builds of one configuration along a history, and requests proved from their closures.

mod common;

use std::slice::from_ref;

use common::{Fixture, commit, draft, input, merciless, neighbours, quiet, request};
use kiln_cache::build_draft::{CLOSURE, PROVENANCE};
use kiln_cache::{
    Digest, FamilyBuild, InputKey, Manifest, Mark, Query, Store, StoreError, refutation,
};

#[tokio::test]
async fn builds_of_a_family_with_a_closure() {
    let fixture = Fixture::new().await;
    let (image, closure) = (fixture.file("image", b"image"), fixture.file("closure", b"closure"));
    let family = InputKey(Digest::of(b"family"));
    let with = draft(1, &[("image", &image), (CLOSURE, &closure)]);
    let without = draft(2, &[("image", &image)]);
    let mut other = draft(3, &[("image", &image), (CLOSURE, &closure)]);
    other.family_key = InputKey(Digest::of(b"another family"));
    let images = [
        fixture.store.add_build(with).await.unwrap().image(),
        fixture.store.add_build(without).await.unwrap().image(),
        fixture.store.add_build(other).await.unwrap().image(),
    ];
    assert!(images.iter().all(|image| *image == images[0]), "a closure is no part of an image");
    let found = fixture.store.builds_of_family(&family, 10).await.unwrap();
    let expected = FamilyBuild {
        input_key: input(1).key(),
        tree: input(1).tree,
        closure: Digest::of(b"closure"),
    };
    assert_eq!(found, [expected]);
    assert!(fixture.store.builds_of_family(&family, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_proof_is_an_alias_that_says_so() {
    let fixture = Fixture::new().await;
    let file = fixture.file("image", b"image");
    let build = fixture.store.add_build(draft(1, &[("image", &file)])).await.unwrap();
    let closure = Digest::of(b"closure");
    let store = &fixture.store;
    store.add_proved_request(&request(2), &build.input_key, &closure).await.unwrap();
    assert_eq!(store.build_by_request(&request(2)).await.unwrap(), Some(build.clone()));
    assert_eq!(store.proof_of_request(&request(2)).await.unwrap(), Some(closure));
    assert_eq!(store.proof_of_request(&request(1)).await.unwrap(), None);
    assert_eq!(store.proof_of_request(&request(3)).await.unwrap(), None);
    // What was built since is no longer a matter of proof.
    let built = store.add_build(draft(2, &[("image", &file)])).await.unwrap();
    assert_eq!(store.build_by_request(&request(2)).await.unwrap(), Some(built));
    assert_eq!(store.proof_of_request(&request(2)).await.unwrap(), None);
    let unknown = InputKey(Digest::of(b"nothing"));
    let error = store.add_proved_request(&request(4), &unknown, &closure).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_outlive_builds_and_the_index() {
    let mut fixture = Fixture::new().await;
    let build = neighbours(&fixture, 1).await.remove(0);
    let (closure, key) = (format!("{}-closure", Digest::of(b"closure")), build.input_key);
    let store = &fixture.store;
    assert!(store.marks(Mark::Revoked).await.unwrap().is_empty());
    for _ in 0..2 {
        store.mark(Mark::Revoked, &closure).await.unwrap();
    }
    store.mark(Mark::Unaudited, &key.to_string()).await.unwrap();
    assert!(store.is_marked(Mark::Unaudited, &key.to_string()).await.unwrap());
    assert!(!store.is_marked(Mark::Revoked, &key.to_string()).await.unwrap());
    assert_eq!(store.gc(&merciless()).await.unwrap().gone.len(), 1);
    store.unmark(Mark::Unaudited, &key.to_string()).await.unwrap();
    store.unmark(Mark::Unaudited, "nothing").await.unwrap();
    assert!(store.verify(true, &quiet).await.unwrap().is_clean());
    store.reindex().await.unwrap();
    let store = fixture.reopen_without_index().await;
    assert_eq!(store.marks(Mark::Revoked).await.unwrap(), [closure].into());
    assert!(store.marks(Mark::Unaudited).await.unwrap().is_empty());
}

/// What a commit leads to.
async fn by_commit(store: &Store, seed: u64) -> Vec<Manifest> {
    store.find_builds(&Query::parse(&commit(seed)).unwrap()).await.unwrap()
}

/// A build of a kernel of its own, with a closure of its own.
async fn watched(fixture: &Fixture, seed: u64) -> (Manifest, Digest) {
    let text = format!("closure {seed}");
    let image = fixture.file(&format!("image {seed}"), format!("image {seed}").as_bytes());
    let closure = fixture.file(&text, text.as_bytes());
    let files = [("image", image.as_path()), (CLOSURE, closure.as_path())];
    let build = fixture.store.add_build(draft(seed, &files)).await.unwrap();
    (build, Digest::of(text.as_bytes()))
}

#[tokio::test]
async fn a_commit_is_known_by_a_proof_as_long_as_that_is_believed() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (build, closure) = watched(&fixture, 1).await;
    store.add_proved_revision(&commit(2), &build.input_key, &closure).await.unwrap();
    // The commit's own name is no matter of proof, whatever is said of it later.
    store.add_proved_revision(&commit(1), &build.input_key, &closure).await.unwrap();
    for seed in [1, 2] {
        assert_eq!(by_commit(store, seed).await, from_ref(&build));
    }
    store.mark(Mark::Revoked, &refutation(&closure, "closure")).await.unwrap();
    assert_eq!(by_commit(store, 2).await, []);
    assert_eq!(by_commit(store, 1).await, from_ref(&build));
    // Another proof is one, and what was compiled needs none.
    let other = Digest::of(b"another closure");
    store.add_proved_revision(&commit(2), &build.input_key, &other).await.unwrap();
    assert_eq!(by_commit(store, 2).await, from_ref(&build));
    store.mark(Mark::Revoked, &refutation(&other, "closure")).await.unwrap();
    store.add_revision(&commit(2), &build.input_key).await.unwrap();
    assert_eq!(by_commit(store, 2).await, [build]);
}

#[tokio::test]
async fn a_commits_own_build_is_preferred_to_what_it_was_proved_to_be() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (build, closure) = watched(&fixture, 1).await;
    store.add_proved_revision(&commit(2), &build.input_key, &closure).await.unwrap();
    let (own, _) = watched(&fixture, 2).await;
    let query = Query::parse(&commit(2)).unwrap();
    assert_eq!(store.find_build(&query).await.unwrap(), Some(own.clone()));
    // With another configuration it is another question.
    let image = fixture.file("image", b"of another configuration");
    let mut elsewhere = draft(3, &[("image", &image)]);
    elsewhere.family_key = InputKey(Digest::of(b"another family"));
    let elsewhere = store.add_build(elsewhere).await.unwrap();
    store.add_proved_revision(&commit(2), &elsewhere.input_key, &closure).await.unwrap();
    let found = by_commit(store, 2).await;
    assert!(found.len() == 2 && found.contains(&own) && found.contains(&elsewhere), "{found:?}");
}

#[tokio::test]
async fn a_build_that_rests_on_a_refuted_proof_is_found_by_no_name() {
    for (stage, mark) in [("\"tokens\"", "tokens"), ("\"tokens\"", "closure"), ("null", "objects")]
    {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let closure = Digest::of(b"closure");
        let said = format!(
            r#"{{"stage":{stage},"from":"{closure}","closure":"{closure}","changed":[],"units":[],
                "rests_on":[{{"stage":"objects","closure":"{closure}","from":"{closure}"}}]}}"#
        );
        let (image, said) =
            (fixture.file("image", b"image"), fixture.file("said", said.as_bytes()));
        let files = [("image", image.as_path()), (PROVENANCE, said.as_path())];
        let build = store.add_build(draft(1, &files)).await.unwrap();
        let plain = store.add_build(draft(2, &[("image", &image)])).await.unwrap();
        let other = Digest::of(b"another closure");
        store.mark(Mark::Revoked, &refutation(&other, mark)).await.unwrap();
        assert_eq!(by_commit(store, 1).await, from_ref(&build));
        assert!(!store.is_void(&build).await.unwrap());
        store.mark(Mark::Revoked, &refutation(&closure, mark)).await.unwrap();
        assert!(store.is_void(&build).await.unwrap());
        assert_eq!(by_commit(store, 1).await, []);
        let by_key = Query::parse(&build.input_key.to_string()).unwrap();
        assert_eq!(store.find_build(&by_key).await.unwrap(), None);
        assert_eq!(by_commit(store, 2).await, from_ref(&plain));
        assert!(!store.is_void(&plain).await.unwrap());
        // What can't be read is no witness.
        let mut silent = build.clone();
        for artifact in &mut silent.artifacts {
            artifact.digest = Digest::of(b"lost");
        }
        assert!(store.is_void(&silent).await.unwrap());
    }
}

#[tokio::test]
async fn names_of_an_older_index_are_as_good_as_the_closures_of_their_builds() {
    let fixture = Fixture::new().await;
    let (build, closure) = watched(&fixture, 1).await;
    fixture.store.add_revision(&commit(2), &build.input_key).await.unwrap();
    // As Kiln left it before it wrote down what proved a name.
    fixture.execute("ALTER TABLE revisions DROP COLUMN proved_from").await;
    fixture.execute("DELETE FROM _sqlx_migrations WHERE version = 30").await;
    let store = fixture.reopen().await;
    for seed in [1, 2] {
        assert_eq!(by_commit(&store, seed).await, from_ref(&build));
    }
    store.mark(Mark::Revoked, &refutation(&closure, "closure")).await.unwrap();
    assert_eq!(by_commit(&store, 2).await, []);
    assert_eq!(by_commit(&store, 1).await, [build]);
}
