//! What was proved of a build is not said of the one that takes its place, on the toy kernel.

use kiln_cache::manifest::Manifest;
use kiln_cache::{Query, Store};

use super::Edit;
use super::closures::forge;
use super::grounds::{auditor, is_alarm, is_right, next};
use super::stages::{HELPER, build, from_nothing};
use super::toy::{Toy, builder_of, watched};
use crate::closure::Closure;
use crate::{Obtained, Revision};

/// A toy kernel whose helper is compiled with the word that a file holds which its remark names; the
/// record of its command says nothing of that. And its base, which is built.
async fn worded() -> Option<Toy> {
    let (toy, first) = watched().await?;
    let word = "-DWORD=$$(cat include/word$$(sed -n 's,.*// ,,p' $<)) -MMD";
    let makefile = toy.fixture.read(&first, "Makefile");
    let makefile = makefile.replace("gcc $(flags) -MMD", &format!("gcc $(flags) {word}"));
    let edits = [
        Edit::File("Makefile", &makefile),
        Edit::File("include/word", "0\n"),
        Edit::File("include/word1", "1\n"),
        Edit::File("include/word2", "2\n"),
        Edit::File(HELPER, &helper(1)),
    ];
    let base = toy.edit("base", &edits);
    assert!(build(&builder_of(&toy), &toy, &base).await.manifest.is_built());
    Some(toy)
}

fn helper(word: u32) -> String {
    format!("int helper(int x) {{ return x + WORD; }} // {word}\n")
}

#[tokio::test]
async fn a_proof_dies_with_the_build_that_it_was_made_from() {
    let Some(toy) = worded().await else { return };
    let builder = builder_of(&toy);
    let wrong = toy.edit("wrong", &[Edit::File(HELPER, &helper(2))]);
    assert_eq!(build(&builder, &toy, &wrong).await.obtained, Obtained::Tokens);
    let upon = next(&toy, &wrong);
    let stale = build(&builder, &toy, &upon).await;
    assert_eq!(stale.obtained, Obtained::Compiled);
    // The file that the helper is really made of has not been read by any of them.
    let proved = toy.edit("proved", &[Edit::File("include/word2", "5\n")]);
    let found = build(&builder, &toy, &proved).await;
    assert_eq!((found.obtained, &found.manifest), (Obtained::Closure, &stale.manifest));
    let main = toy.fixture.read(&proved, "kernel/main.c").replace("1 + where", "2 + where");
    let audited = toy.edit("audited", &[Edit::File("kernel/main.c", &main)]);
    assert!(is_alarm(&build(&auditor(&toy), &toy, &audited).await));

    // What was stale is made anew. What its closure proved was proved of it alone.
    assert!(is_right(&toy, &upon).await);
    let anew = builder.known(&toy.request(&upon, "")).await.unwrap().unwrap();
    assert_ne!(anew.image(), stale.manifest.image());
    let builder = builder_of(&toy);
    let request = toy.request(&proved, "");
    let key = builder.request_key(&request).unwrap();
    assert!(builder.known_of(&[key]).await.unwrap().is_empty());
    assert_eq!(builder.known(&request).await.unwrap(), None);
    let query = Query::parse(&proved.commit).unwrap();
    assert_eq!(toy.store.find_builds(&query).await.unwrap(), []);
    assert!(is_right(&toy, &proved).await);
    assert_eq!(toy.store.find_builds(&query).await.unwrap().len(), 1);
}

fn changed(toy: &Toy, by: u32) -> Revision {
    let text = format!("int helper(int x) {{ return x + {by}; }}\n");
    toy.edit("changed", &[Edit::File(HELPER, &text)])
}

/// A build of a revision that is of another kernel, as of a broken tracer; and the store by way of an
/// index that knows it.
struct Forged {
    toy: Toy,
    revision: Revision,
    forged: Manifest,
    elsewhere: Store,
}

async fn forged() -> Option<Forged> {
    let (toy, first) = watched().await?;
    let built = build(&builder_of(&toy), &toy, &first).await;
    let revision = changed(&toy, 9);
    let forged = forge(&toy, &built, &revision, &Closure::default()).await;
    let elsewhere = toy.by_another_database().await;
    Some(Forged { toy, revision, forged, elsewhere })
}

#[tokio::test]
async fn an_index_that_has_not_heard_of_a_successor_proves_nothing_by_what_was_there_before() {
    let Some(Forged { toy, revision, forged, elsewhere }) = forged().await else { return };
    toy.store.doubt(&forged).await.unwrap();
    toy.store.withdraw_build(&forged).await.unwrap();
    let right = build(&builder_of(&toy), &toy, &revision).await;
    assert_eq!(right.obtained, Obtained::Compiled);

    let other = toy.builder_over(&elsewhere, "elsewhere").with_pairs(1, 1);
    let key = other.request_key(&toy.request(&revision, "")).unwrap();
    let rows = elsewhere.builds_by_requests(&[key]).await.unwrap();
    assert_eq!(rows[&key].image, forged.image(), "it has not heard of it");
    let last = changed(&toy, 3);
    let proved = build(&other, &toy, &last).await;
    assert_eq!(proved.obtained, Obtained::Compiled);
    assert_eq!(proved.manifest.image(), from_nothing(&toy, &last, "").await.manifest.image());
}

#[tokio::test]
async fn nor_does_it_say_that_a_revision_is_what_was_there_before() {
    let Some(Forged { toy, revision, forged, elsewhere }) = forged().await else { return };
    toy.store.doubt(&forged).await.unwrap();
    let other = || toy.builder_over(&elsewhere, "other");
    let key = other().request_key(&toy.request(&revision, "")).unwrap();
    assert!(other().known_of(&[key]).await.unwrap().is_empty(), "it is still there, and in doubt");
    toy.store.withdraw_build(&forged).await.unwrap();
    assert!(other().known_of(&[key]).await.unwrap().is_empty(), "it is gone");
    let right = build(&builder_of(&toy), &toy, &revision).await;
    let known = other().known_of(&[key]).await.unwrap();
    assert_eq!(known[&key].image, right.manifest.image());
    assert_ne!(known[&key].image, forged.image());
}
