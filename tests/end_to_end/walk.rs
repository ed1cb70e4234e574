//! Bisections without a good end: it is looked for among the releases.

mod support;

use serde_json::Value;
use support::killing::{Kills, killed_and_resumed, runs_that_count_once};
use support::{Kiln, Repo, coin, culprit, events};

/// The "kernel" is the file `program`; one that says so does not build.
const BUILD: &str = "if grep -q broken program; then echo 'program:1:1: error: broken'; exit 1; fi; \
                     cp program \"$KILN_OUT/program\"";

/// A history of `n` commits with the bug from `culprit` on, and releases: name, commit, whether it
/// builds.
fn history(n: usize, culprit: usize, tags: &[(&str, usize, bool)]) -> (Repo, Vec<String>) {
    let repo = Repo::new();
    let mut commits = Vec::new();
    for i in 0..n {
        let bug = if i >= culprit { "bug\n" } else { "" };
        let tag = tags.iter().find(|(_, at, _)| *at == i);
        let broken = if tag.is_some_and(|(_, _, builds)| !builds) { "broken\n" } else { "" };
        let text = format!("version {i}\n{bug}{broken}");
        commits.push(repo.commit(&format!("change {i}"), &[("program", &text)]));
        if let Some((name, ..)) = tag {
            repo.git(&["tag", name]);
        }
    }
    (repo, commits)
}

/// Fails one time in `n` when the program holds the bug.
fn flaky(n: u32) -> String {
    format!("if grep -q bug \"$KILN_ARTIFACTS/program\" && {}; then exit 1; fi", coin(n))
}

fn args(repo: &Repo, bad: &str, command: &str) -> Vec<String> {
    ["bisect", "--json", "--repo", repo.arg(), "--bad", bad]
        .into_iter()
        .chain(["--confidence", "0.99", "--build-command", BUILD, "--command", command])
        .map(str::to_owned)
        .collect()
}

/// The ends that were searched between, in order.
fn ends(answer: &Value) -> Vec<(String, String)> {
    let id = |end: &Value| end["id"].as_str().unwrap().to_owned();
    events(answer, "ends").map(|event| (id(&event["good"]), id(&event["bad"]))).collect()
}

const RELEASES: &[(&str, usize, bool)] =
    &[("v1.0", 4, true), ("v1.1", 16, true), ("v1.2", 30, true), ("v1.3-rc1", 44, true)];

#[test]
fn a_culprit_between_two_releases_is_found_and_everybody_is_told_how() {
    let (repo, commits) = history(50, 22, RELEASES);
    let kiln = Kiln::new();
    let args = args(&repo, &commits[49], &flaky(3));
    let answer = kiln.run(&args).exits(0);
    let said = answer.stderr.clone();
    assert!(said.contains("no good end is given") && said.contains("among 4 releases"), "{said}");
    let answer = answer.json();
    assert_eq!(culprit(&answer), commits[22], "{answer:#}");
    let (good, bad) = ends(&answer).pop().unwrap();
    assert!(good == commits[16] || good == commits[4], "{answer:#}");
    assert!([30, 44, 49].iter().any(|at| commits[*at] == bad), "{answer:#}");
    let good = good.as_str();
    assert_eq!(answer["good"]["id"], good);
    let tested = answer["probability_bad"].as_array().unwrap();
    let bad_end = tested.iter().find(|tested| tested[0] == commits[49].as_str()).unwrap();
    assert!(bad_end[1].as_f64().unwrap() > 0.98, "{tested:#?}");
    assert!(answer["header"].get("good").is_none(), "{:#}", answer["header"]);
    let tested = answer["releases"].as_array().unwrap();
    let clean = tested.iter().find(|release| release["commit"]["id"] == good).unwrap();
    // How often it is run depends on what runs and builds take here.
    assert!(clean["clean"].as_u64().unwrap() > 0 && clean["target"] == 0, "{clean:#}");
    assert!(clean["bad"].as_f64().unwrap() < 0.05, "{clean:#}");

    let id = answer["id"].as_str().unwrap();
    let shown = kiln.run(&["bisect", "show", id]).exits(0).stdout;
    let name = clean["release"].as_str().unwrap();
    assert!(shown.lines().any(|line| line.starts_with("release")), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with(name)), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let mail = kiln.run(&["bisect", "report", id]).exits(0).stdout;
    assert!(mail.contains("No good end was given") && mail.contains(name), "{mail}");
    let log = kiln.run(&["bisect", "log", id]).exits(0).stdout;
    assert!(log.contains(&format!("testing release {name}\ntesting commit {good}\n")), "{log}");
    let git = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    let file = repo.path().join("bisect.log");
    std::fs::write(&file, &git).unwrap();
    let replayed = repo.git(&["bisect", "replay", file.to_str().unwrap()]);
    assert!(replayed.contains(&format!("{} is the first bad", commits[22])), "{replayed}\n{git}");
    repo.git(&["bisect", "reset"]);
    // Each decision can be made again, those of the walk too.
    let check = kiln.run(&["bisect", "replay-check", id, "--json"]).exits(0).json();
    let walked = events(&answer, "walked").count();
    assert!(walked > 1 && check["decisions"].as_u64().unwrap() > walked as u64, "{check:#}");

    let again = kiln.run(&args).exits(0).json();
    assert_eq!(culprit(&again), commits[22]);
    assert_eq!(again["bill"]["builds_compiled"], 0, "{:#}", again["bill"]);
    assert_eq!(again["bill"]["runs_made"], 0, "{:#}", again["bill"]);
}

#[test]
fn releases_that_do_not_build_are_passed_over() {
    let tags: Vec<(String, usize, bool)> =
        (1..12).map(|at| (format!("v1.{at}"), at * 4, at == 5)).collect();
    let tags: Vec<(&str, usize, bool)> =
        tags.iter().map(|(name, at, builds)| (name.as_str(), *at, *builds)).collect();
    let (repo, commits) = history(50, 27, &tags);
    let kiln = Kiln::new();
    let answer = kiln.run(&args(&repo, &commits[49], &flaky(1))).exits(0).json();
    assert_eq!(culprit(&answer), commits[27], "{answer:#}");
    assert_eq!(ends(&answer).last().unwrap().0, commits[20], "{answer:#}");
    let tried = answer["releases"].as_array().unwrap();
    let broken = tried.iter().find(|release| release["fate"] == "does-not-build").unwrap();
    assert!(broken["error"].as_str().unwrap().contains("error: broken"), "{broken:#}");
    let shown = kiln.run(&["bisect", "show", answer["id"].as_str().unwrap()]).exits(0).stdout;
    assert!(shown.contains("does not build: program:1:1"), "{shown}");
}

#[test]
fn a_bug_of_all_releases_is_older_than_the_oldest() {
    let (repo, commits) = history(50, 2, RELEASES);
    let kiln = Kiln::new();
    let mut args = args(&repo, &commits[49], &flaky(2));
    let answer = kiln.run(&args).exits(6).json();
    let verdict = &answer["answer"];
    assert_eq!(
        (verdict["verdict"].as_str(), verdict["release"].as_str()),
        (Some("older-than-good"), Some("v1.0"))
    );
    assert!(verdict["target"].as_u64().unwrap() >= 2, "{verdict:#}");
    assert!(verdict["probability"].as_f64().unwrap() > 0.98, "{verdict:#}");
    args.retain(|arg| arg != "--json");
    let said = kiln.run(&args).exits(6).stdout;
    let said = said.replace('\n', " ");
    assert!(
        said.contains("the oldest release that can be tested with this build command"),
        "{said}"
    );
    let id = answer["id"].as_str().unwrap();
    let git = kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0).stdout;
    assert!(!git.contains("git bisect good") && git.contains("nothing to bisect"), "{git}");
    let syzkaller = kiln.run(&["bisect", "log", id]).exits(0).stdout;
    assert!(syzkaller.contains("oldest tested release already had the bug"), "{syzkaller}");
    kiln.run(&["bisect", "replay-check", id]).exits(0);
}

#[test]
fn a_good_end_that_turns_out_to_be_bad_leads_on_to_an_older_one() {
    // The image of v1.1 has the bug, and hides it in its first runs.
    let (repo, commits) = history(50, 9, RELEASES);
    let kiln = Kiln::new();
    let late = "if grep -q '^version 16$' \"$KILN_ARTIFACTS/program\"; then \
                echo x >>\"$KILN_COIN.late\"; [ $(wc -l <\"$KILN_COIN.late\") -gt 14 ] || exit 0; fi; ";
    let command = format!("{late}{}", flaky(2));
    let answer = kiln.run(&args(&repo, &commits[49], &command)).exits(0).json();
    assert_eq!(culprit(&answer), commits[9], "{answer:#}");
    let ends = ends(&answer);
    assert_eq!(ends.last().unwrap().0, commits[4], "{answer:#}");
    assert!(ends.iter().any(|(good, _)| *good == commits[16]), "v1.1 was believed: {ends:?}");
    let id = answer["id"].as_str().unwrap();
    kiln.run(&["bisect", "replay-check", id]).exits(0);
}

#[test]
fn without_releases_or_budget_it_says_what_to_do() {
    let (repo, commits) = history(6, 3, &[("v1.0", 5, true), ("of-mine", 1, true)]);
    let kiln = Kiln::new();
    // The only release is the bad end itself.
    kiln.run(&args(&repo, &commits[5], "true")).exits(1).complains(&["--good", "no release tag"]);
    let mut fix = args(&repo, &commits[1], "true");
    fix.extend(["--find".to_owned(), "fix".to_owned()]);
    kiln.run(&fix).exits(2).complains(&["--good"]);

    let (repo, commits) = history(50, 9, RELEASES);
    let mut few = args(&repo, &commits[49], &flaky(1));
    few.extend(["--max-builds".to_owned(), "1".to_owned()]);
    let answer = kiln.run(&few).exits(5).json();
    let why = answer["answer"]["why"].as_str().unwrap();
    assert!(why.contains("budget of builds") && why.contains("no good end"), "{why}");
    assert_eq!(answer["answer"]["more"]["build"], true, "{answer:#}");
    let older = answer["answer"]["older"].as_f64().unwrap();
    assert!(older > 0.005 && older < 0.5, "{answer:#}");
}

/// Releases that crashed by chance are no bad ends: the walk goes on, and the bad end is not said to
/// have ended well.
#[test]
fn a_release_that_crashed_by_chance_is_no_bad_end() {
    let (repo, commits) = history(50, 35, RELEASES);
    let kiln = Kiln::new();
    // The image of v1.2 is good; its first run fails all the same.
    let chance = "if grep -q '^version 30$' \"$KILN_ARTIFACTS/program\"; then \
                  echo x >>\"$KILN_COIN.chance\"; [ $(wc -l <\"$KILN_COIN.chance\") -gt 1 ] || exit 1; fi; ";
    let command = format!("{chance}{}", flaky(1));
    let args = args(&repo, &commits[49], &command);
    let answer = kiln.run(&args).json();
    let verdict = answer["answer"]["verdict"].as_str().unwrap();
    assert_ne!(verdict, "not-reproduced", "{answer:#}");
    let ends = ends(&answer);
    if ends.iter().any(|(_, bad)| *bad == commits[30]) {
        assert!(ends.last().unwrap().1 != commits[30], "{ends:?}");
        assert_eq!(events(&answer, "skipped").next().unwrap()["release"], "v1.2", "{answer:#}");
    }
    kiln.run(&["bisect", "replay-check", answer["id"].as_str().unwrap()]).exits(0);
}

#[test]
fn releases_older_than_those_that_are_too_old_are_named_and_not_built() {
    let names: Vec<String> = (1..20).map(|at| format!("v1.{at}")).collect();
    // All show the bug, and those up to v1.14 do not build.
    let tags: Vec<(&str, usize, bool)> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at * 2 + 2, at >= 14)).collect();
    let (repo, commits) = history(50, 0, &tags);
    let kiln = Kiln::new();
    let answer = kiln.run(&args(&repo, &commits[49], &flaky(1))).exits(6).json();
    assert_eq!(answer["answer"]["release"], "v1.15", "{answer:#}");
    let fates = answer["releases"].as_array().unwrap();
    let count = |fate: &str| fates.iter().filter(|release| release["fate"] == fate).count();
    assert!((3..9).contains(&count("does-not-build")), "{fates:#?}");
    assert!(count("skipped") > 3, "{fates:#?}");
    let why = fates.iter().find(|release| release["fate"] == "skipped").unwrap()["why"].to_string();
    assert!(why.contains("not tried") && why.contains("fail alike"), "{why}");
}

#[test]
fn killed_on_its_way_it_goes_on_where_it_was() {
    let (repo, commits) = history(50, 22, RELEASES);
    let command = format!("sleep 0.02; {}", flaky(3));
    let mut kills = Kills::new(12, 0x2545_f491_4f6c_dd1d, 500);
    while kills.left > 0 {
        let kiln = Kiln::new();
        let start = || {
            let mut start = kiln.command();
            start.args(args(&repo, &commits[49], &command));
            start
        };
        let (answer, record) = killed_and_resumed(&kiln, start, &mut kills, |_, id| {
            if let Some(id) = id {
                kiln.run(&["bisect", "log", id, "--format", "git"]).exits(0);
            }
        });
        assert_eq!(culprit(&answer), commits[22], "{answer:#}");
        runs_that_count_once(&record);
    }
}
