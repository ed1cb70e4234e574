//! What rests on a stage that turns out to be wrong: on a toy kernel with an object that depends on
//! remarks, behind the back of the record of its command, so that tokens don't decide.

use kiln_cache::{InputKey, Mark};

use super::Edit;
use super::stages::{HELPER, TEXT, because, build, from_nothing};
use super::toy::{Toy, builder_of, watched};
use crate::audit::audit_report;
use crate::stages::Stage;
use crate::{Builder, Built, Foreseen, Obtained, Revision};

/// A toy kernel, its base, which is built, and a commit of which T2 says wrongly that it is the same.
pub(super) async fn misled() -> Option<(Toy, Revision)> {
    let (toy, first) = watched().await?;
    let makefile = toy.fixture.read(&first, "Makefile");
    let makefile =
        makefile.replace("gcc $(flags) -MMD", "gcc $(flags) -DREMARKS=$$(grep -c remark $<) -MMD");
    let edits = [Edit::File("Makefile", &makefile), Edit::File(HELPER, &helper("none"))];
    let base = toy.edit("base", &edits);
    build(&builder_of(&toy), &toy, &base).await;
    let wrong = toy.edit("wrong", &[Edit::File(HELPER, &helper("a remark"))]);
    Some((toy, wrong))
}

fn helper(remarks: &str) -> String {
    format!("int helper(int x) {{ return x + REMARKS; }} // {remarks}\n")
}

/// A commit that changes another file.
pub(super) fn next(toy: &Toy, before: &Revision) -> Revision {
    let main =
        toy.fixture.read(before, "kernel/main.c").replace("helper(where", "helper(1 + where");
    toy.edit("next", &[Edit::File("kernel/main.c", &main)])
}

pub(super) fn auditor(toy: &Toy) -> Builder {
    builder_of(toy).with_audit(1.0)
}

pub(super) fn is_alarm(built: &Built) -> bool {
    built.notes.iter().any(|note| note.contains("AUDIT"))
}

pub(super) async fn is_right(toy: &Toy, revision: &Revision) -> bool {
    let built = build(&builder_of(toy), toy, revision).await;
    built.manifest.image() == from_nothing(toy, revision, "").await.manifest.image()
}

#[tokio::test]
async fn a_refuted_stage_is_revoked_and_what_rests_on_it_withdrawn() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    assert_eq!(believed.obtained, Obtained::Tokens);
    let audited = toy.edit("again", &[Edit::File(HELPER, &helper("one remark"))]);
    let found = build(&auditor(&toy), &toy, &audited).await;
    assert_eq!(found.obtained, Obtained::Compiled);
    assert!(is_alarm(&found) && found.refuted, "{:?}", found.notes);
    assert_ne!(found.manifest.image(), believed.manifest.image());
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.mismatches, report.stages[&Stage::Tokens].mismatches), (1, 1));
    assert_eq!(report.incidents[0].compiled, Some(found.manifest.input_key));
    // Or what it was held against is wrong: that goes, too, and what it read proves nothing any more.
    let incident = &report.incidents[0];
    let marks = toy.store.marks(Mark::Revoked).await.unwrap();
    assert!(marks.contains(&format!("{}-closure", incident.closure)), "{marks:?}");
    assert!(toy.store.build_by_input(&incident.proved_by).await.unwrap().is_none());
    // What was refuted is gone, and the answer is what was compiled.
    let again = build(&builder_of(&toy), &toy, &audited).await;
    assert_eq!(again.manifest, found.manifest);
    assert!(is_right(&toy, &wrong).await);
}

#[tokio::test]
async fn objects_that_rest_on_a_refuted_stage_are_made_anew() {
    let Some((toy, wrong)) = misled().await else { return };
    assert!(is_alarm(&build(&auditor(&toy), &toy, &wrong).await));
    let next = next(&toy, &wrong);
    let seen = builder_of(&toy).foresee(&toy.request(&next, "")).await.unwrap();
    assert_eq!((seen.stage, seen.from_nothing), (Foreseen::Compiled, true));
    assert!(is_right(&toy, &next).await);
}

#[tokio::test]
async fn what_was_compiled_upon_a_wrong_answer_is_audited() {
    let Some((toy, wrong)) = misled().await else { return };
    build(&builder_of(&toy), &toy, &wrong).await;
    let next = next(&toy, &wrong);
    let found = build(&auditor(&toy), &toy, &next).await;
    assert!(is_alarm(&found), "{:?}", found.notes);
    assert!(is_right(&toy, &next).await && is_right(&toy, &wrong).await);
}

#[tokio::test]
async fn what_was_compiled_upon_a_wrong_answer_goes_with_it() {
    let Some((toy, wrong)) = misled().await else { return };
    build(&builder_of(&toy), &toy, &wrong).await;
    let next = next(&toy, &wrong);
    let upon = build(&builder_of(&toy), &toy, &next).await;
    assert_eq!((upon.obtained, upon.provenance.unwrap().rests_on.len()), (Obtained::Compiled, 1));
    let again = toy.edit("again", &[Edit::File(HELPER, &helper("one remark"))]);
    assert!(is_alarm(&build(&auditor(&toy), &toy, &again).await));
    for revision in [&wrong, &next, &again] {
        assert!(is_right(&toy, revision).await, "{revision:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_process_died_before_it_was_stored_is_still_one() {
    let Some((toy, wrong)) = misled().await else { return };
    let request = toy.request(&wrong, "");
    let auditor = auditor(&toy);
    {
        let build = auditor.build(&request);
        tokio::pin!(build);
        loop {
            tokio::select! {
                biased;
                ended = &mut build => panic!("it ended: {ended:?}"),
                () = tokio::task::yield_now() => {}
            }
            let unaudited = toy.store.marks(Mark::Unaudited).await.unwrap();
            let Some(name) = unaudited.first() else { continue };
            let key = InputKey(name.parse().unwrap());
            assert!(toy.store.build_by_input(&key).await.unwrap().is_none());
            break;
        }
    }
    let unaudited = build(&builder_of(&toy), &toy, &wrong).await;
    assert!(toy.steps(&unaudited).await.is_empty(), "make had nothing to do");
    assert!(because(&unaudited).contains("rest on stage tokens"), "{:?}", unaudited.provenance);
    let found = auditor.build(&request).await.unwrap();
    assert!(is_alarm(&found), "{:?}", found.notes);
    assert!(is_right(&toy, &wrong).await);
}

#[tokio::test]
async fn a_wrong_answer_is_not_believed_wherever_it_lies() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let request = toy.request(&wrong, "");
    let builder = builder_of(&toy);
    let key = builder.request_key(&request).unwrap();
    assert!(builder.known(&request).await.unwrap().is_some());
    assert_eq!(builder.known_of(&[key]).await.unwrap().len(), 1);
    // An audit elsewhere, whose sweep has not seen this build.
    let closure = believed.provenance.unwrap().closure.unwrap();
    toy.store.mark(Mark::Revoked, &format!("{closure}-tokens")).await.unwrap();
    let builder = builder_of(&toy);
    assert_eq!(builder.known(&request).await.unwrap(), None);
    assert!(builder.known_of(&[key]).await.unwrap().is_empty());
    assert!(is_right(&toy, &wrong).await);
    let builder = builder_of(&toy);
    assert!(builder.known(&request).await.unwrap().is_some(), "what was compiled replaces it");
}

#[tokio::test]
async fn an_audit_that_can_not_be_made_takes_no_answer_away() {
    let Some((toy, wrong)) = misled().await else { return };
    // Nothing can be made there: a file is in the way of the folder.
    let pool = toy.only_pair().parent().unwrap().to_path_buf();
    let audits = pool.with_file_name(format!("{}-audit", pool.file_name().unwrap().display()));
    std::fs::write(&audits, "").unwrap();
    let built = build(&auditor(&toy), &toy, &wrong).await;
    assert_eq!((built.obtained, built.audit), (Obtained::Tokens, None));
    assert!(built.notes.iter().any(|note| note.contains("could not be made")), "{:?}", built.notes);
    std::fs::remove_file(&audits).unwrap();
    assert!(is_alarm(&build(&auditor(&toy), &toy, &wrong).await), "it is made up for");
}

#[tokio::test]
async fn what_is_compiled_again_and_the_same_is_no_trial_of_a_stage() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} // why"))]);
    assert_eq!(build(&builder_of(&toy), &toy, &remark).await.obtained, Obtained::Tokens);
    let upon = build(&auditor(&toy), &toy, &next(&toy, &remark)).await;
    assert_eq!(upon.obtained, Obtained::Compiled);
    assert!(upon.audit.is_some_and(|audit| audit.compiled_upon) && !upon.refuted);
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.compiled_upon, report.stages.len()), (0, 1, 0));
    assert!((report.upper_bound - 1.0).abs() < f64::EPSILON, "nothing was tried");
}
