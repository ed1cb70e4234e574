//! Builds of one configuration along a history, and requests proved from their closures.

mod common;

use std::slice::from_ref;

use common::{Fixture, commit, draft, input, merciless, neighbours, quiet, request};
use kiln_cache::build_draft::{CLOSURE, PROVENANCE};
use kiln_cache::{
    BuildDraft, BuildFilter, Digest, FamilyBuild, InputKey, Manifest, Mark, Query, Store,
    StoreError, refutation,
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
    let (build, closure) = watched(&fixture, 1).await;
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
    let shown = async |seed| {
        let commit = Some(Query::parse(&commit(seed)).unwrap());
        let mut counts = Vec::new();
        let filter = BuildFilter { commit, like: Some(build.input_key), ..Default::default() };
        store.list(&filter, 9, &mut |build| counts.push(build.commits)).await.unwrap();
        (counts, store.commits_of(&build.input_key, 9).await.unwrap().len())
    };
    for seed in [1, 2] {
        assert_eq!(by_commit(store, seed).await, from_ref(&build));
        assert_eq!(shown(seed).await, (vec![2], 2));
    }
    // Proved of another build that lay here once.
    let elsewhere = Digest::of(b"elsewhere");
    store.add_proved_revision(&commit(3), &build.input_key, &elsewhere).await.unwrap();
    assert_eq!((by_commit(store, 3).await, shown(3).await), (vec![], (vec![], 2)));
    store.mark(Mark::Revoked, &refutation(&closure, "closure")).await.unwrap();
    assert_eq!((by_commit(store, 2).await, shown(2).await), (vec![], (vec![], 1)));
    assert_eq!(by_commit(store, 1).await, from_ref(&build));
    assert_eq!(shown(1).await, (vec![1], 1));
    // What another closure proves it proves of another build, and what was compiled needs no proof.
    let other = Digest::of(b"another closure");
    store.add_proved_revision(&commit(2), &build.input_key, &other).await.unwrap();
    assert_eq!(by_commit(store, 2).await, []);
    store.add_revision(&commit(2), &build.input_key).await.unwrap();
    assert_eq!(by_commit(store, 2).await, [build]);
}

/// A build of an input with a closure of these bytes, which takes the place of one that was there.
async fn instead(store: &Store, fixture: &Fixture, text: &str, was: Option<&Manifest>) -> Manifest {
    if let Some(was) = was {
        store.withdraw_build(was).await.unwrap();
    }
    let image = fixture.file("image", format!("image: {text}").as_bytes());
    let closure = fixture.file("closure", text.as_bytes());
    store.add_build(draft(1, &[("image", &image), (CLOSURE, &closure)])).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closure_proved_is_not_said_of_the_build_in_its_place() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let first = instead(store, &fixture, "one", None).await;
    let closure = first.artifact(CLOSURE).unwrap().digest;
    store.add_proved_request(&request(2), &first.input_key, &closure).await.unwrap();
    store.add_proved_revision(&commit(2), &first.input_key, &closure).await.unwrap();
    let by_proof = async |store: &Store| {
        let known = store.builds_by_requests(&[request(1), request(2)]).await.unwrap();
        assert!(known.contains_key(&request(1)), "its own name");
        let found = store.build_by_request(&request(2)).await.unwrap();
        assert_eq!(found.is_some(), known.contains_key(&request(2)));
        assert_eq!(by_commit(store, 2).await, found.as_slice());
        found
    };
    assert_eq!(by_proof(store).await.as_ref(), Some(&first));
    // Another index, which knows the names and goes on knowing the first one.
    let elsewhere = fixture.by_another_database().await;
    elsewhere.add_proved_request(&request(2), &first.input_key, &closure).await.unwrap();
    elsewhere.add_proved_revision(&commit(2), &first.input_key, &closure).await.unwrap();

    let other = instead(store, &fixture, "another", Some(&first)).await;
    assert_eq!(by_proof(store).await, None);
    assert_eq!(by_commit(store, 1).await, from_ref(&other));
    assert_eq!(by_commit(&elsewhere, 2).await, []);
    assert_eq!(elsewhere.build_by_request(&request(2)).await.unwrap(), None);
    assert_eq!(by_proof(&elsewhere).await, None, "it has looked by now");
    // What reads the same is as good as the first one: the proof is of what was read.
    let again = instead(store, &fixture, "one", Some(&other)).await;
    assert_eq!(by_proof(store).await, Some(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_in_doubt_is_given_to_nobody_though_it_was_not_taken_away() {
    let mut fixture = Fixture::new().await;
    let doubtful = instead(&fixture.store, &fixture, "one", None).await;
    assert!(!fixture.store.is_void(&doubtful).await.unwrap());
    assert!(fixture.store.refuted().await.unwrap().is_empty());
    fixture.store.doubt(&doubtful).await.unwrap();
    let store = fixture.reopen_without_index().await;
    let refuted = store.refuted().await.unwrap();
    let withdrawn = refuted.withdrawn();
    assert!(withdrawn.has(&doubtful) && withdrawn.has_any(&[doubtful.own_name()]));
    assert!(withdrawn.has_of(&doubtful.input_key) && withdrawn.len() == 1);
    assert!(store.is_void(&doubtful).await.unwrap());
    assert_eq!(by_commit(&store, 1).await, []);
    // To the byte, and yet another one: what is taken away is the one that is meant.
    let mut again = draft(1, &[]);
    again.artifacts =
        ["image", "closure"].map(|it| (it.to_owned(), fixture.file(it, b"same"))).into();
    let again = |seconds| BuildDraft { seconds, ..again.clone() };
    store.withdraw_build(&doubtful).await.unwrap();
    let one = store.add_build(again(1.0)).await.unwrap();
    store.doubt(&one).await.unwrap();
    store.withdraw_build(&one).await.unwrap();
    let two = store.add_build(again(2.0)).await.unwrap();
    store.withdraw_build(&one).await.unwrap();
    assert_eq!(by_commit(&store, 1).await, [two]);
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
    let (image, reads) =
        (fixture.file("image", b"of another configuration"), fixture.file("closure", b"closure 1"));
    let mut elsewhere = draft(3, &[("image", &image), (CLOSURE, &reads)]);
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
