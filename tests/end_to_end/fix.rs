//! `kiln bisect --find fix` over small histories: the commit after which the crash no longer shows.

mod support;

use serde_json::Value;
use support::{Kiln, Repo, coin};

/// The "kernel" is all files together.
const BUILD: &str = "cat * >\"$KILN_OUT/program\"";

/// Fails one time in `n` while the build holds the bug and not its fix.
fn flaky(n: u32) -> String {
    format!(
        "cd \"$KILN_ARTIFACTS\"; if grep -q bug program && ! grep -q mended program && \
         {}; then exit 1; fi",
        coin(n)
    )
}

fn find<'a>(repo: &'a Repo, what: &'a str, good: &'a str, bad: &'a str) -> Vec<&'a str> {
    vec![
        "bisect",
        "--json",
        "--find",
        what,
        "--repo",
        repo.arg(),
        "--good",
        good,
        "--bad",
        bad,
        "--confidence",
        "0.99",
        "--build-command",
        BUILD,
        "--command",
    ]
}

fn run(kiln: &Kiln, args: &[&str], command: &str) -> support::Answer {
    kiln.run(&[args, &[command]].concat())
}

fn answer(value: &Value) -> &str {
    value["answer"]["commit"]["id"].as_str().unwrap_or("none")
}

/// Commits on the branch that is checked out.
fn line(
    repo: &Repo,
    name: &str,
    n: usize,
    extra: impl Fn(usize) -> Option<&'static str>,
) -> Vec<String> {
    (0..n)
        .map(|i| {
            let text = format!("{name} {i}\n");
            let file = format!("file-{name}");
            match extra(i) {
                None => repo.commit(&format!("{name} {i}"), &[(&file, &text)]),
                Some(word) => repo.commit(
                    &format!("{name} {i}: {word}"),
                    &[(&file, &text), (word, &format!("{word}\n"))],
                ),
            }
        })
        .collect()
}

#[test]
fn cause_and_fix_of_one_reproducer_share_their_evidence() {
    let repo = Repo::new();
    let commits = line(&repo, "main", 40, |i| match i {
        9 => Some("bug"),
        27 => Some("mended"),
        _ => None,
    });
    let kiln = Kiln::new();
    let command = flaky(3);
    let cause = find(&repo, "cause", &commits[0], &commits[20]);
    let cause = run(&kiln, &cause, &command).exits(0).json();
    assert_eq!(answer(&cause), commits[9], "{cause:#}");

    let args = find(&repo, "fix", &commits[39], &commits[20]);
    let fix = run(&kiln, &args, &command).exits(0).json();
    assert_eq!(answer(&fix), commits[27], "{fix:#}");
    assert_eq!(fix["find"], "fix");
    assert_eq!(fix["answer"]["parents"][0]["id"], commits[26].as_str());
    let bill = &fix["bill"];
    assert!(bill["runs_avoided_evidence"].as_u64().unwrap() > 0, "the bad end was known: {bill:#}");
    assert!(bill["builds_avoided_input"].as_u64().unwrap() > 0, "{bill:#}");

    let again = run(&kiln, &args, &command).exits(0).json();
    assert_eq!(answer(&again), commits[27]);
    assert_eq!(again["bill"]["runs_made"], 0, "{:#}", again["bill"]);

    // Every decision can be made again, from the record and the history alone.
    for id in [&cause["id"], &fix["id"], &again["id"]] {
        let id = id.as_str().unwrap();
        let check = kiln.run(&["bisect", "replay-check", id, "--json"]).exits(0).json();
        assert!(check["decisions"].as_u64().unwrap() > 0, "{check:#}");
        assert_eq!(check["decisions"], check["same"], "{check:#}");
    }

    // The other tools' logs, in the direction that they know.
    let id = fix["id"].as_str().unwrap();
    let git = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    let log = repo.path().join("bisect.log");
    std::fs::write(&log, &git).unwrap();
    let replayed = repo.git(&["bisect", "replay", log.to_str().unwrap()]);
    let says = format!("{} is the first fixed commit", commits[27]);
    assert!(replayed.contains(&says), "git replays another answer: {replayed}\n{git}");
    repo.git(&["bisect", "reset"]);
    let syzkaller = kiln.run(&["bisect", "log", id]).exits(0).stdout;
    for line in [
        format!("bisecting fixing commit since {}", commits[20]),
        format!("# git bisect start {} {}", commits[39], commits[20]),
        format!("# git bisect bad {}", commits[27]),
        format!("# git bisect good {}", commits[26]),
        format!("first good commit: {} main 27: mended", commits[27]),
    ] {
        assert!(syzkaller.lines().any(|l| l == line), "no line '{line}' in\n{syzkaller}");
    }
}

/// A branch that forked off before the bad end: was the bug there?
fn branch_with_the_fix(bug_before_the_fork: bool) -> (Repo, String, String, Vec<String>) {
    let repo = Repo::new();
    let early = if bug_before_the_fork { Some("bug") } else { None };
    line(&repo, "root", 3, |i| if i == 1 { early } else { None });
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    let side = line(&repo, "side", 6, |i| (i == 3).then_some("mended"));
    repo.git(&["checkout", "--quiet", "main"]);
    let late = if bug_before_the_fork { None } else { Some("bug") };
    let bad = line(&repo, "main", 4, |i| if i == 2 { late } else { None }).pop().unwrap();
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge side", "side"]);
    let good = line(&repo, "after", 3, |_| None).pop().unwrap();
    (repo, good, bad, side)
}

#[test]
fn a_fix_on_a_branch_older_than_the_bad_end_is_found_where_the_branch_has_the_bug() {
    let (repo, good, bad, side) = branch_with_the_fix(true);
    let kiln = Kiln::new();
    let args = find(&repo, "fix", &good, &bad);
    let fix = run(&kiln, &args, &flaky(2)).exits(0).json();
    assert_eq!(answer(&fix), side[3], "{fix:#}");
}

#[test]
fn a_branch_that_never_had_the_bug_is_not_taken_for_its_fix() {
    let (repo, good, bad, side) = branch_with_the_fix(false);
    let kiln = Kiln::new();
    let args = find(&repo, "fix", &good, &bad);
    let fix = run(&kiln, &args, &flaky(2)).exits(5).json();
    let set: Vec<&str> = fix["answer"]["credible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[0]["id"].as_str().unwrap())
        .collect();
    assert!(set.contains(&side[3].as_str()), "{fix:#}");
    let why = fix["answer"]["why"].as_str().unwrap();
    assert!(why.contains("not known to have had the bug"), "{why}");
}

#[test]
fn what_is_not_fixed_is_said_to_be() {
    let repo = Repo::new();
    let commits = line(&repo, "main", 12, |i| (i == 2).then_some("bug"));
    let kiln = Kiln::new();
    let args = find(&repo, "fix", &commits[11], &commits[4]);
    let fix = run(&kiln, &args, &flaky(2)).exits(6).json();
    assert_eq!(fix["answer"]["verdict"], "not-fixed", "{fix:#}");
}

#[test]
fn ends_in_the_wrong_order_are_explained() {
    let repo = Repo::new();
    let commits = line(&repo, "main", 3, |_| None);
    let kiln = Kiln::new();
    let args = find(&repo, "cause", &commits[2], &commits[0]);
    run(&kiln, &args, "true").exits(1).complains(&["--find fix"]);
    let args = find(&repo, "fix", &commits[0], &commits[2]);
    run(&kiln, &args, "true").exits(1).complains(&["--find fix", "newer one"]);
}
