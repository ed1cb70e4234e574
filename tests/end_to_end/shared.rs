//! What bisections of one range save each other, and the reports on them.

mod support;

use std::process::Command;

use serde_json::Value;
use support::killing::runs_that_count_once;
use support::{Kiln, Repo, coin, culprit, events};

const BUILD: &str = "cat * >\"$KILN_OUT/program\"";

/// Fails one time in two when the program holds a word.
fn flaky(word: &str) -> String {
    format!("if grep -q {word} \"$KILN_ARTIFACTS/program\" && {}; then exit 1; fi", coin(2))
}

/// 64 commits; one bug comes with 21, another with 43.
fn two_bugs() -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let commits = (0..64)
        .map(|i| {
            let (own, text) = (format!("file-{i:02}"), format!("version {i}\n"));
            let mut files = vec![(own.as_str(), text.as_str())];
            if i == 21 {
                files.push(("one", "first-bug\n"));
            }
            if i == 43 {
                files.push(("two", "second-bug\n"));
            }
            repo.commit(&format!("change {i}"), &files)
        })
        .collect();
    (repo, commits)
}

fn bisect(kiln: &Kiln, repo: &Repo, commits: &[String], command: &str) -> Value {
    let args = [
        "bisect",
        "--json",
        "--repo",
        repo.arg(),
        "--good",
        &commits[0],
        "--bad",
        &commits[63],
        "--confidence",
        "0.99",
        "--build-command",
        BUILD,
        "--command",
        command,
    ];
    kiln.run(&args).exits(0).json()
}

fn bill(answer: &Value, key: &str) -> u64 {
    answer["bill"][key].as_u64().unwrap()
}

#[test]
#[allow(clippy::print_stdout)] // What is saved is worth seeing.
fn bisections_of_one_range_share_builds_and_of_one_test_also_runs() {
    let (repo, commits) = two_bugs();
    let kiln = Kiln::new();
    let questions = [
        ("first reproducer", flaky("first-bug"), 21),
        ("second reproducer", flaky("second-bug"), 43),
        ("first, another version", format!("true; {}", flaky("first-bug")), 21),
        ("first, asked again", flaky("first-bug"), 21),
    ];
    let mut answers = Vec::new();
    println!("{:<24} {:>6} {:>6} {:>6} {:>6}", "question", "builds", "spared", "runs", "spared");
    for (name, command, culprit) in &questions {
        let answer = bisect(&kiln, &repo, &commits, command);
        assert_eq!(answer["answer"]["commit"]["id"], commits[*culprit].as_str(), "{answer:#}");
        let spared =
            bill(&answer, "builds_avoided_input") + bill(&answer, "builds_avoided_closure");
        println!(
            "{name:<24} {:>6} {spared:>6} {:>6} {:>6}",
            bill(&answer, "builds_compiled"),
            bill(&answer, "runs_made"),
            bill(&answer, "runs_avoided_evidence"),
        );
        answers.push(answer);
    }
    let compiled: Vec<u64> = answers.iter().map(|a| bill(a, "builds_compiled")).collect();
    // All that was built for the others is there before it begins. How many more it has compiled
    // depends on what builds and runs take here, too.
    let known =
        |answer: &Value| events(answer, "range").next().unwrap()["builds_known"].as_u64().unwrap();
    assert_eq!(known(&answers[1]), compiled[0], "{compiled:?}");
    assert_eq!(known(&answers[2]), compiled[0] + compiled[1], "{compiled:?}");
    assert!(compiled[2] < compiled[0], "{compiled:?}");
    assert_eq!(bill(&answers[1], "runs_avoided_evidence"), 0, "another test has other evidence");
    assert_eq!((compiled[3], bill(&answers[3], "runs_made")), (0, 0));
    assert!(bill(&answers[3], "runs_avoided_evidence") > 0);
}

/// What is built beforehand is run side by side, and each revision's runs are its own.
#[test]
fn machines_run_several_revisions_where_all_is_built() {
    let (repo, commits) = two_bugs();
    let kiln = Kiln::new();
    for commit in &commits {
        let build = ["build", commit, "--repo", repo.arg(), "--build-command", BUILD];
        kiln.run(&build).exits(0);
    }
    let ends = ["--good", commits[0].as_str(), "--bad", commits[63].as_str()];
    let command = "sleep 0.2; ! grep -q first-bug \"$KILN_ARTIFACTS/program\"";
    let how = ["--build-command", BUILD, "--command", command, "--machines", "6", "--json"];
    let args = [&["bisect", "--repo", repo.arg()][..], &ends, &how].concat();
    let answer = kiln.run(&args).exits(0).complains(&["revisions side by side:"]);
    let record = answer.json();
    assert_eq!(culprit(&record), commits[21], "{record:#}");
    assert_eq!(bill(&record, "builds_compiled"), 0);
    let rounds: Vec<&Value> = events(&record, "decided")
        .filter_map(|decided| decided["beside"]["several"].as_array())
        .flatten()
        .collect();
    assert!(rounds.len() > 4, "{rounds:?}");
    // One crashes always and the other never: nothing of one was counted for another.
    for step in events(&record, "step") {
        let at = commits.iter().position(|commit| step["commit"]["id"] == **commit).unwrap();
        for run in step["runs"].as_array().unwrap() {
            let crashed = run["outcome"]["kind"] == "crash";
            assert_eq!(crashed, at >= 21, "{at}: {run:#}");
        }
    }
    runs_that_count_once(&record);
    kiln.run(&["bisect", "replay-check", record["id"].as_str().unwrap()]).exits(0);
}

#[test]
fn a_report_is_a_mail_and_a_page_of_its_own() {
    let (repo, commits) = two_bugs();
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &repo, &commits, &flaky("first-bug"));
    let id = answer["id"].as_str().unwrap();

    let mail = kiln.run(&["bisect", "report", id]).exits(0).stdout;
    for words in [
        "Subject: [bisected]",
        "with probability",
        &commits[21][..12],
        "change 21",
        "Fixes: ",
        "The reproducer",
        "Evidence",
        "kiln show ",
        "that it has the bug and hid it",
        id,
    ] {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&mail).contains(&flat(words)), "no '{words}' in\n{mail}");
    }
    for line in mail.lines().take_while(|line| *line != "The reproducer") {
        assert!(line.chars().count() <= 72 || line.contains("Fixes: "), "{line}");
    }
    let json = kiln.run(&["bisect", "report", id, "--json"]).exits(0).json();
    assert_eq!(json["mail"].as_str().unwrap().trim(), mail.trim());
    assert_eq!(json["report"]["answer"]["commit"]["id"], commits[21].as_str());

    let page = kiln.work().with_extension("html");
    kiln.run(&["bisect", "report", id, "--html", page.to_str().unwrap()]).exits(0);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains(&commits[21]), "{html}");
    for outside in ["http://", "https://", "src=", "<link", "<script", "@import"] {
        assert!(!html.contains(outside), "the page needs '{outside}'");
    }
}

#[test]
fn plain_lines_where_nobody_watches() {
    let (repo, commits) = two_bugs();
    let kiln = Kiln::new();
    let command = flaky("first-bug");
    let mut start: Command = kiln.command();
    start.args([
        "bisect",
        "--repo",
        repo.arg(),
        "--good",
        &commits[0],
        "--bad",
        &commits[63],
        "--build-command",
        BUILD,
        "--command",
        &command,
    ]);
    let output = start.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains('\u{1b}'), "no escapes in a file: {said}");
    assert!(said.contains("expected: about "), "{said}");
    for line in said.lines().chain(String::from_utf8_lossy(&output.stdout).lines()) {
        let is_path = line.contains(kiln.store().to_str().unwrap());
        assert!(line.chars().count() <= 80 || is_path, "{line}");
    }
}
