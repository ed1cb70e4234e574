//! Builds that are watched, and revisions that are proved equal to them, on the toy kernel.

use std::sync::Arc;
use std::time::Duration;

use kiln_cache::signature::is_named_by_image;
use kiln_cache::{BuildDraft, Manifest};

use super::toy::{Toy, builder_of, watched};
use super::{Counting, Edit, Fixture};
use crate::audit::audit_report;
use crate::closure::{Closure, Edges};
use crate::observer::Stage as Step;
use crate::proving::CANDIDATES;
use crate::stages::Stage;
use crate::{Builder, Built, Foreseen, How, Obtained, Revision};

async fn closure(builder: &Builder, built: &Built) -> Arc<Closure> {
    builder.closure(&built.manifest).await.unwrap().expect("it was watched")
}

const HELPER: &str = "kernel/helper.c";

#[tokio::test]
async fn a_change_that_nobody_reads_is_not_compiled() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let built = builder.build(&toy.request(&first, "CONFIG_FAST=y\n")).await.unwrap();
    let reads = closure(&builder, &built).await;
    for path in ["Makefile", "Kconfig", "scripts/conf", "include/banner.h", "kernel/main.c"] {
        assert!(reads.read.contains(path.as_bytes()), "{path}: {reads:?}");
    }
    assert!(reads.listed.contains(b"kernel"), "the wildcard: {reads:?}");

    let docs = toy.edit(
        "docs",
        &[Edit::File("Documentation/a.rst", "other\n"), Edit::File("Documentation/b.rst", "new\n")],
    );
    toy.events.0.lock().unwrap().clear();
    let request = toy.request(&docs, "CONFIG_FAST=y\n");
    assert_eq!(builder.known(&request).await.unwrap(), None);
    let proved = builder.build(&request).await.unwrap();
    assert_eq!(proved.obtained, Obtained::Closure);
    assert_eq!(proved.manifest, built.manifest);
    let stages: Vec<Step> =
        toy.events.0.lock().unwrap().iter().map(|event| event.stage.clone()).collect();
    assert_eq!(stages, [Step::Finished { known: true, built: true }], "nothing was checked out");
    // It is remembered as what it is.
    let key = builder.request_key(&request).unwrap();
    let artifact = built.manifest.artifact("closure").unwrap();
    assert_eq!(toy.store.proof_of_request(&key).await.unwrap(), Some(artifact.digest));
    assert_eq!(builder.known(&request).await.unwrap().as_ref(), Some(&built.manifest));
    let again = toy.builder().build(&request).await.unwrap();
    assert_eq!(again.obtained, Obtained::Closure);
    // It is a proof for this configuration only.
    let other = builder.build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(other.obtained, Obtained::Compiled);
}

#[tokio::test]
async fn a_change_that_nobody_reads_starts_no_compiler_in_a_new_process() {
    let Some((toy, first)) = watched().await else { return };
    let counting = Counting::new();
    // Files that were just made may change unseen: such a toolchain is not remembered.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let process = || builder_of(&toy).with_toolchain(&counting.compiler());
    let compiled = process().build(&toy.request(&first, "")).await.unwrap();
    assert_eq!(compiled.obtained, Obtained::Compiled);
    for (text, is_asked) in [("second", true), ("third", false), ("fourth", false)] {
        let before = counting.asked();
        let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", text)]);
        let proved = process().build(&toy.request(&docs, "")).await.unwrap();
        assert_eq!(proved.obtained, Obtained::Closure);
        assert_eq!(counting.asked() > before, is_asked, "the {text} process");
    }
}

#[tokio::test]
async fn a_proof_holds_what_a_compile_gives() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let built = builder.build(&toy.request(&first, "")).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let proved = builder.build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(proved.obtained, Obtained::Closure);
    // Compiled after all, by somebody who has no closures to go by.
    let (other, _) = Toy::new().await;
    let compiled = other.builder().build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(compiled.obtained, Obtained::Compiled);
    assert_eq!(compiled.manifest.image(), built.manifest.image());
}

#[tokio::test]
async fn what_a_build_would_notice_is_compiled() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    builder.build(&toy.request(&first, "")).await.unwrap();
    let changes: [(&str, &[Edit<'_>], Obtained); 4] = [
        (
            "a header",
            &[Edit::File("include/banner.h", "static const char banner[] = \"x\";\n")],
            Obtained::Compiled,
        ),
        (
            "one that a wildcard finds",
            &[Edit::File("kernel/more.c", "int more = 3;\n")],
            Obtained::Compiled,
        ),
        ("one beside a script", &[Edit::File("scripts/other", "exit 0\n")], Obtained::Closure),
        ("a script", &[Edit::File("scripts/conf", "exit 0\n")], Obtained::Compiled),
    ];
    for (name, edits, expected) in changes {
        let revision = toy.edit(name, edits);
        let built = builder.build(&toy.request(&revision, "")).await.unwrap();
        assert_eq!(built.obtained, expected, "{name}");
    }
}

#[tokio::test]
async fn a_build_upon_another_has_what_both_read() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    builder.build(&toy.request(&first, "")).await.unwrap();
    let next = toy.edit("next", &[Edit::File(HELPER, "int helper(int x) { return x; }\n")]);
    let warm = builder.build(&toy.request(&next, "")).await.unwrap();
    assert_eq!(toy.steps(&warm).await, ["CC kernel/helper.o", "LD vmlinux"]);
    // Only the first build read this, and the second is made of it.
    assert!(closure(&builder, &warm).await.read.contains(b"include/banner.h"));
    let header = toy.edit("header", &[Edit::File("include/banner.h", "char banner[9];\n")]);
    let built = builder.build(&toy.request(&header, "")).await.unwrap();
    assert_eq!(built.obtained, Obtained::Compiled);
    assert_ne!(built.manifest.image(), warm.manifest.image());
    // The nearest build proves what an older one does not.
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let proved = builder.build(&toy.request(&docs, "")).await.unwrap();
    let expected = (Obtained::Closure, built.manifest.input_key);
    assert_eq!((proved.obtained, proved.manifest.input_key), expected);
}

#[tokio::test]
async fn failures_are_proved_as_well() {
    let Some((toy, _)) = watched().await else { return };
    let builder = builder_of(&toy);
    let broken = toy.edit("broken", &[Edit::File(HELPER, "int helper(int x) { return y; }\n")]);
    let failed = builder.build(&toy.request(&broken, "")).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let proved = builder.build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(proved.obtained, Obtained::Closure);
    assert_eq!((proved.manifest.is_built(), &proved.manifest), (false, &failed.manifest));

    let unfit = toy.edit("unfit", &[Edit::File("Kconfig", "endif\n")]);
    let failed = builder.build(&toy.request(&unfit, "")).await.unwrap();
    assert_eq!((failed.obtained, failed.manifest.is_built()), (Obtained::Compiled, false));
    let more = toy.edit("more", &[Edit::File("Documentation/a.rst", "more\n")]);
    let proved = builder.build(&toy.request(&more, "")).await.unwrap();
    let expected = (Obtained::Closure, failed.manifest.input_key);
    assert_eq!((proved.obtained, proved.manifest.input_key), expected);
}

#[tokio::test]
async fn a_killed_build_takes_nothing_from_the_closure() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let hangs = "@! grep HANG $< || { touch $(O)/hanging; sleep 1000; }; gcc $(flags)";
    let makefile = toy.fixture.read(&first, "Makefile").replace("@gcc $(flags)", hangs);
    let base = toy.edit("may hang", &[Edit::File("Makefile", &makefile)]);
    builder.build(&toy.request(&base, "")).await.unwrap();
    let hangs = "int helper(int x) { return 9; } // HANG\n";
    let hanging = toy.edit("hangs", &[Edit::File(HELPER, hangs)]);
    {
        let request = toy.request(&hanging, "");
        let build = builder.build(&request);
        tokio::pin!(build);
        let mark = toy.only_pair().join("objects/hanging");
        while !mark.exists() {
            tokio::select! {
                ended = &mut build => panic!("it ended: {ended:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
        }
    }
    let fine = toy.edit("fine", &[Edit::File(HELPER, "int helper(int x) { return 9; }\n")]);
    let built = builder.build(&toy.request(&fine, "")).await.unwrap();
    assert_eq!(toy.steps(&built).await, ["CC kernel/helper.o", "LD vmlinux"]);
    assert!(closure(&builder, &built).await.read.contains(b"kernel/main.c"));
    assert!(std::fs::read_dir(toy.only_pair().join("view")).unwrap().next().is_none());
}

#[tokio::test]
async fn a_pair_that_was_once_not_watched_has_no_closure() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    builder.build(&toy.request(&first, "")).await.unwrap();
    let record = toy.only_pair().join("pair.json");
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains("\"reads\":\"known\""), "{text}");
    std::fs::write(&record, text.replace("\"reads\":\"known\"", "\"reads\":\"unknown\"")).unwrap();
    let next = toy.edit("next", &[Edit::File(HELPER, "int helper(int x) { return x; }\n")]);
    let built = builder.build(&toy.request(&next, "")).await.unwrap();
    assert_eq!(builder.closure(&built.manifest).await.unwrap(), None);
    // It proves nothing; the one before it can't, as it read what changed.
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let built = builder.build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(built.obtained, Obtained::Compiled);
}

#[tokio::test]
async fn build_commands_and_other_repositories_prove_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let mut command = toy.request(&first, "");
    command.how = How::Command("cp kernel/main.c $KILN_OUT/main".into());
    let built = builder.build(&command).await.unwrap();
    assert!(built.manifest.artifact("closure").is_none());
    command.revision = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    assert_eq!(builder.build(&command).await.unwrap().obtained, Obtained::Compiled);

    builder.build(&toy.request(&first, "")).await.unwrap();
    let elsewhere = Fixture::new();
    let scripts = ["scripts/conf", "scripts/record"];
    let names =
        [&["Makefile", "Kbuild", "Kconfig", "include/banner.h", HELPER][..], &scripts].concat();
    let texts: Vec<String> = names.iter().map(|name| toy.fixture.read(&first, name)).collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (*name, text.as_str())).collect();
    elsewhere.commit("copied", &files);
    let main = toy.fixture.read(&first, "kernel/main.c");
    let mut request = toy.request(&elsewhere.commit("all", &[("kernel/main.c", &main)]), "");
    request.repository = elsewhere.path().into();
    let built = builder.build(&request).await.unwrap();
    assert!(built.obtained == Obtained::Compiled && built.manifest.is_built());
    // What make would overlook of a difference nobody can tell here.
    assert_eq!(toy.steps(&built).await.len(), 3);
}

#[tokio::test]
async fn a_history_falls_into_classes() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let docs = |text| [Edit::File("Documentation/a.rst", text)];
    toy.edit("0", &docs("0"));
    let built = toy.edit("1", &docs("1"));
    toy.edit("2", &docs("2"));
    toy.edit("3", &[Edit::File(HELPER, "int helper(int x) { return x; }\n")]);
    toy.edit("4", &docs("4"));
    toy.edit("5", &[Edit::File(HELPER, "// Same.\nint helper(int x)\n{ return x; }\n")]);
    toy.edit("6", &[Edit::File(HELPER, "int helper(int y) { return y; }\n")]);
    let repository = toy.fixture.repository();
    let history = repository.history(&first.commit, "HEAD").unwrap();
    let edges = Arc::new(Edges::new(&repository, &history));
    let manifest = builder.build(&toy.request(&built, "")).await.unwrap().manifest;
    assert_eq!(builder.same_class(&edges, 1, &manifest).await.unwrap(), [0, 1, 2]);
    // Beyond the change of what was built nothing is proved, but the next is likely the same.
    // So is one that a comment parts.
    assert_eq!(edges.all(), [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]);
    let unnoticed = builder.unnoticed(&edges, edges.all(), &manifest).await.unwrap();
    assert_eq!(unnoticed.unwrap(), [(0, 1), (1, 2), (3, 4), (4, 5)]);
}

#[tokio::test]
async fn a_configuration_whose_images_do_not_repeat_proves_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let conf = toy.fixture.read(&first, "scripts/conf").replace("[A-Z]", "[A-Z_]");
    let kconfig = toy.fixture.read(&first, "Kconfig") + "option RUST\n";
    let edits = [Edit::File("scripts/conf", &conf), Edit::File("Kconfig", &kconfig)];
    let base = toy.edit("rust", &edits);
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let repository = toy.fixture.repository();
    let history = repository.history(&first.commit, "HEAD").unwrap();
    let edges = Arc::new(Edges::new(&repository, &history));

    let config = "CONFIG_RUST=y\n";
    let built = builder.build(&toy.request(&base, config)).await.unwrap();
    assert!(toy.content(&built, ".config").await.contains(config));
    assert_eq!(builder.same_class(&edges, 0, &built.manifest).await.unwrap(), [0]);
    let again = builder.build(&toy.request(&docs, config)).await.unwrap();
    assert_eq!(again.obtained, Obtained::Compiled);
    // Without it the same trees are equal.
    let built = builder.build(&toy.request(&base, "")).await.unwrap();
    assert_eq!(builder.same_class(&edges, 0, &built.manifest).await.unwrap(), [0, 1]);
}

#[tokio::test]
async fn a_proof_by_another_rule_counts_for_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let built = builder.build(&toy.request(&first, "")).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let request = toy.request(&docs, "");
    let key = builder.request_key(&request).unwrap();
    // As an earlier Kiln left it: the same closure under an earlier head.
    let old = closure(&builder, &built).await.encode();
    let body = old.iter().position(|byte| *byte == b'\n').unwrap();
    let old = [&b"kiln-closure 1"[..], &old[body..]].concat();
    let old = toy.store.put_bytes(old.into()).await.unwrap();
    let input = built.manifest.input_key;
    toy.store.add_proved_request(&key, &input, &old).await.unwrap();
    assert_eq!(builder.known(&request).await.unwrap(), None);
    assert!(builder.known_of(&[key]).await.unwrap().is_empty());
    // Proved again by the rule of today, it is known.
    assert_eq!(builder.build(&request).await.unwrap().obtained, Obtained::Closure);
    assert_eq!(builder.known_of(&[key]).await.unwrap()[&key].input_key, input);
}

#[tokio::test]
async fn what_make_would_overlook_is_built_from_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    // The compiler looks beside the file before it looks in "include".
    let main = toy.fixture.read(&first, "kernel/main.c").replace("<banner.h>", "\"banner.h\"");
    let texts = [Edit::File("kernel/main.c", &main), Edit::Link("include/banner.h", "old.h")];
    let old = [
        Edit::File("include/old.h", "static const char banner[] = \"old\";\n"),
        Edit::File("include/new.h", "static const char banner[] = \"new!\";\n"),
    ];
    let base: Vec<Edit<'_>> = texts.into_iter().chain(old).collect();
    let base = toy.edit("base", &base);
    let built = builder.build(&toy.request(&base, "")).await.unwrap();
    for (name, edit) in [
        ("a link leads elsewhere", Edit::Link("include/banner.h", "new.h")),
        (
            "a header in front",
            Edit::File("kernel/banner.h", "static const char banner[] = \"front\";\n"),
        ),
    ] {
        let next = toy.edit(name, &[edit]);
        let warm = builder.build(&toy.request(&next, "")).await.unwrap();
        assert_ne!(warm.manifest.image(), built.manifest.image(), "{name}");
        // Compiled by somebody else, from nothing.
        let (other, _) = Toy::new().await;
        let cold = other.builder().build(&toy.request(&next, "")).await.unwrap();
        assert_eq!(warm.manifest.image(), cold.manifest.image(), "{name}");
        assert_eq!(toy.steps(&warm).await.len(), 3, "{name}");
    }
}

#[tokio::test]
async fn an_audited_proof_is_compiled_and_compared() {
    let Some((toy, first)) = watched().await else { return };
    builder_of(&toy).build(&toy.request(&first, "")).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let audited = builder_of(&toy).with_audit(1.0).build(&toy.request(&docs, "")).await.unwrap();
    assert_eq!(audited.obtained, Obtained::Closure);
    assert!(audited.notes.iter().any(|note| note.contains("the same")), "{:?}", audited.notes);
    assert_eq!(audited.audit.unwrap().stage, Stage::Closure);
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.mismatches), (1, 0));
    assert_eq!((report.kinds["rst"].audited, report.stages[&Stage::Closure].audited), (1, 1));
    // The first of a kind is always audited, the second by share.
    let docs = toy.edit("more", &[Edit::File("Documentation/a.rst", "more\n")]);
    let rarely = builder_of(&toy).with_audit(1e-9);
    assert!(rarely.build(&toy.request(&docs, "")).await.unwrap().audit.is_none());
    let other = toy.edit("other", &[Edit::File("Documentation/a.txt", "more\n")]);
    assert!(rarely.build(&toy.request(&other, "")).await.unwrap().audit.is_some());
}

/// Stores the files of a build as the build of another revision, with another closure.
pub(super) async fn forge(
    toy: &Toy,
    built: &Built,
    revision: &Revision,
    closure: &Closure,
) -> Manifest {
    let forged = toy.work.path().join("forged");
    std::fs::write(&forged, closure.encode()).unwrap();
    let mut artifacts = vec![("closure".to_owned(), forged)];
    // All that `image` covers: it is the same kernel.
    let covered = built.manifest.artifacts.iter();
    for artifact in covered.filter(|it| is_named_by_image(&it.name) || it.name == ".config") {
        let path = toy.work.path().join(artifact.name.replace('/', "-"));
        toy.store.read_to_file(&artifact.digest, &path).await.unwrap();
        artifacts.push((artifact.name.clone(), path));
    }
    let manifest = &built.manifest;
    let mut input = manifest.input.clone();
    input.tree.clone_from(&revision.tree);
    let draft = BuildDraft {
        input,
        request_key: builder_of(toy).request_key(&toy.request(revision, "")).unwrap(),
        family_key: manifest.family_key,
        commit: revision.commit.clone(),
        result: manifest.result.clone(),
        artifacts,
        compiler: manifest.compiler.clone(),
        seconds: 1.0,
    };
    toy.store.add_build(draft).await.unwrap()
}

#[tokio::test]
async fn the_nearest_builds_are_asked_however_many_are_newer() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let built = builder.build(&toy.request(&first, "")).await.unwrap();
    let reads = closure(&builder, &built).await;
    let first = git2::Oid::from_str(&first.commit).unwrap();
    for number in 0..CANDIDATES + 6 {
        let text = format!("int helper(int x) {{ return x + {number}0; }}\n");
        let texts = [Edit::File(HELPER, &text), Edit::File("Documentation/a.rst", &text)];
        let newer = toy.fixture.commit_on("newer", &[first], &texts);
        forge(&toy, &built, &newer, &reads).await;
    }
    let docs = [Edit::File("Documentation/a.rst", "other\n")];
    let request = toy.request(&toy.fixture.commit_on("docs", &[first], &docs), "");
    let seen = builder.foresee(&request).await.unwrap();
    assert_eq!((seen.stage, seen.from), (Foreseen::Closure, Some(built.manifest.input_key)));
    let proved = builder.build(&request).await.unwrap();
    let expected = (Obtained::Closure, built.manifest.input_key);
    assert_eq!((proved.obtained, proved.manifest.input_key), expected);
}

#[tokio::test]
async fn a_wrong_proof_is_found_and_its_closure_revoked() {
    let Some((toy, first)) = watched().await else { return };
    let built = builder_of(&toy).build(&toy.request(&first, "")).await.unwrap();
    // A build whose closure claims that it read nothing: as a broken tracer would write it.
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    forge(&toy, &built, &docs, &Closure::default()).await;

    let changed = toy.edit("other", &[Edit::File(HELPER, "int helper(int x) { return x + 9; }\n")]);
    let request = toy.request(&changed, "");
    let audited = builder_of(&toy).with_audit(1.0).build(&request).await.unwrap();
    assert_eq!(audited.obtained, Obtained::Compiled);
    assert!(audited.notes.iter().any(|note| note.contains("revoked")), "{:?}", audited.notes);
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.mismatches), (1, 1));
    assert_eq!(report.incidents[0].commit, changed.commit);
    // Nobody believes that closure any more, with or without audits.
    let again = toy.edit("third", &[Edit::File(HELPER, "int helper(int x) { return x + 3; }\n")]);
    let honest = builder_of(&toy).build(&toy.request(&again, "")).await.unwrap();
    assert_eq!(honest.obtained, Obtained::Compiled);
    assert_eq!(audit_report(&toy.store).await.unwrap().audited, 1);
    // Nor does a machine that shares the builds and not the database.
    let store = toy.by_another_database().await;
    let other = toy.builder_over(&store, "elsewhere").with_pairs(1, 1);
    let last = toy.edit("fourth", &[Edit::File(HELPER, "int helper(int x) { return x + 4; }\n")]);
    let honest = other.build(&toy.request(&last, "")).await.unwrap();
    assert_eq!(honest.obtained, Obtained::Compiled);
}
