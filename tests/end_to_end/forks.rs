//! Side branches that forked off before the good end and were merged after it.

mod support;

use serde_json::Value;
use support::{Answer, Kiln, Repo, coin, culprit, events};

/// The "kernel" is all files together.
const BUILD: &str = "cat * >\"$KILN_OUT/program\"";

/// Fails one time in two where a build holds a bug that is not mended, and always where it holds another.
fn flaky() -> String {
    let (bug, mended) = ("grep -q bug program", "grep -q mended program");
    format!(
        "cd \"$KILN_ARTIFACTS\"; if grep -q again program; then exit 1; fi; \
         if {bug} && ! {mended} && {}; then exit 1; fi",
        coin(2)
    )
}

/// Commits on the branch that is checked out; some bring a word.
fn line(repo: &Repo, name: &str, n: usize, word: Option<(usize, &str)>) -> Vec<String> {
    let commits = (0..n).map(|i| {
        let (text, file) = (format!("{name} {i}\n"), format!("file-{name}"));
        let subject = format!("{name} {i}");
        match word.filter(|(at, _)| *at == i) {
            None => repo.commit(&subject, &[(&file, &text)]),
            Some((_, word)) => {
                repo.commit(&subject, &[(&file, &text), (word, &format!("{word}\n"))])
            }
        }
    });
    commits.collect()
}

/// A history with a branch, and the commits that matter.
struct Forked {
    repo: Repo,
    fork: String,
    good: String,
    bad: String,
    branch: Vec<String>,
    after: Vec<String>,
}

/// What brings which word: the branch's first commit, the fork point, main before the good end, and what
/// follows the merge.
struct Words {
    branch: Option<&'static str>,
    fork: Option<&'static str>,
    main: Option<&'static str>,
    after: Option<&'static str>,
}

fn forked(words: &Words) -> Forked {
    let repo = Repo::new();
    let fork = line(&repo, "root", 3, words.fork.map(|word| (1, word))).pop().unwrap();
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    let branch = line(&repo, "side", 24, words.branch.map(|word| (0, word)));
    repo.git(&["checkout", "--quiet", "main"]);
    let good = line(&repo, "main", 3, words.main.map(|word| (1, word))).pop().unwrap();
    line(&repo, "more", 3, None);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge side", "side"]);
    let after = line(&repo, "after", 4, words.after.map(|word| (2, word)));
    let bad = after[3].clone();
    Forked { repo, fork, good, bad, branch, after }
}

fn bisect(kiln: &Kiln, forked: &Forked, build: &str, more: &[&str]) -> Answer {
    let Forked { repo, good, bad, .. } = forked;
    let command = flaky();
    let args = ["bisect", "--json", "--repo", repo.arg(), "--good", good, "--bad", bad];
    let how = ["--confidence", "0.99", "--build-command", build, "--command", &command];
    kiln.run(&[&args[..], &how, more].concat())
}

fn visits<'a>(record: &'a Value, commit: &'a str) -> impl Iterator<Item = &'a Value> {
    events(record, "step").filter(move |step| step["commit"]["id"] == commit)
}

fn record(kiln: &Kiln, answer: &Value) -> Value {
    let id = answer["id"].as_str().unwrap();
    let replayed = kiln.run(&["bisect", "replay-check", id, "--json"]).exits(0).json();
    assert_eq!(replayed["same"], replayed["decisions"], "{replayed:#}");
    // It ends as the bisection did.
    kiln.run(&["bisect", "show", id, "--json"]).json()
}

/// The bug comes with the first commit of the branch.
const ON_THE_BRANCH: Words = Words { branch: Some("bug"), fork: None, main: None, after: None };

#[test]
fn the_first_commit_of_the_branch_is_named_beside_its_own_parent() {
    let forked = forked(&ON_THE_BRANCH);
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &forked, BUILD, &[]).exits(0).json();
    assert_eq!(culprit(&answer), forked.branch[0], "{answer:#}");
    let parents = answer["answer"]["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 1, "{answer:#}");
    assert_eq!(parents[0]["id"], forked.fork.as_str(), "{answer:#}");
    let id = answer["id"].as_str().unwrap();
    let mail = kiln.run(&["bisect", "report", id]).exits(0).stdout;
    let says = format!("Its parent {} ran clean", &forked.fork[..12]);
    assert!(mail.contains(&says), "{mail}");
    let record = record(&kiln, &answer);
    let runs = visits(&record, &forked.fork).flat_map(|step| step["runs"].as_array().unwrap());
    assert!(runs.count() >= 4, "{record:#}");

    // git agrees, and what was tested is known.
    let log = forked.repo.path().join("bisect.log");
    let text = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    std::fs::write(&log, &text).unwrap();
    let replayed = forked.repo.git(&["bisect", "replay", log.to_str().unwrap()]);
    assert!(replayed.contains(&format!("{} is the first bad commit", forked.branch[0])), "{text}");
    let again = bisect(&kiln, &forked, BUILD, &[]).exits(0).json();
    assert_eq!(culprit(&again), forked.branch[0], "{again:#}");
    assert_eq!(again["bill"]["builds_compiled"], 0, "{:#}", again["bill"]);
    assert_eq!(again["bill"]["runs_made"], 0, "{:#}", again["bill"]);
}

#[test]
fn a_fork_point_that_does_not_build_is_said_to_be_untested() {
    let forked = forked(&ON_THE_BRANCH);
    let kiln = Kiln::new();
    // Of all commits, the fork point alone has neither a file of main nor of the branch.
    let build = format!(
        "if ! ls file-main file-side 2>/dev/null | grep -q file; then echo 'a:1:1: error: x'; exit 1; fi; \
         {BUILD}"
    );
    let answer = bisect(&kiln, &forked, &build, &[]).exits(0).json();
    assert_eq!(culprit(&answer), forked.branch[0], "{answer:#}");
    let answered = &answer["answer"];
    assert!(answered["parents"].as_array().unwrap().is_empty(), "{answer:#}");
    assert_eq!(answered["untested"][0]["id"], forked.fork.as_str(), "{answer:#}");
    assert_eq!(answered["findings"][0]["finding"], "fork-untested", "{answer:#}");
    let id = answer["id"].as_str().unwrap();
    let text = kiln.run(&["bisect", "show", id]).exits(0).stdout;
    assert!(text.contains("the bug may have been there already"), "{text}");
    let text = kiln.run(&["bisect", "report", id]).exits(0).stdout;
    assert!(text.contains("beware: its branch forked off at"), "{text}");
    record(&kiln, &answer);
}

#[test]
fn a_branch_that_had_the_bug_before_is_left_out() {
    // Main has mended the bug before the good end, and so has the merge; another cause comes later.
    let words =
        Words { branch: None, fork: Some("bug"), main: Some("mended"), after: Some("again") };
    let forked = forked(&words);
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &forked, BUILD, &[]).exits(0).json();
    assert_eq!(culprit(&answer), forked.after[2], "{answer:#}");
    let finding = &answer["answer"]["findings"][0];
    assert_eq!(finding["finding"], "fork-shows", "{answer:#}");
    assert_eq!(finding["fork"]["id"], forked.fork.as_str(), "{answer:#}");
    let record = record(&kiln, &answer);
    assert!(visits(&record, &forked.branch[0]).count() > 0, "it was suspected: {record:#}");
    let id = answer["id"].as_str().unwrap();
    let text = kiln.run(&["bisect", "report", id]).exits(0).stdout;
    assert!(text.contains("Left out was a branch"), "{text}");
}

#[test]
fn without_another_cause_the_answer_says_that_the_branch_had_the_bug_before() {
    // The merge brings the bug of the branch back.
    let words = Words { branch: None, fork: Some("bug"), main: Some("mended"), after: None };
    let mut forked = forked(&words);
    forked.repo.git(&["rm", "--quiet", "mended"]);
    forked.repo.git(&["reset", "--quiet", "--soft", "HEAD~4"]);
    forked.repo.git(&["commit", "--quiet", "--amend", "--no-edit"]);
    forked.after = line(&forked.repo, "then", 2, None);
    forked.bad = forked.after[1].clone();
    let kiln = Kiln::new();
    let answer = bisect(&kiln, &forked, BUILD, &[]).exits(5).json();
    let why = answer["answer"]["why"].as_str().unwrap();
    assert!(why.contains(&forked.fork[..12]), "{why}");
    assert!(why.contains("was there before a branch forked off"), "{why}");
    let merge = forked.repo.git(&["rev-parse", "HEAD~2"]);
    let set = answer["answer"]["credible"].as_array().unwrap();
    assert!(set.iter().any(|entry| entry[0]["id"] == merge.as_str()), "{answer:#}");
    record(&kiln, &answer);
}
