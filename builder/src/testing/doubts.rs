//! What an audit that finds a mismatch leaves in doubt, and what it must not take for one; on toy
//! kernels of which something was overlooked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_cache::signature::SignatureKind;
use kiln_cache::{Digest, Mark};

use super::Edit;
use super::grounds::{auditor, is_alarm, is_right, misled, next};
use super::stages::{HELPER, build, from_nothing, map, scripted};
use super::toy::{Toy, builder_of, watched};
use crate::audit::{Audited, Claim, audit_report, is_from_nothing};
use crate::closure::{Closure, Paths};
use crate::observer::Stage as Step;
use crate::place::place;
use crate::stages::{Ground, Stage};
use crate::{BuildError, BuildEvent, Builder, Observer, Obtained, Revision};

pub(super) const DOCS: &str = "Documentation/a.rst";

/// The pair that only audits use.
fn audits_pair(toy: &Toy) -> PathBuf {
    let keys = std::fs::read_dir(toy.work.path().join("work/pool")).unwrap();
    let mut keys = keys.map(|key| key.unwrap().path());
    keys.find(|key| key.to_str().unwrap().ends_with("-audit")).unwrap().join("0")
}

/// Puts an object into a pair that no sources give, and that make takes for current.
pub(super) fn plant(pair: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("helper.c");
    std::fs::write(&source, "int helper(int x) { return x + 7; }\n").unwrap();
    let object = pair.join("objects/kernel/helper.o");
    let mut gcc = Command::new("gcc");
    gcc.args(["-Os", "-ffreestanding", "-fno-pic", "-c", "-o"]).arg(&object).arg(&source);
    assert!(gcc.status().unwrap().success());
}

/// A commit that no build reads anything of.
fn docs(toy: &Toy, text: &str) -> Revision {
    toy.edit("docs", &[Edit::File(DOCS, text)])
}

/// The same, whose audit goes on from the build that was audited before.
fn docs_upon(toy: &Toy) -> Revision {
    let is_upon = |docs: &Revision| {
        !is_from_nothing(&builder_of(toy).request_key(&toy.request(docs, "")).unwrap())
    };
    (0..).map(|number: u32| docs(toy, &number.to_string())).find(is_upon).unwrap()
}

async fn mismatches(toy: &Toy) -> u64 {
    audit_report(&toy.store).await.unwrap().mismatches
}

#[tokio::test]
async fn of_two_builds_that_are_not_the_same_both_are_in_doubt() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    plant(&toy.only_pair());
    let main = |text: &str| toy.fixture.read(&first, "kernel/main.c").replace("(where", text);
    let stale = toy.edit("stale", &[Edit::File("kernel/main.c", &main("(1 + where"))]);
    let upon = toy.edit("upon", &[Edit::File("kernel/main.c", &main("(2 + where"))]);
    for revision in [&stale, &upon] {
        let built = build(&builder_of(&toy), &toy, revision).await;
        let truth = from_nothing(&toy, revision, "").await;
        assert_ne!(built.manifest.image(), truth.manifest.image(), "make overlooked it");
    }
    // The one that was compiled first is what the other branch is proved to be.
    let parent = git2::Oid::from_str(&stale.commit).unwrap();
    let docs = toy.fixture.commit_on("docs", &[parent], &[Edit::File(DOCS, "other\n")]);
    let found = build(&auditor(&toy), &toy, &docs).await;
    assert!(is_alarm(&found), "{:?}", found.notes);
    assert_eq!(mismatches(&toy).await, 1);
    // What it was proved to be, what was compiled upon that, and what will be.
    for revision in [&docs, &stale, &upon, &next(&toy, &stale)] {
        assert!(is_right(&toy, revision).await, "{revision:?}");
    }
}

#[tokio::test]
async fn a_revoked_closure_does_not_say_what_make_may_overlook() {
    let Some((toy, first)) = watched().await else { return };
    let base = scripted(&toy, &first);
    let built = build(&builder_of(&toy), &toy, &base).await;
    // As of a tracer that missed what the script runs.
    let pair = toy.only_pair();
    let whole = std::fs::read(pair.join("closure")).unwrap();
    let closure = Closure::decode(&whole).unwrap();
    let read = closure.read.iter().filter(|path| *path != b"scripts/inner");
    let lacking = Closure { read: Paths::new(read), ..closure }.encode();
    std::fs::write(pair.join("closure"), &lacking).unwrap();
    let [whole, lacking] = [whole, lacking].map(|bytes| Digest::of(&bytes).to_string());
    let record = std::fs::read_to_string(pair.join("pair.json")).unwrap();
    assert!(record.contains(&whole), "{record}");
    std::fs::write(pair.join("pair.json"), record.replace(&whole, &lacking)).unwrap();
    // What an audit would have found.
    toy.store.mark(Mark::Revoked, &format!("{lacking}-closure")).await.unwrap();
    let inner = toy.edit("inner", &[Edit::File("scripts/inner", "nm -n \"$1\"\n")]);
    let seen = builder_of(&toy).foresee(&toy.request(&inner, "")).await.unwrap();
    assert!(seen.from_nothing, "{seen:?}");
    let after = build(&builder_of(&toy), &toy, &inner).await;
    assert_ne!(map(&after), map(&built));
    assert_eq!(map(&after), map(&from_nothing(&toy, &inner, "").await));
}

/// A kernel with a header that a script makes of another, of which make knows nothing.
fn generating(toy: &Toy, first: &Revision) -> Revision {
    let makefile = toy.fixture.read(first, "Makefile");
    let makefile =
        makefile.replace("include/config.h $(KCFLAGS)", "include/config.h -include $(O)/gen.h");
    let rule = "$(O)/gen.h:\n\t@sed 's/^/#define /' include/words.h > $@\n$(objects): $(O)/gen.h\n";
    toy.edit(
        "generating",
        &[
            Edit::File("Makefile", &(makefile + rule)),
            Edit::File("include/words.h", "WORD 1\n"),
            Edit::File(HELPER, "int helper(int x) { return x + WORD; }\n"),
        ],
    )
}

#[tokio::test]
async fn what_a_script_read_is_known_though_the_last_build_was_not_stored() {
    let Some((toy, first)) = watched().await else { return };
    let base = generating(&toy, &first);
    assert!(build(&builder_of(&toy), &toy, &base).await.manifest.is_built());
    let broken = toy.edit("broken", &[Edit::File(HELPER, "int helper(int x) { return y; }\n")]);
    assert!(!build(&builder_of(&toy), &toy, &broken).await.manifest.is_built());
    let fine = "int helper(int x) { return WORD - x; }\n";
    let edits = [Edit::File(HELPER, fine), Edit::File("include/words.h", "WORD 2\n")];
    let fixed = toy.edit("fixed", &edits);
    assert!(is_right(&toy, &fixed).await, "after one that does not build");
    // Asked for in other words: configured, and then known.
    let words = toy.request(&fixed, "# by hand\nCONFIG_BASE=y\n");
    assert_eq!(builder_of(&toy).build(&words).await.unwrap().obtained, Obtained::Input);
    let more = toy.edit("more", &[Edit::File("include/words.h", "WORD 3\n")]);
    assert!(is_right(&toy, &more).await, "after one that was known");
    // What has a record is left to make.
    let code = toy.edit("code", &[Edit::File(HELPER, "int helper(int x) { return WORD * x; }\n")]);
    let built = build(&builder_of(&toy), &toy, &code).await;
    assert_eq!(toy.steps(&built).await, ["CC kernel/helper.o", "LD vmlinux"]);
}

#[tokio::test]
async fn what_objects_were_made_from_that_are_gone_is_not_said_of_others() {
    let Some((toy, first)) = watched().await else { return };
    // It is recorded who reads the header.
    let including = [
        Edit::File("include/plain.h", "#define PLAIN 1\n"),
        Edit::File(HELPER, "#include <plain.h>\nint helper(int x) { return x + PLAIN; }\n"),
    ];
    let base = toy.edit("base", &including);
    build(&builder_of(&toy), &toy, &base).await;
    // Now a script reads it, of which make knows nothing; and what would record that fails.
    let makefile = toy
        .fixture
        .read(&first, "Makefile")
        .replace("include/config.h $(KCFLAGS)", "include/config.h -include $(O)/gen.h $(KCFLAGS)");
    let rule = "$(O)/gen.h:\n\t@cp include/plain.h $@\n$(objects): $(O)/gen.h\n";
    let main = toy.fixture.read(&first, "kernel/main.c");
    let broken = toy.edit(
        "broken",
        &[
            Edit::File("Makefile", &(makefile + rule)),
            Edit::File(HELPER, "int helper(int x) { return x + PLAIN; }\n"),
            Edit::File("kernel/main.c", &format!("{main}int broken(\n")),
        ],
    );
    assert!(!build(&builder_of(&toy), &toy, &broken).await.manifest.is_built());
    let edits =
        [Edit::File("include/plain.h", "#define PLAIN 2\n"), Edit::File("kernel/main.c", &main)];
    let fixed = toy.edit("fixed", &edits);
    assert!(is_right(&toy, &fixed).await, "what the script made is stale");
}

#[tokio::test]
async fn an_audit_knows_what_a_script_read_for_the_one_before() {
    let Some((toy, first)) = watched().await else { return };
    let base = generating(&toy, &first);
    build(&builder_of(&toy), &toy, &base).await;
    assert!(build(&auditor(&toy), &toy, &docs(&toy, "one\n")).await.audit.is_some());
    let words = toy.edit("words", &[Edit::File("include/words.h", "WORD 2\n")]);
    assert!(is_right(&toy, &words).await);
    let checked = build(&auditor(&toy), &toy, &docs_upon(&toy)).await.audit.unwrap();
    assert!(checked.from_nothing && !checked.overlooked, "{checked:?}");
    assert_eq!(mismatches(&toy).await, 0);
}

#[tokio::test]
async fn an_audit_that_compiled_upon_something_stale_is_no_mismatch() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    assert!(build(&auditor(&toy), &toy, &docs(&toy, "one\n")).await.audit.is_some());
    plant(&audits_pair(&toy));
    let code = next(&toy, &first);
    let built = build(&builder_of(&toy), &toy, &code).await;
    let docs = docs_upon(&toy);
    let found = build(&auditor(&toy), &toy, &docs).await;
    assert_eq!((found.obtained, &found.manifest), (Obtained::Closure, &built.manifest));
    let checked = found.audit.clone().unwrap();
    assert!(checked.from_nothing && checked.overlooked && is_alarm(&found), "{found:?}");
    assert_eq!(mismatches(&toy).await, 0);
    assert!(is_right(&toy, &docs).await);
}

#[tokio::test]
async fn an_incident_is_written_down_before_anything_is_stored() {
    let Some((toy, wrong)) = misled().await else { return };
    let request = toy.request(&wrong, "");
    let auditor = auditor(&toy);
    toy.events.0.lock().unwrap().clear();
    let storing = || {
        let events = toy.events.0.lock().unwrap();
        events.iter().filter(|event| event.stage == Step::Storing).count()
    };
    {
        let build = auditor.build(&request);
        tokio::pin!(build);
        // First what the stage gave, and then what was compiled.
        while storing() < 2 {
            tokio::select! {
                biased;
                ended = &mut build => panic!("it ended: {ended:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(mismatches(&toy).await, 1);
    assert!(is_right(&toy, &wrong).await);
}

#[tokio::test]
async fn two_audits_of_one_answer_are_one_finding() {
    let Some((toy, wrong)) = misled().await else { return };
    let believed = build(&builder_of(&toy), &toy, &wrong).await;
    let claim = Claim::of(believed.provenance.as_ref().unwrap()).unwrap();
    assert!(claim.rests_on.is_empty(), "its own stage's answer is named once");
    let request = toy.request(&wrong, "");
    let mut came_out = Vec::new();
    for _ in 0..2 {
        let auditor = auditor(&toy);
        let question = auditor.question(&request).unwrap();
        let audited = auditor.audit_chosen(&question, &claim, &believed.manifest).await.unwrap();
        let Audited::Otherwise(built) = audited else { panic!("it is wrong") };
        assert!(is_alarm(&built), "{:?}", built.notes);
        came_out.push(built.manifest);
        let stored = toy.store.build_by_input(&believed.manifest.input_key).await.unwrap();
        assert_eq!(stored.as_ref(), came_out.last());
    }
    assert_eq!(came_out[0], came_out[1], "what the first one stored stays");
    assert_eq!(mismatches(&toy).await, 1);
}

#[tokio::test]
async fn images_of_two_versions_are_not_compared() {
    let Some((toy, first)) = watched().await else { return };
    let built = build(&builder_of(&toy), &toy, &first).await;
    let closure = built.manifest.artifact("closure").unwrap().digest;
    let from = built.manifest.input_key;
    let ground = Ground { stage: Stage::Closure, closure, from };
    let claim = Claim { ground, rests_on: Vec::new(), is_compiled: false };
    let auditor = auditor(&toy);
    let request = toy.request(&docs(&toy, "other\n"), "");
    let question = auditor.question(&request).unwrap();
    let mut stored = built.manifest;
    let image = stored.signatures.0.get_mut(&SignatureKind::Image).unwrap();
    (image.version, image.hash) = (image.version - 1, Digest::of(b"by an older definition"));
    let audited = auditor.audit_chosen(&question, &claim, &stored).await.unwrap();
    assert!(matches!(audited, Audited::Same(_)));
}

#[tokio::test]
async fn a_proof_whose_audit_can_not_be_made_is_audited_when_it_is_asked_for_again() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    let docs = docs(&toy, "other\n");
    let pool = toy.only_pair().parent().unwrap().to_path_buf();
    let audits = pool.with_file_name(format!("{}-audit", pool.file_name().unwrap().display()));
    std::fs::write(&audits, "").unwrap();
    let built = build(&auditor(&toy), &toy, &docs).await;
    assert_eq!((built.obtained, built.audit), (Obtained::Closure, None));
    assert!(built.notes.iter().any(|note| note.contains("could not be made")), "{:?}", built.notes);
    std::fs::remove_file(&audits).unwrap();
    let built = build(&auditor(&toy), &toy, &docs).await;
    assert_eq!((built.obtained, built.audit.unwrap().stage), (Obtained::Closure, Stage::Closure));
}

/// An observer that takes a pair away as a configuration begins for the second time: the machine fails.
struct Saboteur {
    pair: PathBuf,
    configured: AtomicUsize,
}

impl Observer for Saboteur {
    fn event(&self, event: &BuildEvent) {
        if event.stage == Step::Configuring && self.configured.fetch_add(1, Ordering::Relaxed) == 1
        {
            std::fs::remove_file(self.pair.join("pair.json")).unwrap();
            std::fs::create_dir_all(self.pair.join("pair.json/in the way")).unwrap();
        }
    }
}

#[tokio::test]
async fn an_audit_that_speaks_against_a_proof_and_fails_then_is_an_error() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    assert!(build(&auditor(&toy), &toy, &docs(&toy, "one\n")).await.audit.is_some());
    let pair = audits_pair(&toy);
    plant(&pair);
    build(&builder_of(&toy), &toy, &next(&toy, &first)).await;
    let docs = docs_upon(&toy);
    let saboteur = Arc::new(Saboteur { pair: pair.clone(), configured: AtomicUsize::new(0) });
    let auditing = Builder::new(toy.store.clone(), toy.work.path().join("work"), saboteur);
    let auditing = auditing.with_pairs(1, 4).with_audit(1.0);
    let error = auditing.build(&toy.request(&docs, "")).await.unwrap_err();
    let BuildError::Undecided { stage: Stage::Closure, because } = &error else {
        panic!("{error:?}")
    };
    assert!(because.to_string().contains("pair.json"), "{because}");
    // Nothing was decided, and the next one decides.
    std::fs::remove_dir_all(&pair).unwrap();
    assert_eq!(mismatches(&toy).await, 0);
    assert!(build(&auditor(&toy), &toy, &docs).await.audit.is_some());
}

#[tokio::test]
async fn objects_are_in_doubt_until_the_toolchain_was_looked_at() {
    let (toy, first) = Toy::new().await;
    let folder = tempfile::tempdir().unwrap();
    let compiler = folder.path().join("mycc");
    place(&compiler, b"#!/bin/sh\nexec gcc \"$@\"\n", 0o755).unwrap();
    // An upgrade that is not through: what is there does not answer yet.
    let makefile = toy.fixture.read(&first, "Makefile");
    let half = format!("@echo 'exit 1' >{}; gcc $(flags)", compiler.display());
    let makefile = makefile.replace("@gcc $(flags)", &half);
    let upgrades = toy.edit("upgrades", &[Edit::File("Makefile", &makefile)]);
    let builder = builder_of(&toy).with_toolchain(compiler.to_str().unwrap());
    builder.build(&toy.request(&upgrades, "")).await.unwrap_err();
    let pair = toy.only_pair();
    assert!(pair.join("objects/vmlinux").exists());
    let record = std::fs::read_to_string(pair.join("pair.json")).unwrap();
    assert!(!record.contains("\"busy_since\":null"), "{record}");
}
