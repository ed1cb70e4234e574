//! Proofs that are refuted by builds which nobody made to audit them, on the toy kernel.

use std::sync::Arc;

use kiln_cache::{InputKey, Manifest};

use super::Edit;
use super::closures::forge;
use super::stages::{HELPER, build};
use super::toy::{Toy, builder_of, watched};
use crate::audit::audit_report;
use crate::closure::Closure;
use crate::{Obtained, Revision};

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
    // Nobody can tell which is wrong, and nobody else believes that closure.
    assert!(!is_stored(&toy, &own).await && !is_stored(&toy, &forged).await);
    assert!(is_stored(&toy, &honest).await);
    let again = build(&builder_of(&toy), &toy, &changed(&toy, 3)).await;
    assert_eq!(again.obtained, Obtained::Compiled);
}

#[tokio::test]
async fn classes_that_a_build_speaks_against_are_none() {
    let Some((toy, forged, changed, own)) = contrary().await else { return };
    let repository = toy.fixture.repository();
    let history = Arc::new(repository.history("HEAD~2", &changed.commit).unwrap());
    let request = toy.request(&changed, "");
    let found = builder_of(&toy).classes(&history, &request).await.unwrap();
    let commits: Vec<_> = found.classes.iter().map(|class| class.commits.clone()).collect();
    assert_eq!((found.builds, commits), (1, vec![vec![0], vec![1]]));
    assert_eq!(audit_report(&toy.store).await.unwrap().mismatches, 1);
    for build in [forged, own] {
        assert!(!is_stored(&toy, &build.input_key).await);
    }
}
