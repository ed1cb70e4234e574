//! Builds that an audit left in doubt, and what was made upon their objects: nobody is given any of it,
//! whatever was made between, whoever was at it at that time, and wherever the audit was cut off.

use std::path::{Path, PathBuf};

use kiln_cache::transfer::Selection;
use kiln_cache::{Mark, Query};

use super::Edit;
use super::believed::{another_store, client, interrupted};
use super::doubts::{DOCS, plant};
use super::grounds::{auditor, is_alarm, is_right};
use super::stages::{build, from_nothing};
use super::toy::{Toy, builder_of, watched};
use crate::{Obtained, Revision};

/// A toy kernel, its first commit, and one that is compiled upon it, with an object in it that no sources
/// give.
async fn stale() -> Option<(Toy, Revision, Revision)> {
    let (toy, first) = watched().await?;
    build(&builder_of(&toy), &toy, &first).await;
    plant(&toy.only_pair());
    let stale = code(&toy, &first, 1);
    build(&builder_of(&toy), &toy, &stale).await;
    assert!(!is_right_so_far(&toy, &stale).await, "make overlooked it");
    Some((toy, first, stale))
}

/// A commit that changes code, which the object that is not right has no part in.
fn code(toy: &Toy, first: &Revision, number: u32) -> Revision {
    let main = toy.fixture.read(first, "kernel/main.c");
    let main = main.replace("(where", &format!("({number} + where"));
    toy.edit("code", &[Edit::File("kernel/main.c", &main)])
}

/// What a build's closure proves to be that build.
fn docs_upon(toy: &Toy, revision: &Revision) -> Revision {
    let parent = git2::Oid::from_str(&revision.commit).unwrap();
    toy.fixture.commit_on("docs", &[parent], &[Edit::File(DOCS, "other\n")])
}

/// Whether the store knows a revision as what it is.
async fn is_right_so_far(toy: &Toy, revision: &Revision) -> bool {
    let known = builder_of(toy).known(&toy.request(revision, "")).await.unwrap().unwrap();
    known.image() == from_nothing(toy, revision, "").await.manifest.image()
}

/// Whether anybody is given a build of a revision.
async fn is_known(toy: &Toy, revision: &Revision) -> bool {
    let builder = builder_of(toy);
    let request = toy.request(revision, "");
    let known = builder.known(&request).await.unwrap().is_some();
    let key = builder.request_key(&request).unwrap();
    assert_eq!(builder.known_of(&[key]).await.unwrap().contains_key(&key), known);
    let query = Query::parse(&revision.commit).unwrap();
    assert_eq!(toy.store.find_build(&query).await.unwrap().is_some(), known);
    known
}

#[tokio::test]
async fn what_was_made_upon_a_doubted_build_is_in_doubt_whatever_was_made_between() {
    let Some((toy, first, stale)) = stale().await else { return };
    let (builder, doubter) = (builder_of(&toy), builder_of(&toy).with_proofs(false));
    let known = code(&toy, &first, 2);
    // By somebody else, in other words.
    let words = toy.request(&known, "CONFIG_BASE=y\n");
    toy.builder_in("elsewhere").build(&words).await.unwrap();
    let broken = toy.edit("broken", &[Edit::File("kernel/main.c", "int start(\n")]);
    assert!(!build(&builder, &toy, &broken).await.manifest.is_built());
    let after_broken = code(&toy, &first, 3);
    build(&builder, &toy, &after_broken).await;
    assert_eq!(build(&builder, &toy, &known).await.obtained, Obtained::Input, "once configured");
    let after_known = code(&toy, &first, 4);
    build(&builder, &toy, &after_known).await;
    let without_stages = code(&toy, &first, 5);
    build(&doubter, &toy, &without_stages).await;
    let upon = [&after_broken, &after_known, &without_stages];
    for revision in upon {
        assert!(!is_right_so_far(&toy, revision).await, "it has that object");
    }

    let docs = docs_upon(&toy, &stale);
    assert!(is_alarm(&build(&auditor(&toy), &toy, &docs).await));
    for revision in upon.into_iter().chain([&stale, &broken]) {
        assert!(!is_known(&toy, revision).await, "{revision:?}");
    }
    assert!(is_known(&toy, &first).await && is_known(&toy, &docs).await);
    for revision in upon.into_iter().chain([&stale, &docs]) {
        assert!(is_right(&toy, revision).await, "{revision:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_upon_a_build_that_is_doubted_meanwhile_is_made_again() {
    let Some((toy, first, stale)) = stale().await else { return };
    let (docs, upon) = (docs_upon(&toy, &stale), code(&toy, &first, 2));
    let request = toy.request(&docs, "");
    let auditor = toy.builder_in("elsewhere").with_pairs(1, 4).with_audit(1.0);
    // When it is compiled, and nobody can know of it yet.
    let audit = async move { assert!(is_alarm(&auditor.build(&request).await.unwrap())) };
    let built = build(&interrupted(&toy, "work", audit), &toy, &upon).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert!(built.notes.iter().any(|note| note.contains("refuted")), "{:?}", built.notes);
    assert!(is_right_so_far(&toy, &upon).await);
    assert!(is_right(&toy, &stale).await);
}

#[tokio::test]
async fn an_audit_that_is_cut_off_leaves_nothing_that_is_in_doubt_to_be_given() {
    // When the first is said to be in doubt; and when all that it read is, too, and all of it lies there.
    for mark in [Mark::Withdrawn, Mark::Revoked] {
        let Some((toy, first, stale)) = stale().await else { return };
        let upon = code(&toy, &first, 2);
        build(&builder_of(&toy), &toy, &upon).await;
        let (docs, auditor) = (docs_upon(&toy, &stale), auditor(&toy));
        let known = builder_of(&toy).known(&toy.request(&stale, "")).await.unwrap().unwrap();
        {
            let request = toy.request(&docs, "");
            let build = auditor.build(&request);
            tokio::pin!(build);
            while toy.store.marks(mark).await.unwrap().is_empty() {
                tokio::select! {
                    biased;
                    ended = &mut build => panic!("it ended: {ended:?}"),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        assert_eq!(toy.store.peek_input(&known.input_key).await.unwrap(), Some(known));
        for revision in [&stale, &upon] {
            assert!(!is_known(&toy, revision).await, "{mark:?}: {revision:?}");
        }
        for revision in [&docs, &stale, &upon] {
            assert!(is_right(&toy, revision).await, "{mark:?}: {revision:?}");
        }
    }
}

/// How many builds lie in a store, whatever its index knows.
fn manifests(toy: &Toy) -> usize {
    let list = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    let is_one = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
    let count = |folder: PathBuf| list(&folder).filter(is_one).count();
    list(&toy.work.path().join("store/builds")).map(count).sum()
}

/// A toy kernel, its first commit, and one that is compiled upon it with an object in it that no sources
/// give, by a process that is killed right after it has stored that.
async fn killed() -> Option<(Toy, Revision, Revision)> {
    let (toy, first) = watched().await?;
    build(&builder_of(&toy), &toy, &first).await;
    plant(&toy.only_pair());
    let stale = code(&toy, &first, 1);
    {
        let (builder, request) = (builder_of(&toy), toy.request(&stale, ""));
        let build = builder.build(&request);
        tokio::pin!(build);
        while manifests(&toy) == 1 {
            tokio::select! {
                biased;
                ended = &mut build => panic!("it ended: {ended:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    Some((toy, first, stale))
}

#[tokio::test]
async fn a_pair_does_not_forget_a_build_that_was_withdrawn_before_the_pair_knew_its_name() {
    let Some((toy, first, stale)) = killed().await else { return };
    // By another process, a moment ago: nobody here has heard of it.
    let elsewhere = toy.by_another_database().await;
    let known = elsewhere.find_build(&Query::parse(&stale.commit).unwrap()).await.unwrap().unwrap();
    assert!(!toy.store.is_void(&known).await.unwrap());
    elsewhere.doubt(&known).await.unwrap();
    elsewhere.withdraw_build(&known).await.unwrap();
    for revision in [&code(&toy, &first, 2), &stale] {
        assert!(is_right(&toy, revision).await, "{revision:?}");
    }
}

#[tokio::test]
async fn a_pair_whose_process_was_killed_while_it_stored_a_build_remembers_that_build() {
    let Some((toy, first, stale)) = killed().await else { return };
    let upon = code(&toy, &first, 2);
    build(&builder_of(&toy), &toy, &upon).await;
    assert!(!is_right_so_far(&toy, &upon).await && !is_right_so_far(&toy, &stale).await);
    let docs = docs_upon(&toy, &stale);
    assert!(is_alarm(&build(&auditor(&toy), &toy, &docs).await));
    for revision in [&stale, &upon] {
        assert!(!is_known(&toy, revision).await, "{revision:?}");
        assert!(is_right(&toy, revision).await, "{revision:?}");
    }
}

#[tokio::test]
async fn what_a_store_has_in_doubt_is_not_built_upon_by_way_of_another() {
    let Some((toy, first, stale)) = stale().await else { return };
    assert!(is_alarm(&build(&auditor(&toy), &toy, &docs_upon(&toy, &stale)).await));
    let other = another_store(&toy).await;
    let upon = code(&toy, &first, 2);
    let built = build(&toy.builder_over(&other, "work").with_pairs(1, 4), &toy, &upon).await;
    let truth = from_nothing(&toy, &upon, "").await;
    assert_eq!(built.manifest.image(), truth.manifest.image());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_gave_another_kernel_than_the_store_has_are_not_built_upon() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    plant(&toy.only_pair());
    let (stale, upon) = (code(&toy, &first, 1), code(&toy, &first, 2));
    let request = toy.request(&stale, "");
    let other = toy.builder_in("elsewhere").with_pairs(1, 4);
    let first_there =
        async move { assert!(other.build(&request).await.unwrap().manifest.is_built()) };
    let built = build(&interrupted(&toy, "work", first_there), &toy, &stale).await;
    assert!(built.notes.iter().any(|note| note.contains("made wrong")), "{:?}", built.notes);
    assert!(is_right(&toy, &stale).await && is_right(&toy, &upon).await);
}

#[tokio::test]
async fn what_was_made_upon_a_build_that_is_doubted_here_is_neither_fetched_nor_imported() {
    let Some((toy, first, stale)) = stale().await else { return };
    let upon = code(&toy, &first, 2);
    build(&builder_of(&toy), &toy, &upon).await;
    let here = another_store(&toy).await;
    let mut fetched = Vec::new();
    for revision in [&stale, &upon] {
        let built = build(&client(&toy, &here).await, &toy, revision).await;
        assert_eq!(built.obtained, Obtained::Input);
        fetched.push(built.manifest);
    }
    // The other Kiln does not hear of it.
    let docs = docs_upon(&toy, &stale);
    let found = build(&client(&toy, &here).await.with_audit(1.0), &toy, &docs).await;
    assert!(is_alarm(&found), "{:?}", found.notes);
    let report = toy.store.copy_to(&here, &Selection::default(), &|_| ()).await.unwrap();
    assert_eq!((report.builds_in_doubt, report.problems.len()), (2, 2), "{report:?}");
    for build in &fetched {
        assert_eq!(here.peek_input(&build.input_key).await.unwrap(), None);
    }
    for revision in [&stale, &upon] {
        let built = build(&client(&toy, &here).await, &toy, revision).await;
        assert_ne!(built.obtained, Obtained::Input, "it was neither fetched nor known");
        let truth = from_nothing(&toy, revision, "").await;
        assert_eq!(built.manifest.image(), truth.manifest.image());
    }
}
