//! Stages T1 to T3, on the toy kernel: each answer is held against a build from nothing.

use std::time::Duration;

use kiln_cache::{Digest, InputKey, Mark};

use super::Edit;
use super::toy::{Toy, builder_of, watched};
use crate::audit::audit_report;
use crate::stages::{Provenance, Stage};
use crate::{Builder, Built, Foreseen, Obtained, Revision};

pub(super) const HELPER: &str = "kernel/helper.c";
pub(super) const TEXT: &str = "int helper(int x) { return x + 1; }\n";

pub(super) async fn build(builder: &Builder, toy: &Toy, revision: &Revision) -> Built {
    builder.build(&toy.request(revision, "")).await.unwrap()
}

/// The same revision, compiled by somebody else from nothing.
pub(super) async fn from_nothing(toy: &Toy, revision: &Revision, config: &str) -> Built {
    let (other, _) = Toy::new().await;
    let mut request = toy.request(revision, config);
    request.jobs = 1;
    let built = other.builder_in("elsewhere").build(&request).await.unwrap();
    assert_eq!(built.obtained, Obtained::Compiled);
    built
}

pub(super) fn because(built: &Built) -> &str {
    let provenance = built.provenance.as_ref().expect("a stage was tried");
    provenance.because.as_deref().expect("none answered")
}

#[tokio::test]
async fn each_stage_answers_what_it_can_and_no_more() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let mut before = build(&builder, &toy, &first).await;
    let comment = TEXT.replace('}', "} /* why */");
    let moved = format!("/*\n * Why.\n */\n{comment}");
    let header = "#define UNUSED 1 /* two */\nstatic const char banner[] = RELEASE;\n";
    let lower = "static const char banner[] = RELEASE; /* one */\n#define UNUSED 1\n";
    let cleaned = "more-y := 1\nclean-files := a b\n";
    let told = "int helper(int x) { return x + __LINE__; }\n";
    let told_lower = format!("// Why.\n{told}");
    let cases: &[(&str, Edit<'_>, Obtained)] = &[
        ("make's text", Edit::File("kernel/Makefile", "more-y := 1\n"), Obtained::Commands),
        ("what is cleaned", Edit::File("kernel/Makefile", cleaned), Obtained::Commands),
        ("a remark on a line", Edit::File(HELPER, &comment), Obtained::Tokens),
        ("a macro that nobody uses", Edit::File("include/banner.h", lower), Obtained::Tokens),
        ("lines that move", Edit::File(HELPER, &moved), Obtained::Objects),
        ("a moved line of a header", Edit::File("include/banner.h", header), Obtained::Objects),
        ("code", Edit::File(HELPER, told), Obtained::Compiled),
        ("a moved line that is told", Edit::File(HELPER, &told_lower), Obtained::Compiled),
        ("a recipe", Edit::File("kernel/Makefile", "x:\n\ttrue\n"), Obtained::Compiled),
        ("a file that appears", Edit::File("kernel/new.c", "int new;\n"), Obtained::Compiled),
    ];
    for (name, edit, expected) in cases {
        let edit = match edit {
            Edit::File(path, text) => Edit::File(path, text),
            _ => unreachable!("all are files"),
        };
        let revision = toy.edit(name, &[edit]);
        let built = build(&builder, &toy, &revision).await;
        assert_eq!(built.obtained, *expected, "{name}: {:?}", built.provenance);
        let truth = from_nothing(&toy, &revision, "").await;
        assert_eq!(built.manifest.image(), truth.manifest.image(), "{name}");
        if *expected != Obtained::Compiled {
            assert_eq!(built.manifest.image(), before.manifest.image(), "{name}");
            assert!(toy.steps(&built).await.is_empty(), "{name}: nothing was made");
            let kept: Provenance =
                serde_json::from_str(&toy.content(&built, "provenance").await).unwrap();
            assert_eq!(Obtained::from(kept.stage.unwrap()), *expected);
            assert_eq!(kept.from, Some(before.manifest.input_key));
        }
        before = built;
    }
}

#[tokio::test]
async fn a_build_that_a_stage_gave_is_one_to_go_on_from() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    build(&builder, &toy, &first).await;
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} // why"))]);
    let tokens = build(&builder, &toy, &remark).await;
    assert_eq!(tokens.obtained, Obtained::Tokens);
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let proved = build(&builder, &toy, &docs).await;
    assert_eq!(proved.obtained, Obtained::Closure);
    assert_eq!(proved.manifest.input_key, tokens.manifest.input_key);
    // What is next changed is made, and what was marked as current is not.
    let main =
        toy.fixture.read(&first, "kernel/main.c").replace("helper(where", "helper(1 + where");
    let code = toy.edit("code", &[Edit::File("kernel/main.c", &main)]);
    let built = build(&builder, &toy, &code).await;
    assert_eq!(toy.steps(&built).await, ["CC kernel/main.o", "LD vmlinux"]);
    let truth = from_nothing(&toy, &code, "").await;
    assert_eq!(built.manifest.image(), truth.manifest.image());
}

#[tokio::test]
async fn who_believes_no_proof_gets_everything_compiled() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    builder.build(&toy.request(&first, "")).await.unwrap();
    let docs = toy.edit("docs", &[Edit::File("Documentation/a.rst", "other\n")]);
    let docs = toy.request(&docs, "");
    assert_eq!(builder.build(&docs).await.unwrap().obtained, Obtained::Closure);
    let remark = toy.edit("remark", &[Edit::File("kernel/Makefile", "more-y := 1\n")]);
    let remark = toy.request(&remark, "");
    let doubter = builder_of(&toy).with_proofs(false);
    for request in [&docs, &remark] {
        assert_eq!(doubter.known(request).await.unwrap(), None, "it was never compiled");
        assert_eq!(doubter.build(request).await.unwrap().obtained, Obtained::Compiled);
    }
    let known = builder.build(&docs).await.unwrap();
    assert_eq!((known.obtained, known.provenance), (Obtained::Input, None), "its own build now");
}

#[tokio::test]
async fn objects_decide_where_tokens_do_not() {
    let Some((toy, first)) = watched().await else { return };
    let kconfig = toy.fixture.read(&first, "Kconfig") + "option WERROR\n";
    let makefile = toy.fixture.read(&first, "Makefile").replace("-Os", "-Os -Werror");
    let base =
        toy.edit("option", &[Edit::File("Kconfig", &kconfig), Edit::File("Makefile", &makefile)]);
    let config = "CONFIG_WERROR=y\n";
    let builder = builder_of(&toy);
    let before = builder.build(&toy.request(&base, config)).await.unwrap();
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} /* why */"))]);
    let seen = builder.foresee(&toy.request(&remark, config)).await.unwrap();
    assert_eq!((seen.stage, seen.warm, seen.units), (Foreseen::Objects, true, Some(1)));
    let built = builder.build(&toy.request(&remark, config)).await.unwrap();
    assert_eq!(built.obtained, Obtained::Objects, "{:?}", built.provenance);
    assert_eq!(built.manifest.image(), before.manifest.image());
    let truth = from_nothing(&toy, &remark, config).await;
    assert_eq!(built.manifest.image(), truth.manifest.image());
}

#[tokio::test]
async fn records_that_would_lack_something_are_made_anew() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    build(&builder, &toy, &first).await;
    let option = toy.edit("option", &[Edit::File(HELPER, &TEXT.replace('}', "} // CONFIG_NEW"))]);
    let built = build(&builder, &toy, &option).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert!(because(&built).contains("another option"), "{}", because(&built));
    let void = toy.edit("void", &[Edit::File("include/void.h", "")]);
    build(&builder, &toy, &void).await;
    let includes = format!("#include <void.h>\n#line 1\n{TEXT}");
    let includes = toy.edit("includes", &[Edit::File(HELPER, &includes)]);
    let built = build(&builder, &toy, &includes).await;
    assert_eq!(built.obtained, Obtained::Compiled);
    assert!(because(&built).contains("other files"), "{}", because(&built));
}

/// A commit with a script that another script runs: make knows of the first one only.
pub(super) fn scripted(toy: &Toy, first: &Revision) -> Revision {
    let makefile = toy.fixture.read(first, "Makefile");
    let makefile = makefile.replace("@nm $@ >", "@sh scripts/outer $@ >");
    toy.edit(
        "scripts",
        &[
            Edit::File("Makefile", &makefile),
            Edit::File("scripts/outer", "sh scripts/inner \"$1\"\n"),
            Edit::File("scripts/inner", "nm \"$1\"\n"),
        ],
    )
}

/// What names addresses in a build.
pub(super) fn map(built: &Built) -> Digest {
    built.manifest.artifact("System.map").unwrap().digest
}

#[tokio::test]
async fn what_nobody_recorded_is_built_from_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let base = scripted(&toy, &first);
    let builder = builder_of(&toy);
    let built = build(&builder, &toy, &base).await;
    assert_eq!(toy.steps(&built).await.len(), 3);
    let inner = toy.edit("inner", &[Edit::File("scripts/inner", "nm -n \"$1\"\n")]);
    let built = build(&builder, &toy, &inner).await;
    assert_eq!((built.obtained, toy.steps(&built).await.len()), (Obtained::Compiled, 3));
    let truth = from_nothing(&toy, &inner, "").await;
    assert_eq!(map(&built), map(&truth));
}

#[tokio::test]
async fn without_watching_what_make_overlooks_is_built_from_nothing_and_the_rest_is_not() {
    let (toy, first) = Toy::new().await;
    let base = scripted(&toy, &first);
    let builder = builder_of(&toy).unwatched();
    build(&builder, &toy, &base).await;
    let other = "int helper(int x) { return x + 2; }\n";
    for (name, edit, steps) in [
        ("code", Edit::File(HELPER, other), 2),
        ("words", Edit::File("Documentation/a.rst", "more\n"), 0),
        ("a driver", Edit::File("drivers/dummy.c", "int dummy(void) { return 8; }\n"), 0),
        ("a list", Edit::File("kernel/Makefile", "more-y := 1\n"), 0),
        ("a script of a script", Edit::File("scripts/inner", "nm -n \"$1\"\n"), 3),
        ("a recipe", Edit::File("kernel/Makefile", "x:\n\ttrue\n"), 3),
        ("a script that comes", Edit::File("scripts/new", "x\n"), 3),
        ("a file that comes", Edit::File("kernel/new.c", "int new;\n"), 2),
    ] {
        let revision = toy.edit(name, &[edit]);
        let built = build(&builder, &toy, &revision).await;
        assert_eq!(toy.steps(&built).await.len(), steps, "{name}");
        let truth = from_nothing(&toy, &revision, "").await;
        assert_eq!(built.manifest.image(), truth.manifest.image(), "{name}");
        assert_eq!(map(&built), map(&truth), "{name}");
    }
}

#[tokio::test]
async fn what_make_overlooks_comes_out_as_from_nothing() {
    let Some((toy, first)) = watched().await else { return };
    // A program of the build's own that a script runs, and a recipe that calls a variable: make
    // knows of neither in the rule of what is made with them.
    let makefile = toy.fixture.read(&first, "Makefile");
    let makefile = makefile.replace("@nm $@ >", "@sh scripts/link $@ $(O) >");
    let more = [
        "cmd_note = echo one",
        "$(O)/tool: $(wildcard scripts/tool.*)",
        "\t@gcc -MMD -MF $(O)/tool.d -o $@ $(CURDIR)/scripts/tool.c",
        "\t@sh scripts/record tool '$(CURDIR)/scripts/tool.c' $(O)/tool.d '-O1' > $(O)/.tool.cmd",
        "$(O)/note:",
        "\t@$(cmd_note) > $@",
        "$(O)/vmlinux: | $(O)/tool $(O)/note\n",
    ];
    let makefile = makefile + &more.join("\n");
    let tool = "#include <stdio.h>\n#include \"tool.h\"\nint main() { puts(WORD); }\n";
    let base = toy.edit(
        "tools",
        &[
            Edit::File("Makefile", &makefile),
            Edit::File("scripts/link", "nm \"$1\" && \"$2/tool\" && cat \"$2/note\"\n"),
            Edit::File("scripts/tool.c", tool),
            Edit::File("scripts/tool.h", "#define WORD \"one\"\n"),
        ],
    );
    let builder = builder_of(&toy);
    assert!(build(&builder, &toy, &base).await.manifest.is_built());
    let noted = makefile.replace("echo one", "echo two");
    for (name, path, text) in [
        ("a tool", "scripts/tool.h", "#define WORD \"two\"\n"),
        ("a recipe's variable", "Makefile", noted.as_str()),
    ] {
        let revision = toy.edit(name, &[Edit::File(path, text)]);
        let built = build(&builder, &toy, &revision).await;
        let truth = from_nothing(&toy, &revision, "").await;
        assert_eq!(map(&built), map(&truth), "{name}");
    }
}

#[tokio::test]
async fn a_stage_is_audited_in_a_pair_of_its_own() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} /* why */"))]);
    let built = build(&builder_of(&toy).with_audit(1.0), &toy, &remark).await;
    assert_eq!(built.obtained, Obtained::Tokens, "{:?} {:?}", built.provenance, built.notes);
    assert_eq!(built.audit.unwrap().stage, Stage::Tokens);
    let report = audit_report(&toy.store).await.unwrap();
    assert_eq!((report.audited, report.mismatches), (1, 0));
    assert_eq!(report.stages[&Stage::Tokens].audited, 1);
}

#[tokio::test]
async fn an_audit_that_was_cut_off_is_made_up_for() {
    let Some((toy, first)) = watched().await else { return };
    build(&builder_of(&toy), &toy, &first).await;
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} /* why */"))]);
    let request = toy.request(&remark, "");
    let auditor = builder_of(&toy).with_audit(1.0);
    // A task of its own, which goes on while the index is read: it may hold the index's lock.
    let building = {
        let (auditor, request) = (builder_of(&toy).with_audit(1.0), request.clone());
        tokio::spawn(async move { auditor.build(&request).await })
    };
    loop {
        assert!(!building.is_finished(), "it ended before it was cut off");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let unaudited = toy.store.marks(Mark::Unaudited).await.unwrap();
        let Some(name) = unaudited.first() else { continue };
        let key = InputKey(name.parse().unwrap());
        if toy.store.build_by_input(&key).await.unwrap().is_some() {
            break;
        }
    }
    building.abort();
    assert!(building.await.unwrap_err().is_cancelled());
    let audited = async || audit_report(&toy.store).await.unwrap().audited;
    assert_eq!(audited().await, 0);
    // Who does not audit goes by it as ever.
    assert!(builder_of(&toy).known(&request).await.unwrap().is_some());
    let key = auditor.request_key(&request).unwrap();
    assert_eq!(auditor.known(&request).await.unwrap(), None);
    assert!(auditor.known_of(&[key]).await.unwrap().is_empty());
    let built = auditor.build(&request).await.unwrap();
    assert_eq!((built.obtained, built.audit.unwrap().stage), (Obtained::Input, Stage::Tokens));
    assert_eq!(audited().await, 1);
    assert_eq!(auditor.known_of(&[key]).await.unwrap().len(), 1);
    assert!(auditor.build(&request).await.unwrap().audit.is_none(), "once is enough");
}

#[tokio::test]
async fn kernels_whose_assembler_reads_more_are_built_from_nothing() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let old = toy.fixture.read(&first, "Makefile");
    let old = old.replace("VERSION = 6", "VERSION = 4").replace("LEVEL = 1\n", "LEVEL = 20\n");
    let base = toy.edit("4.20", &[Edit::File("Makefile", &old)]);
    build(&builder, &toy, &base).await;
    let remark = toy.edit("remark", &[Edit::File(HELPER, &TEXT.replace('}', "} /* why */"))]);
    let built = build(&builder, &toy, &remark).await;
    assert_eq!((built.obtained, toy.steps(&built).await.len()), (Obtained::Compiled, 3));
    assert!(because(&built).contains("nobody records"), "{}", because(&built));
    assert!(built.provenance.unwrap().from_nothing);
}

#[tokio::test]
async fn what_took_two_runs_says_so() {
    let Some((toy, first)) = watched().await else { return };
    let builder = builder_of(&toy);
    let fails = "@test -e $(O)/tried || { touch $(O)/tried; echo '$<:1:1: error: odd'; exit 1; }; \
                 gcc $(flags) -MMD";
    let makefile = toy.fixture.read(&first, "Makefile").replace("@gcc $(flags) -MMD", fails);
    let base = toy.edit("fails once", &[Edit::File("Makefile", &makefile)]);
    let built = build(&builder, &toy, &base).await;
    let says = |built: &Built| built.notes.iter().any(|note| note.contains("error: odd"));
    assert!(built.manifest.is_built() && says(&built), "{:?}", built.notes);
    std::fs::remove_file(toy.only_pair().join("objects/tried")).unwrap();
    let code = toy.edit("code", &[Edit::File(HELPER, &TEXT.replace('1', "2"))]);
    let built = build(&builder, &toy, &code).await;
    assert!(built.manifest.is_built() && says(&built), "{:?}", built.notes);
    assert!(because(&built).contains("make failed once"), "{}", because(&built));
    let fine = toy.edit("fine", &[Edit::File(HELPER, &TEXT.replace('1', "3"))]);
    assert!(!says(&build(&builder, &toy, &fine).await));
}
