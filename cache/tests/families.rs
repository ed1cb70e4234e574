//! Builds of one configuration along a history, and requests proved from their closures.

mod common;

use common::{Fixture, draft, input, merciless, neighbours, quiet, request};
use kiln_cache::build_draft::CLOSURE;
use kiln_cache::{Digest, FamilyBuild, InputKey, Mark, StoreError};

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
