//! Whole bisections over small histories, with `--build-command` and `--command`: everything of
//! the loop but the kernel.

mod support;

use serde_json::Value;
use support::killing::{Kills, killed_and_resumed, runs_that_count_once};
use support::{Kiln, Repo, coin, culprit, events};

/// The "kernel" is the file `program`, and nothing else counts.
const BUILD: &str = "cp program \"$KILN_OUT/program\"";

/// A history of `n` commits; the "bug" is there from commit `culprit` on.
fn history(n: usize, culprit: usize) -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let commits = (0..n)
        .map(|i| {
            let bug = if i >= culprit { "bug\n" } else { "" };
            repo.commit(&format!("change {i}"), &[("program", &format!("version {i}\n{bug}"))])
        })
        .collect();
    (repo, commits)
}

/// Fails one time in `n` when the program holds the bug.
fn flaky(n: u32) -> String {
    format!("if grep -q bug \"$KILN_ARTIFACTS/program\" && {}; then exit 1; fi", coin(n))
}

fn bisect(kiln: &Kiln, repo: &Repo, good: &str, bad: &str, command: &str) -> support::Answer {
    kiln.run(&bisect_args(repo, good, bad, command))
}

fn bisect_args(repo: &Repo, good: &str, bad: &str, command: &str) -> Vec<String> {
    ["bisect", "--json", "--repo", repo.arg(), "--good", good, "--bad", bad]
        .into_iter()
        // The default leaves room for one wrong answer in twenty: too many for a test.
        .chain(["--confidence", "0.99", "--build-command", BUILD, "--command", command])
        .map(str::to_owned)
        .collect()
}

#[test]
fn finds_a_flaky_bug_and_then_knows_it() {
    let (repo, commits) = history(40, 23);
    let kiln = Kiln::new();
    // A build that costs many runs: what it costs decides how many are made. The busier the machine,
    // the dearer are runs beside it.
    let slow = format!("sleep 0.5; {BUILD}");
    let mut args = bisect_args(&repo, &commits[0], &commits[39], &flaky(4));
    args.iter_mut().filter(|arg| *arg == BUILD).for_each(|arg| arg.clone_from(&slow));
    let first = kiln.run(&args).exits(0).json();
    assert_eq!(culprit(&first), commits[23], "{first:#}");
    assert!(first["bill"]["builds_compiled"].as_u64().unwrap() <= 20, "{:#}", first["bill"]);

    let second = kiln.run(&args).exits(0).json();
    assert_eq!(culprit(&second), commits[23]);
    assert_eq!(second["bill"]["builds_compiled"], 0, "{:#}", second["bill"]);
    assert_eq!(second["bill"]["runs_made"], 0, "{:#}", second["bill"]);
    assert!(second["bill"]["runs_avoided_evidence"].as_u64().unwrap() > 0);
}

#[test]
fn a_side_branch_is_no_straight_line() {
    let repo = Repo::new();
    let good = repo.commit("base", &[("program", "0\n")]);
    let mut side = Vec::new();
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    for i in 0..6 {
        let bug = if i >= 2 { "bug\n" } else { "" };
        side.push(repo.commit(&format!("side {i}"), &[("side", &format!("{i}\n{bug}"))]));
    }
    repo.git(&["checkout", "--quiet", "main"]);
    for i in 0..6 {
        repo.commit(&format!("main {i}"), &[("program", &format!("main {i}\n"))]);
    }
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge side", "side"]);
    for i in 0..4 {
        repo.commit(&format!("after {i}"), &[("program", &format!("after {i}\n"))]);
    }
    let bad = repo.git(&["rev-parse", "HEAD"]);
    let kiln = Kiln::new();
    let build =
        "cat program side 2>/dev/null >\"$KILN_OUT/program\" || cat program >\"$KILN_OUT/program\"";
    let args = ["bisect", "--json", "--repo", repo.arg(), "--good", &good, "--bad", &bad];
    let command = flaky(2);
    let more = ["--confidence", "0.99", "--build-command", build, "--command", &command];
    let answer = kiln.run(&[&args[..], &more].concat()).exits(0).json();
    assert_eq!(culprit(&answer), side[2], "{answer:#}");
}

#[test]
fn a_span_that_does_not_build_gives_a_set_with_the_culprit_in_it() {
    let repo = Repo::new();
    let mut commits = Vec::new();
    for i in 0..16 {
        let bug = if i >= 8 { "bug\n" } else { "" };
        let broken = if (6..10).contains(&i) { "broken\n" } else { "" };
        let text = format!("version {i}\n{bug}{broken}");
        commits.push(repo.commit(&format!("change {i}"), &[("program", &text)]));
    }
    let kiln = Kiln::new();
    let build = "if grep -q broken program; then echo 'program:1:1: error: broken'; exit 1; fi; cp program \"$KILN_OUT/\"";
    let answer = kiln
        .run(&[
            "bisect",
            "--json",
            "--repo",
            repo.arg(),
            "--good",
            &commits[0],
            "--bad",
            &commits[15],
            "--build-command",
            build,
            "--command",
            &flaky(1),
        ])
        .exits(5)
        .json();
    let set: Vec<&str> = answer["answer"]["credible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[0]["id"].as_str().unwrap())
        .collect();
    assert!(set.contains(&commits[8].as_str()), "{answer:#}");
    assert!(set.len() <= 6, "{answer:#}");
}

#[test]
fn equal_images_are_run_once() {
    // Three commits of four touch only a file that the build does not read.
    let repo = Repo::new();
    let mut commits = Vec::new();
    for i in 0..24 {
        let bug = if i >= 12 { "bug\n" } else { "" };
        let program = format!("version {}\n{bug}", i / 4);
        let notes = format!("note {i}\n");
        commits
            .push(repo.commit(&format!("change {i}"), &[("program", &program), ("notes", &notes)]));
    }
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &repo, &commits[0], &commits[23], &flaky(3)).exits(0).json();
    assert_eq!(culprit(&answer), commits[12], "{answer:#}");
    // Asked of twins of all that was built, it has nothing left to run.
    let (good, bad) = (&commits[1], &commits[22]);
    for twin in [good, bad] {
        kiln.run(&["build", twin, "--repo", repo.arg(), "--build-command", BUILD]).exits(0);
    }
    let twins = bisect(&kiln, &repo, good, bad, &flaky(3)).exits(0).json();
    assert_eq!(culprit(&twins), commits[12], "{twins:#}");
    assert_eq!(twins["bill"]["runs_made"], 0, "{:#}", twins["bill"]);
    assert!(twins["bill"]["runs_avoided_evidence"].as_u64().unwrap() > 0, "{:#}", twins["bill"]);
}

#[test]
fn older_than_the_good_end() {
    let (repo, commits) = history(12, 2);
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &repo, &commits[4], &commits[11], &flaky(2)).exits(6).json();
    assert_eq!(answer["answer"]["verdict"], "older-than-good", "{answer:#}");
    assert!(answer["answer"]["target"].as_u64().unwrap() >= 2, "{answer:#}");
    let id = answer["id"].as_str().unwrap();
    let log = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    assert!(!log.contains("git bisect good") && log.contains("nothing to bisect"), "{log}");
}

#[test]
fn a_bad_end_that_never_crashes() {
    let (repo, commits) = history(8, 100);
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &repo, &commits[0], &commits[7], &flaky(2)).exits(7).json();
    assert_eq!(answer["answer"]["verdict"], "not-reproduced", "{answer:#}");
    assert_eq!(answer["bill"]["builds_compiled"], 1, "{:#}", answer["bill"]);
}

#[test]
fn logs_are_what_others_read() {
    let (repo, commits) = history(16, 9);
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &repo, &commits[0], &commits[15], &flaky(1)).exits(0).json();
    let id = answer["id"].as_str().unwrap();

    let git = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    let log = repo.path().join("bisect.log");
    std::fs::write(&log, &git).unwrap();
    let replayed = repo.git(&["bisect", "replay", log.to_str().unwrap()]);
    assert!(
        replayed.contains(&format!("{} is the first bad commit", commits[9])),
        "git replays another answer: {replayed}\n{git}"
    );
    repo.git(&["bisect", "reset"]);

    let syzkaller = kiln.run(&["bisect", "log", id]).exits(0).stdout;
    for line in [
        format!("bisecting cause commit starting from {}", commits[15]),
        format!("testing commit {}", commits[9]),
        format!("# git bisect bad {}", commits[9]),
        format!("first bad commit: {} change 9", commits[9]),
    ] {
        assert!(syzkaller.lines().any(|l| l == line), "no line '{line}' in\n{syzkaller}");
    }
    for start in
        ["kernel signature: ", "culprit signature: ", "parent  signature: ", "revisions tested: "]
    {
        assert!(syzkaller.lines().any(|l| l.starts_with(start)), "no '{start}' in\n{syzkaller}");
    }
}

/// With builds that take a while, and so many builders that work while commands run.
fn with_builders(mut args: Vec<String>, builders: u32) -> Vec<String> {
    args.iter_mut()
        .filter(|arg| *arg == BUILD)
        .for_each(|arg| *arg = format!("sleep 0.3; {BUILD}"));
    args.extend(["--builders".to_owned(), builders.to_string()]);
    args
}

fn events_of(kiln: &Kiln, id: &str) -> Vec<Value> {
    let record = kiln.run(&["bisect", "show", id, "--json"]).exits(0).json();
    record["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect()
}

/// Every build that a process began has ended within that process, one way or the other.
fn every_build_ends(events: &[Value]) {
    let mut under_way: Vec<&str> = Vec::new();
    for event in events {
        let commit = event["commit"]["id"].as_str().unwrap_or_default();
        match event["event"].as_str().unwrap() {
            "begun" => {
                assert!(!under_way.contains(&commit), "begun twice: {event:#}");
                under_way.push(commit);
            }
            "compiled" | "looked-up" | "given-up" => under_way.retain(|it| *it != commit),
            // What was asked for while it was built comes after its end, too.
            "step" => assert!(!under_way.contains(&commit), "not ended: {event:#}"),
            _ => {}
        }
    }
    assert!(under_way.is_empty(), "{under_way:?} of {events:#?}");
}

#[test]
fn builders_that_fail_ahead_or_when_asked_are_told_apart() {
    // Broken where one looks after the first test, whatever that shows.
    let repo = Repo::new();
    let mut commits = Vec::new();
    for i in 0..40 {
        let bug = if i >= 23 { "bug\n" } else { "" };
        let broken = if (6..15).contains(&i) || (26..35).contains(&i) { "broken\n" } else { "" };
        let text = format!("version {i}\n{bug}{broken}");
        commits.push(repo.commit(&format!("change {i}"), &[("program", &text)]));
    }
    let kiln = Kiln::new();
    let build = "sleep 0.3; if grep -q broken program; then echo 'program:1:1: error: broken'; \
                 exit 1; fi; cp program \"$KILN_OUT/\"";
    let command = format!("sleep 0.1; {}", flaky(3));
    let mut args = bisect_args(&repo, &commits[0], &commits[39], &command);
    args.iter_mut().filter(|arg| *arg == BUILD).for_each(|arg| *arg = build.to_owned());
    args.extend(["--builders", "2"].map(str::to_owned));
    let answer = kiln.run(&args).exits(0).json();
    assert_eq!(culprit(&answer), commits[23], "{answer:#}");
    let events = events_of(&kiln, answer["id"].as_str().unwrap());
    every_build_ends(&events);
    let broken: Vec<&Value> =
        events.iter().filter(|event| event["build"]["errors"][0].is_string()).collect();
    assert!(!broken.is_empty(), "{events:#?}");
    for step in broken {
        let begun = events.iter().find(|event| {
            event["event"] == "begun" && event["commit"]["id"] == step["commit"]["id"]
        });
        // One that was asked for says what it was to show.
        let ahead = step["why"] == "built before it was asked for";
        assert!(!ahead || begun.unwrap()["asked"] == false, "{begun:#?} {step:#}");
        assert!(step["runs"].as_array().unwrap().is_empty(), "{step:#}");
    }
}

#[test]
fn builders_make_what_is_asked_for_next_while_commands_run() {
    let (repo, commits) = history(40, 23);
    let kiln = Kiln::new();
    let command = format!("sleep 0.1; {}", flaky(3));
    let args = with_builders(bisect_args(&repo, &commits[0], &commits[39], &command), 2);
    let answer = kiln.run(&args).exits(0).json();
    assert_eq!(culprit(&answer), commits[23], "{answer:#}");
    let id = answer["id"].as_str().unwrap();
    let events = events_of(&kiln, id);
    every_build_ends(&events);
    let at = |event: &str, commit: &Value| {
        events.iter().position(|e| e["event"] == event && e["commit"]["id"] == *commit)
    };
    let is_ahead = |at: &usize| events[*at]["asked"] == false;
    // Begun and built while another revision ran, and only then asked for.
    let ready = events.iter().filter(|event| event["event"] == "step").filter(|step| {
        let commit = &step["commit"]["id"];
        let begun = at("begun", commit).filter(is_ahead);
        let (Some(begun), Some(built)) = (begun, at("compiled", commit)) else { return false };
        let asked = at("step", commit).unwrap();
        begun < built && events[built..asked].iter().any(|event| event["event"] == "step")
    });
    assert!(ready.count() >= 1, "{events:#?}");
    let bill = &answer["bill"];
    let begun = events
        .iter()
        .filter(|event| event["event"] == "begun")
        .filter(|event| event["asked"] == false);
    let begun = begun.count() as u64;
    let number = |name: &str| bill[name].as_u64().unwrap();
    assert!(number("builds_ahead") >= 1, "{bill:#}");
    assert!(begun >= number("builds_ahead"), "{begun}, {bill:#}");
    assert!(number("builds_unused") < number("builds_compiled"), "{bill:#}");
    let replayed = kiln.run(&["bisect", "replay-check", id, "--json"]).exits(0).json();
    assert_eq!(replayed["same"], replayed["decisions"], "{replayed:#}");

    // What was built ahead is there for whoever asks next.
    let again = kiln.run(&args).exits(0).json();
    assert_eq!(again["bill"]["builds_compiled"], 0, "{:#}", again["bill"]);
}

#[test]
fn builds_ahead_keep_within_the_budget() {
    let (repo, commits) = history(200, 123);
    for most in ["0", "1", "3", "6"] {
        let kiln = Kiln::new();
        let args = with_builders(bisect_args(&repo, &commits[0], &commits[199], &flaky(2)), 3);
        let limit = ["--max-builds".to_owned(), most.to_owned()];
        let answer = kiln.run(&[&args[..], &limit].concat()).exits(5).json();
        let compiled = answer["bill"]["builds_compiled"].as_u64().unwrap();
        assert!(compiled <= most.parse().unwrap(), "{most}: {:#}", answer["bill"]);
        assert!(answer["answer"]["why"].as_str().unwrap().contains("budget"), "{answer:#}");
    }
}

#[test]
fn killed_at_random_moments_it_resumes_to_the_same_answer() {
    kill_and_resume(20, |args| args);
}

#[test]
fn killed_while_builds_and_runs_go_on_it_resumes_to_the_same_answer() {
    kill_and_resume(12, |args| with_builders(args, 2));
}

fn kill_and_resume(kills: u32, more: impl Fn(Vec<String>) -> Vec<String>) {
    let (repo, commits) = history(32, 19);
    // Slow enough for a kill to hit every kind of moment.
    let command = format!("sleep 0.02; {}", flaky(3));
    let mut kills = Kills::new(kills, 0x9e37_79b9_7f4a_7c15, 400);
    while kills.left > 0 {
        // A bisection that ends before it was killed often enough is followed by another.
        let kiln = Kiln::new();
        let start = || {
            let mut start = kiln.command();
            start.args(more(bisect_args(&repo, &commits[0], &commits[31], &command)));
            start
        };
        let (answer, record) = killed_and_resumed(&kiln, start, &mut kills, |left, _| {
            let verify = kiln.run(&["verify", "--deep", "--json"]);
            assert_eq!(verify.code, 0, "with {left} kills left: {verify:#?}");
        });
        assert_eq!(culprit(&answer), commits[19], "{answer:#}");
        let mut compiled = std::collections::HashSet::new();
        for event in events(&record, "compiled") {
            let commit = event["commit"]["id"].to_string();
            assert!(compiled.insert(commit), "a build counts once: {event:#}");
        }
        assert!(runs_that_count_once(&record) > 20, "{record:#}");
        kiln.run(&["verify", "--deep"]).exits(0);
    }
}
