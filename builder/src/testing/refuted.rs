//! Proofs that are refuted by builds which nobody made to audit them, and builds that such a proof refutes,
//! on the toy kernel.

use std::sync::Arc;

use kiln_cache::{InputKey, Manifest, Mark};

use super::Edit;
use super::closures::forge;
use super::doubts::{DOCS, plant};
use super::grounds::{is_right, misled};
use super::stages::{HELPER, build};
use super::toy::{Toy, builder_of, watched};
use crate::audit::audit_report;
use crate::closure::Closure;
use crate::stages::Stage;
use crate::{Contrary, Obtained, Revision};

/// A toy kernel, a build whose closure claims that it read nothing, as of a broken tracer, and a commit
/// with a build of its own, which therefore is not what that closure proves it to be.
async fn contrary() -> Option<(Toy, Manifest, Revision, Manifest)> {
    let (toy, first) = watched().await?;
    let built = build(&builder_of(&toy), &toy, &first).await;
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let forged = forge(&toy, &built, &docs, &Closure::default()).await;
    let changed = changed(&toy, 9);
    let own = build(&builder_of(&toy).with_proofs(false), &toy, &changed).await;
    assert_eq!(own.obtained, Obtained::Compiled);
    Some((toy, forged, changed, own.manifest))
}

fn changed(toy: &Toy, by: u32) -> Revision {
    let text = format!("int helper(int x) {{ return x + {by}; }}\n");
    toy.edit("changed", &[Edit::File(HELPER, &text)])
}

async fn is_stored(toy: &Toy, key: &InputKey) -> bool {
    toy.store.build_by_input(key).await.unwrap().is_some()
}

#[tokio::test]
async fn a_build_that_is_not_what_a_closure_proves_is_an_incident() {
    let Some((toy, forged, changed_so, own)) = contrary().await else { return };
    let builder = builder_of(&toy);
    let (request, own, forged) = (toy.request(&changed_so, ""), own.input_key, forged.input_key);
    // What read the file that differs proves nothing of it, and a build is what it is.
    let first = toy.fixture.repository().resolve("HEAD~2").unwrap();
    let honest = builder.known(&toy.request(&first, "")).await.unwrap().unwrap().input_key;
    assert!(!builder.refute(&request, own, honest).await.unwrap());
    assert!(!builder.refute(&request, own, own).await.unwrap());
    assert_eq!(audit_report(&toy.store).await.unwrap().mismatches, 0);

    assert!(builder.refute(&request, own, forged).await.unwrap());
    assert!(builder.refute(&request, own, forged).await.unwrap(), "it is gone");
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.mismatches), (1, 1));
    let incident = &report.incidents[0];
    assert_eq!((&incident.commit, incident.compiled), (&changed_so.commit, Some(own)));
    assert_eq!((incident.proved_by, &*incident.kinds), (forged, &["c".to_owned()][..]));
    assert!(incident.from_nothing && report.stages[&Stage::Closure].mismatches == 1);
    // A compile from nothing says which is wrong, and nobody else believes that closure.
    assert!(is_stored(&toy, &own).await && !is_stored(&toy, &forged).await);
    assert!(is_stored(&toy, &honest).await && is_right(&toy, &changed_so).await);
    let again = build(&builder_of(&toy), &toy, &changed(&toy, 3)).await;
    assert_eq!(again.obtained, Obtained::Compiled);
}

#[tokio::test]
async fn a_build_that_make_made_wrong_takes_no_proof_away() {
    let Some((toy, first)) = watched().await else { return };
    let honest = build(&builder_of(&toy), &toy, &first).await;
    plant(&toy.only_pair());
    let docs = toy.edit("docs", &[Edit::File(DOCS, "other\n")]);
    let stale = build(&builder_of(&toy).with_proofs(false), &toy, &docs).await;
    assert_ne!(stale.manifest.image(), honest.manifest.image(), "make overlooked it");
    let (own, by) = (stale.manifest.input_key, honest.manifest.input_key);
    let request = toy.request(&docs, "");
    assert!(builder_of(&toy).refute(&request, own, by).await.unwrap());

    assert_eq!(toy.store.peek_input(&by).await.unwrap(), Some(honest.manifest));
    assert!(toy.store.marks(Mark::Revoked).await.unwrap().is_empty(), "the proof was right");
    let known = toy.store.peek_input(&own).await.unwrap();
    assert_ne!(known, Some(stale.manifest), "it is gone");
    assert!(is_right(&toy, &docs).await && is_right(&toy, &changed(&toy, 4)).await);
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.mismatches, report.overlooked), (1, 0, 1));
}

#[tokio::test]
async fn a_build_that_a_stage_answered_wrongly_takes_that_stage_away_and_no_proof() {
    let Some((toy, wrong)) = misled().await else { return };
    let own = build(&builder_of(&toy), &toy, &wrong).await;
    assert_eq!(own.obtained, Obtained::Tokens);
    let docs = toy.edit("docs", &[Edit::File(DOCS, "other\n")]);
    let honest = toy.builder_in("elsewhere").with_proofs(false);
    let honest = build(&honest, &toy, &docs).await.manifest;
    let (request, by) = (toy.request(&wrong, ""), honest.input_key);
    assert!(builder_of(&toy).refute(&request, own.manifest.input_key, by).await.unwrap());

    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.mismatches, report.stages[&Stage::Tokens].mismatches), (1, 1));
    assert_eq!(toy.store.peek_input(&by).await.unwrap(), Some(honest));
    assert!(is_right(&toy, &wrong).await && is_right(&toy, &docs).await);
}

#[tokio::test]
async fn nothing_is_revoked_while_nobody_can_tell_which_is_wrong() {
    let Some((toy, forged, changed, own)) = contrary().await else { return };
    let pool = toy.only_pair().parent().unwrap().to_path_buf();
    let audits = pool.with_file_name(format!("{}-audit", pool.file_name().unwrap().display()));
    std::fs::write(&audits, "").unwrap();
    let (request, own, forged) = (toy.request(&changed, ""), own.input_key, forged.input_key);
    assert!(!builder_of(&toy).refute(&request, own, forged).await.unwrap());
    assert!(is_stored(&toy, &own).await && is_stored(&toy, &forged).await);
    assert_eq!(audit_report(&toy.store).await.unwrap().mismatches, 0);
    std::fs::remove_file(&audits).unwrap();
    assert!(builder_of(&toy).refute(&request, own, forged).await.unwrap());
    assert!(is_stored(&toy, &own).await && !is_stored(&toy, &forged).await);
}

#[tokio::test]
async fn builds_that_speak_against_each_other_are_named_and_divide_no_history() {
    let Some((toy, forged, changed, own)) = contrary().await else { return };
    let repository = toy.fixture.repository();
    let history = Arc::new(repository.history("HEAD~2", &changed.commit).unwrap());
    let (builder, request) = (builder_of(&toy), toy.request(&changed, ""));
    let classes = async || {
        let found = builder.classes(&history, &request).await.unwrap();
        let commits: Vec<_> = found.classes.iter().map(|class| class.commits.clone()).collect();
        (found, commits)
    };
    toy.events.0.lock().unwrap().clear();
    for _ in 0..2 {
        let (found, commits) = classes().await;
        let against = Contrary { commit: 1, own: own.input_key, by: forged.input_key };
        assert_eq!(found.contrary, [against]);
        assert_eq!((found.builds, commits), (1, vec![vec![0], vec![1]]));
        assert_eq!(found.classes[1].build, None, "its own build may be wrong");
    }
    assert!(toy.events.0.lock().unwrap().is_empty(), "nothing was compiled");
    assert!(is_stored(&toy, &own.input_key).await && is_stored(&toy, &forged.input_key).await);

    let against = classes().await.0.contrary;
    assert!(builder.settle_classes(&history, &request, &against).await.unwrap());
    assert_eq!(audit_report(&toy.store).await.unwrap().mismatches, 1);
    assert!(is_stored(&toy, &own.input_key).await && !is_stored(&toy, &forged.input_key).await);
    assert_eq!(classes().await.0.contrary, []);
}
