//! What is asked of a commit before it is named: undoing it, what it changes at all, and whether it
//! merely made the bug visible. And budgets.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Kiln, Repo, coin, culprit, events};

/// The "kernel" is all files together.
const BUILD: &str = "cat * >\"$KILN_OUT/program\"";

/// Fails one time in two while the build holds a bug.
fn flaky() -> String {
    format!("if grep -q bug \"$KILN_ARTIFACTS/program\" && {}; then exit 1; fi", coin(2))
}

fn run(kiln: &Kiln, repo: &Repo, ends: (&str, &str), more: &[&str]) -> support::Answer {
    let args = [
        "bisect",
        "--json",
        "--repo",
        repo.arg(),
        "--good",
        ends.0,
        "--bad",
        ends.1,
        "--confidence",
        "0.99",
    ];
    kiln.run(&[&args, more].concat())
}

/// `n` commits that each change a file of their own, and what `extra` says.
fn history(
    n: usize,
    extra: impl Fn(usize) -> Option<(&'static str, &'static str)>,
) -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let commits = (0..n)
        .map(|i| {
            let text = format!("version {i}\n");
            let own = format!("file-{i}");
            let mut files = vec![(own.as_str(), text.as_str())];
            files.extend(extra(i));
            repo.commit(&format!("change {i}"), &files)
        })
        .collect();
    (repo, commits)
}

#[test]
fn undoing_the_culprit_confirms_it() {
    let (repo, commits) = history(16, |i| (i == 9).then_some(("more", "bug\n")));
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    let command = flaky();
    let more = ["--build-command", BUILD, "--command", &command, "--confirm", "revert"];
    let answer = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["finding"], "reverted", "{answer:#}");
    assert_eq!(finding["holds"], true, "{finding:#}");
    assert_eq!(finding["target"], 0, "{finding:#}");
    assert!(finding["clean"].as_u64().unwrap() >= 5, "{finding:#}");
    assert_eq!(finding["revision"]["subject"], "Revert \"change 9\"");
    // Its build can be had, and the user's repository was not touched.
    let key = finding["build"].as_str().unwrap();
    kiln.run(&["show", key]).exits(0);
    let objects = repo.git(&["fsck", "--unreachable"]);
    assert_eq!(objects, "", "{objects}");
    // Asked again, nothing is built or run.
    let again = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(again["answer"]["findings"][0]["holds"], true);
    assert_eq!(again["bill"]["builds_compiled"], 0, "{:#}", again["bill"]);
    assert_eq!(again["bill"]["runs_made"], 0, "{:#}", again["bill"]);
    // The log for git has no commit that git does not know.
    let id = answer["id"].as_str().unwrap();
    let log = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    let revert = finding["revision"]["id"].as_str().unwrap();
    assert!(!log.contains(revert), "{log}");
    let shown = kiln.run(&["bisect", "show", id]).exits(0).stdout;
    assert!(shown.contains("undone       Revert \"change 9\": 0 target crashes"), "{shown}");
}

#[test]
fn a_culprit_whose_removal_does_not_help_is_not_named() {
    // The same bug comes a second time, after the culprit.
    let (repo, commits) = history(16, |i| match i {
        9 => Some(("more", "bug\n")),
        13 => Some(("other", "bug\n")),
        _ => None,
    });
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    let command = flaky();
    let more = ["--build-command", BUILD, "--command", &command, "--confirm", "revert"];
    let answer = run(&kiln, &repo, ends, &more).exits(5).json();
    let why = answer["answer"]["why"].as_str().unwrap();
    assert!(why.contains("still shows"), "{why}");
    assert_eq!(answer["answer"]["credible"][0][0]["id"], commits[9].as_str());
}

#[test]
fn a_commit_that_cannot_be_undone_is_said_to_be() {
    let (repo, commits) = history(16, |i| match i {
        0 => Some(("more", "none\n")),
        9 => Some(("more", "bug\n")),
        12 => Some(("more", "bug, and more\n")),
        _ => None,
    });
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    let command = flaky();
    let more = ["--build-command", BUILD, "--command", &command, "--confirm", "revert"];
    let answer = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["finding"], "not-reverted", "{finding:#}");
    assert!(finding["why"].as_str().unwrap().contains("same lines of more"), "{finding:#}");
}

#[test]
fn no_commit_is_undone_beyond_the_budget() {
    let (repo, commits) = history(16, |i| (i == 9).then_some(("more", "bug\n")));
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    let command = flaky();
    let more = ["--build-command", BUILD, "--command", &command];
    run(&kiln, &repo, ends, &more).exits(0);
    // All of that is known now, and nothing else may be built.
    let more = [&more[..], &["--confirm", "revert", "--max-builds", "0"]].concat();
    let answer = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["finding"], "not-reverted", "{finding:#}");
    assert!(finding["why"].as_str().unwrap().contains("budget of builds"), "{finding:#}");
    assert_eq!(answer["bill"]["builds_compiled"], 0, "{:#}", answer["bill"]);
}

#[test]
fn a_command_that_is_too_slow_is_told_from_a_broken_host() {
    let (repo, commits) = history(4, |_| None);
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[3].as_str());
    let more = ["--build-command", BUILD, "--command", "sleep 30", "--run-timeout", "1"];
    run(&kiln, &repo, ends, &more).exits(1).complains(&["ran longer than 1 s", "--run-timeout"]);
}

#[test]
fn a_kernel_that_cannot_be_run_is_left_out_when_others_run() {
    let (repo, commits) = history(16, |i| (i == 9).then_some(("more", "bug\n")));
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    // The culprit's parent, which must be run before the culprit is named.
    let command = format!("[ \"$KILN_COMMIT\" = {} ] && sleep 30; {}", commits[8], flaky());
    let more = ["--build-command", BUILD, "--command", &command, "--run-timeout", "1"];
    let answer = run(&kiln, &repo, ends, &more).exits(5).json();
    let set: Vec<&str> = answer["answer"]["credible"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one[0]["id"].as_str().unwrap())
        .collect();
    assert!(set.contains(&commits[8].as_str()) && set.contains(&commits[9].as_str()), "{set:?}");
    assert!(answer.to_string().contains("can't be run here, though others can"), "{answer:#}");
}

#[test]
fn a_fix_is_confirmed_by_the_crash_that_comes_back() {
    let (repo, commits) = history(16, |i| match i {
        0 => Some(("more", "bug\n")),
        9 => Some(("more", "mended\n")),
        _ => None,
    });
    let kiln = Kiln::new();
    let ends = (commits[15].as_str(), commits[2].as_str());
    let command = flaky();
    let more =
        ["--find", "fix", "--build-command", BUILD, "--command", &command, "--confirm", "revert"];
    let answer = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["holds"], true, "{finding:#}");
    assert!(finding["target"].as_u64().unwrap() >= 2, "{finding:#}");
}

#[test]
fn a_commit_that_only_switched_the_detector_on_is_flagged() {
    let (repo, commits) = history(16, |i| match i {
        0 => Some(("config", "CONFIG_A=y\n# CONFIG_KASAN is not set\n")),
        9 => Some(("config", "CONFIG_A=y\nCONFIG_KASAN=y\n")),
        _ => None,
    });
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[15].as_str());
    let build = "cat file-* >\"$KILN_OUT/program\"; cp config \"$KILN_OUT/.config\"";
    let command = "! grep -q KASAN=y \"$KILN_ARTIFACTS/.config\"";
    let more = ["--build-command", build, "--command", command];
    let answer = run(&kiln, &repo, ends, &more).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["finding"], "visibility", "{answer:#}");
    assert!(finding["reasons"][0].as_str().unwrap().contains("CONFIG_KASAN"), "{finding:#}");
}

/// Its runs would be counted beside those of another test.
#[test]
fn another_test_is_no_way_to_go_on() {
    let (repo, commits) = history(64, |i| (i == 40).then_some(("more", "bug\n")));
    let kiln = Kiln::new();
    let script = kiln.work().with_extension("sh");
    std::fs::write(&script, format!("#!/bin/sh\nsleep 0.3; {}\n", flaky())).unwrap();
    let command = format!("sh {}", script.display());
    let mut start = kiln.command();
    start.args(["bisect", "--repo", repo.arg(), "--good", &commits[0], "--bad", &commits[63]]);
    start.args(["--build-command", BUILD, "--command", &command]);
    let mut child = start.stderr(Stdio::null()).spawn().unwrap();
    let list = || kiln.bisections();
    let shown = |id: &str| kiln.run(&["bisect", "show", id, "--json"]).exits(0).json();
    let begun = Instant::now();
    let id = loop {
        assert!(begun.elapsed().as_secs() < 120 && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
        if let Some(id) = list()[0]["id"].as_str()
            && events(&shown(id), "step").next().is_some()
        {
            break id.to_owned();
        }
    };
    let said = |command: &[&str]| kiln.run(&[&["bisect"], command].concat()).exits(0).stdout;
    let process = child.id();
    assert!(said(&["show", &id]).contains(&format!("it runs, as process {process} on this host")));
    assert!(said(&["list"]).contains(&format!("runs (process {process})")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said(&["show", &id]).contains("unfinished; `kiln bisect resume"));
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    kiln.run(&["bisect", "resume", &id]).exits(1).complains(&["the test is not what it was"]);
    std::fs::write(&script, format!("#!/bin/sh\nsleep 0.3; {}\n", flaky())).unwrap();
    let answer = kiln.run(&["bisect", "resume", &id, "--json"]).exits(0).json();
    assert_eq!(culprit(&answer), commits[40], "{answer:#}");
}

#[test]
fn a_budget_of_time_is_kept() {
    let (repo, commits) = history(64, |i| (i == 40).then_some(("more", "bug\n")));
    let kiln = Kiln::new();
    let ends = (commits[0].as_str(), commits[63].as_str());
    let slow = format!("sleep 0.3; {}", flaky());
    let begun = Instant::now();
    let more = ["--build-command", BUILD, "--command", &slow, "--budget", "6s"];
    let answer = run(&kiln, &repo, ends, &more).exits(5).json();
    // Single tests may take longer than expected, on a busy machine much longer.
    assert!(begun.elapsed().as_secs_f64() < 30.0, "{:?}", begun.elapsed());
    let said = &answer["answer"];
    assert!(answer["bill"]["runs_made"].as_u64().unwrap() > 3, "{:#}", answer["bill"]);
    assert!(said["why"].as_str().unwrap().contains("budget"), "{said:#}");
    assert!(said["more"]["runs"].as_u64().unwrap() > 0, "{said:#}");
    assert!(said["more"]["seconds"].as_f64().unwrap() > 0.0, "{said:#}");
}

#[test]
fn a_build_that_outlasts_the_budget_is_given_up() {
    let (repo, commits) = history(64, |i| (i == 40).then_some(("more", "bug\n")));
    let ends = (commits[0].as_str(), commits[63].as_str());
    let asked = |kiln: &Kiln, build: &str, more: &[&str]| {
        let more = [&["--build-command", build, "--command", &flaky(), "--budget", "3s"], more];
        run(kiln, &repo, ends, &more.concat()).exits(5).json()
    };
    let given_up = |answer: &Value| {
        let said = &answer["answer"];
        assert!(said["why"].as_str().unwrap().contains("budget of time"), "{said:#}");
        assert_eq!(answer["bill"]["builds_given_up"], 1, "{:#}", answer["bill"]);
        said["credible"].as_array().unwrap().len()
    };
    // (Were they not given up, these would take an hour.)
    let nothing = asked(&Kiln::new(), &format!("sleep 3600; {BUILD}"), &[]);
    assert_eq!(given_up(&nothing), 0, "of no commit anything is known: {nothing:#}");
    assert!(nothing["answer"]["more"]["build"].as_bool().unwrap(), "{nothing:#}");
    for builders in ["0", "2"] {
        let kiln = Kiln::new();
        let flag = kiln.work().parent().unwrap().join("second");
        let flag = flag.display();
        let build = format!("if test -e {flag}; then sleep 3600; fi; touch {flag}; {BUILD}");
        let answer = asked(&kiln, &build, &["--builders", builders]);
        assert_eq!(answer["bill"]["builds_compiled"], 1, "{:#}", answer["bill"]);
        assert!(answer["bill"]["runs_made"].as_u64().unwrap() > 0, "{:#}", answer["bill"]);
        let left = match builders {
            "0" => given_up(&answer),
            _ => {
                let said = &answer["answer"];
                assert!(said["why"].as_str().unwrap().contains("budget of time"), "{said:#}");
                said["credible"].as_array().unwrap().len()
            }
        };
        assert!(left > 50, "{answer:#}");
    }
}
