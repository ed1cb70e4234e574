//! Builds that turn out to be wrong while a bisection goes on, on a toy kernel: what rests on them is not
//! believed any more, by it and by everybody else.

mod support;

use std::path::Path;

use kiln_builder::{host_arch, image_of};
use kiln_skip::{Lack, skip};
use serde_json::Value;
use support::{Kiln, Repo, culprit, kiln_binary, scratch};

/// It takes a clock reading into its image, or how often its helper's remarks say so.
const SAID: &str = "#define TEXT(x) #x\n#define SAID(x) TEXT(x)\nconst char said[] = \"bugs=\" SAID(BUGS);\n\
                    int helper(int x) { return x + said[0]; }";

/// Whether builds can be watched here. Without, nothing is proved that could turn out to be wrong.
fn are_watched() -> bool {
    let device = Path::new("/dev/fuse");
    if !device.exists() {
        skip(Lack::Views, "there is no /dev/fuse");
    }
    device.exists()
}

/// A toy kernel whose helper is compiled with `BUGS` as this piece of shell prints it.
fn toy(bugs: &str, remark: &str) -> (Repo, String) {
    let (target, image) = image_of(host_arch());
    let makefile = include_str!("../fixtures/toy/Makefile");
    let makefile = makefile.replace("@TARGET@", target).replace("@IMAGE@", image);
    let compile = "gcc $(flags) -MMD";
    assert!(makefile.contains(compile));
    let makefile = makefile.replace(compile, &format!("gcc $(flags) -DBUGS=$$({bugs}) -MMD"));
    let repo = Repo::new();
    let first = repo.commit(
        "first",
        &[
            ("Makefile", &*makefile),
            ("Kbuild", "# nothing\n"),
            ("Kconfig", "option BASE forced y\n"),
            ("scripts/conf", include_str!("../fixtures/toy/conf")),
            ("scripts/record", include_str!("../fixtures/toy/record")),
            ("include/banner.h", "static const char banner[] = RELEASE;\n"),
            ("Documentation/a.rst", "text\n"),
            ("kernel/Makefile", "# nothing of its own\n"),
            ("kernel/main.c", include_str!("../fixtures/toy/main.c")),
            ("kernel/helper.c", &helper(remark)),
        ],
    );
    (repo, first)
}

fn helper(remark: &str) -> String {
    format!("{SAID} // {remark}\n")
}

/// Runs kiln on a repository.
fn kiln(kiln: &Kiln, repo: &Repo, args: &[&str], code: i32) -> Value {
    let folder = scratch();
    let config = folder.path().join("config");
    std::fs::write(&config, "CONFIG_BASE=y\n").unwrap();
    let more = ["--json", "--repo", repo.arg(), "--config", config.to_str().unwrap()];
    kiln.run(&[args, &more].concat()).exits(code).json()
}

/// The test of a bisection: a kernel has bugs, or not.
const TEST: &str = "! grep -q bugs=[1-9] \"$KILN_ARTIFACTS/vmlinux\"";

fn bisect(it: &Kiln, repo: &Repo, ends: [&str; 2], audit: &str) -> Value {
    bisect_by(it, repo, ends, TEST, audit)
}

fn bisect_by(it: &Kiln, repo: &Repo, ends: [&str; 2], test: &str, audit: &str) -> Value {
    let args = ["bisect", "--good", ends[0], "--bad", ends[1], "--command", test, "--audit", audit];
    kiln(it, repo, &args, 0)
}

fn mismatches(kiln: &Kiln) -> u64 {
    let report = kiln.run(&["audit", "report", "--json"]).exits(8).json();
    report["mismatches"].as_u64().unwrap()
}

/// A history in whose store a commit is wrongly believed to be its good end.
struct Believed {
    repo: Repo,
    it: Kiln,
    good: String,
    wrong: String,
    next: String,
    bad: String,
}

fn believed() -> Believed {
    // The number of bugs is read out of remarks, so that equal tokens are no proof.
    let (repo, good) = toy("grep -c remark $<", "none");
    let wrong = repo.commit("culprit", &[("kernel/helper.c", &helper("a remark"))]);
    let next = repo.commit("next", &[("kernel/helper.c", &helper("one remark"))]);
    let main = include_str!("../fixtures/toy/main.c").replace("helper(where", "helper(1 + where");
    let bad = repo.commit("bad", &[("kernel/main.c", &main)]);
    let it = Kiln::new();
    let obtained = |commit: &str| {
        kiln(&it, &repo, &["build", commit], 0)["obtained"].as_str().unwrap().to_owned()
    };
    assert_eq!([&bad, &good].map(|commit| obtained(commit)), ["compiled"; 2]);
    assert_eq!(obtained(&wrong), "tokens", "it is believed to be the good end");
    Believed { repo, it, good, wrong, next, bad }
}

#[test]
fn a_bisection_forgets_what_its_own_audit_has_withdrawn() {
    if !are_watched() {
        return;
    }
    let Believed { repo, it, good, wrong, next, bad } = believed();
    let answer = bisect(&it, &repo, [&good, &bad], "1");
    assert!(mismatches(&it) > 0, "{answer:#}");
    assert_eq!(culprit(&answer), wrong, "not {next}: {answer:#}");
}

#[test]
fn a_bisection_forgets_what_somebody_elses_audit_has_withdrawn_meanwhile() {
    if !are_watched() {
        return;
    }
    let Believed { repo, it, good, wrong, next, bad } = believed();
    // Another process, at a time when the bisection knows all builds that it needs: the second run.
    let folder = scratch();
    let [config, runs] = ["config", "runs"].map(|name| folder.path().join(name));
    std::fs::write(&config, "CONFIG_BASE=y\n").unwrap();
    let audit = format!(
        "{} build --audit 1 --repo {} --config {} {next}",
        kiln_binary().display(),
        repo.arg(),
        config.display()
    );
    let runs = runs.display();
    let test = format!("echo >>{runs}; [ $(wc -l <{runs}) != 2 ] || {audit} >&2; {TEST}");
    let answer = bisect_by(&it, &repo, [&good, &bad], &test, "0");
    assert!(mismatches(&it) > 0, "{answer:#}");
    assert_eq!(culprit(&answer), wrong, "not {next}: {answer:#}");
}

#[test]
fn a_build_that_speaks_against_a_proof_is_an_incident() {
    if !are_watched() {
        return;
    }
    // Each compiler's run gives another kernel.
    let (repo, good) = toy("echo 0$$(date +%N)", "none");
    let main = include_str!("../fixtures/toy/main.c").replace("helper(where", "helper(1 + where");
    let one = repo.commit("one", &[("kernel/main.c", &main)]);
    let same = repo.commit("same", &[("Documentation/a.rst", "other\n")]);
    let buggy = SAID.replace("\"bugs=\"", "\"bugs=1\"");
    let bad = repo.commit("bad", &[("kernel/helper.c", &*buggy)]);
    let it = Kiln::new();
    let key = |args: &[&str]| kiln(&it, &repo, args, 0)["input_key"].as_str().unwrap().to_owned();
    let elsewhere = scratch();
    let work = elsewhere.path().to_str().unwrap();
    let builds = [key(&["build", &one]), key(&["build", &same, "--no-proofs", "--work", work])];

    let answer = bisect(&it, &repo, [&good, &bad], "0");
    assert_eq!(culprit(&answer), bad, "{answer:#}");
    assert_eq!(mismatches(&it), 1);
    let told = it.run(&["audit", "report"]).exits(8).stdout;
    for said in ["MISMATCH", &same, &builds[0], &builds[1]] {
        assert!(told.contains(said), "{told}");
    }
}
