use std::path::PathBuf;

use kiln_cache::evidence::Outcome;

use super::*;

/// Logs of a folder of shared data, with their names; nothing where it is absent.
pub(crate) fn shared(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
    let Ok(files) = std::fs::read_dir(&folder) else {
        kiln_skip::skip(kiln_skip::Lack::Shared, format_args!("no {}", folder.display()));
        return Vec::new();
    };
    let mut all: Vec<(String, Vec<u8>)> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// A field of the bill, read from the text without the reader.
fn stated(text: &str, from: &str, to: &str) -> String {
    let bill = text.lines().rfind(|line| line.starts_with("revisions tested: ")).unwrap();
    let rest = &bill[bill.find(from).unwrap() + from.len()..];
    rest[..rest.find(to).unwrap()].to_owned()
}

#[test]
fn every_shared_log_is_understood() {
    let mut problems = Vec::new();
    for folder in ["syzbot-bisections", "seed-bisections"] {
        for (name, bytes) in shared(folder) {
            let log = read(&bytes);
            for line in &log.unrecognised {
                problems.push(format!("{name}:{}: {}", line.line, line.text));
            }
            let text = String::from_utf8_lossy(&bytes);
            let totals = log.totals.expect("a bill");
            assert_eq!(totals.revisions.to_string(), stated(&text, "tested: ", ","), "{name}");
            for (seconds, field, end) in [
                (totals.total_seconds, "total time: ", " ("),
                (totals.build_seconds, "build: ", ","),
                (totals.test_seconds, "test: ", ")"),
            ] {
                let want = duration::seconds(&stated(&text, field, end)).unwrap();
                assert_eq!(seconds, want, "{name}: {field}");
            }
            // syzkaller did not always count revisions that did not build.
            let ran = log.tests.iter().filter(|test| test.counts.total() > 0).count() as u32;
            if !(ran..=log.counted()).contains(&totals.revisions) {
                problems.push(format!("{name}: {ran} ran, {} counted, {totals:?}", log.counted()));
            }
            let says = |word: &str| text.lines().any(|line| line.starts_with(word));
            let fine = match &log.answer {
                Answer::Culprit { commit, title } => {
                    says(format!("first bad commit: {commit} {title}").trim_end())
                }
                Answer::Inconclusive { commits } => {
                    commits.len() > 1 && says("bisection is inconclusive")
                }
                Answer::BeyondRange => {
                    says("the crash already happened on the oldest tested release")
                        || says("oldest tested release already had the bug")
                }
                Answer::Error { message } => says(&format!("error: {}", first_line(message))),
                Answer::Unfinished => false,
            };
            assert!(fine, "{name}: {:?}", log.answer);
            // Every verdict that the log states is on the revision that it names.
            let marks = text.lines().filter(|line| is_mark(line)).count();
            let steps = log.tests.iter().filter(|test| test.role == Role::Step);
            assert_eq!(steps.filter(|test| test.mark.is_some()).count(), marks, "{name}");
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

fn is_mark(line: &str) -> bool {
    ["good", "bad", "skip"].iter().any(|w| line.starts_with(&format!("# git bisect {w} ")))
}

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";
const C: &str = "3333333333333333333333333333333333333333";

#[test]
fn a_log_of_2025_with_everything() {
    let text = format!(
        "ci2 starts bisection 2025-07-09 13:22:22.587055103 +0000 UTC m=+182.38\n\
         bisecting cause commit starting from {A}\n\
         building syzkaller on {B}\n\
         fetch other tags and check if the commit is present\n\
         ensuring issue is reproducible on original commit {A}\n\n\
         testing commit {A} clang\n\
         compiler: clang 20\n\
         kernel signature: {}\n\
         run #0: crashed: KASAN: use-after-free Read in x\n\
         run #1: infra problem: failed to boot\nmore of that\n\
         run #2: ignore: lost connection to test machine\n\
         representative crash: KASAN: use-after-free Read in x, types: [KASAN-READ UNKNOWN BUG]\n\
         check whether we can drop unnecessary instrumentation\n\
         disabling configs for [LEAK], they are not needed\n\
         testing commit {A} clang\n\
         all runs: crashed: KASAN: use-after-free Read in x\n\
         kconfig minimization: base=4000 full=8000 leaves diff=2000\n\
         split chunks (needed=false): <2000>\n\
         the chunk can be dropped\n\
         picked [v6.15 v6.14] out of 40 release tags\n\
         testing release v6.15\n\
         testing commit {B} clang\n\
         failed building {B}: no rule\nto make target\n\
         unable to determine the verdict: 0 good runs (wanted 5), for bad wanted 5 in total, got 0\n\
         # git bisect start {A} {B}\n\
         Bisecting: 5 revisions left to test after this (roughly 3 steps)\n\
         [{C}] x: y\n\n\
         testing commit {C} clang\n\
         all runs: OK\n\
         false negative chance: 0.001\n\
         # git bisect good {C}\n\
         {A} is the first bad commit\n\
         commit {A}\nAuthor: a <b>\n\n    crash: me | 3\n\n a/b.c | 3 +++\n\n\
         accumulated error probability: 0.12\n\
         parent commit {B} wasn't tested\n\
         testing commit {B} clang\n\
         culprit signature: {}\n\
         parent  signature: {}\n\
         reproducer is flaky (0.33 repro chance estimate)\n\
         revisions tested: 3, total time: 1h0m0s (build: 30m0s, test: 20m0s)\n\
         first bad commit: {A} x: y z\n\
         recipients (to): [\"a@b\"]\n\
         crash: KASAN: use-after-free Read in x\n\
         anything at all\nrevisions tested: 9\n",
        "a".repeat(64),
        "b".repeat(64),
        "c".repeat(64),
    );
    let log = read(text.as_bytes());
    assert_eq!(log.unrecognised, []);
    assert_eq!(log.answer, Answer::Culprit { commit: A.into(), title: "x: y z".into() });
    assert_eq!(log.changed, ["a/b.c"]);
    assert_eq!((log.revisions(), log.counted()), (3, 3));
    assert_eq!(log.error_probability, Some(0.12));
    let roles: Vec<Role> = log.tests.iter().map(|test| test.role).collect();
    assert_eq!(roles, [Role::Start, Role::Config, Role::Range, Role::Step, Role::Parent]);
    assert_eq!((log.tests[0].counts.infra, log.tests[0].counts.total()), (2, 3));
    assert_eq!(log.tests[2].errors, ["no rule", "to make target"]);
    assert_eq!(log.tests[2].mark, Some(Mark::Skip));
    assert_eq!((log.tests[3].left, log.tests[3].mark), (Some(5), Some(Mark::Good)));
    assert_eq!(log.tests[3].counts.ok, 10);
    assert_eq!(log.crash_title.as_deref(), Some("KASAN: use-after-free Read in x"));
}

#[test]
fn dialects_of_2018() {
    let text = format!(
        "searching for guilty commit starting from {A}\nbuilding syzkaller on {B}\n\
         testing commit {A} with gcc (GCC) 8.1.0\nall runs: crashed: x\n\
         testing release v4.16\ntesting commit {B} with gcc (GCC) 8.1.0\n\
         kernel build failed: make: it broke\nall over\n\
         try #0: kernel crashed: y\ntry #1: failed: no machine\n\
         # git bisect start v4.17 v4.16\n"
    );
    let log = read(text.as_bytes());
    assert_eq!(log.unrecognised, []);
    assert_eq!(log.answer, Answer::Unfinished);
    assert_eq!(log.tests[0].counts.crashes["x"], 8);
    assert_eq!(log.tests[1].counts.crashes["y"], 1);
    assert_eq!(log.tests[1].counts.infra, 1);
}

#[test]
fn a_search_for_a_fix_turns_the_words_round() {
    let text = format!(
        "bisecting fixing commit since {A}\ntesting commit {A} gcc\nall runs: crashed: x\n\
         testing current HEAD {B}\ntesting commit {B} gcc\nall runs: OK\n\
         # git bisect start {B} {A}\n\
         Bisecting: 1 revision left to test after this (roughly 1 step)\n[{C}] t\n\
         testing commit {C} gcc\nall runs: OK\n# git bisect bad {C}\n"
    );
    let log = read(text.as_bytes());
    assert_eq!(log.unrecognised, []);
    assert!(log.fix);
    assert_eq!(log.tests[2].mark, Some(Mark::Good));
}

#[test]
fn text_out_of_place_is_not_understood() {
    let text = format!(
        "bisecting cause commit starting from {A}\nwhat is this\n\
         testing commit {A}\nkernel signature: {}\nrun #0: OK\nrun #1: exploded\n",
        "a".repeat(64)
    );
    let lines: Vec<usize> = read(text.as_bytes()).unrecognised.iter().map(|u| u.line).collect();
    assert_eq!(lines, [2, 6]);
}

#[test]
fn outcomes() {
    let boot = Outcome::BootFailure { title: "can't ssh".into() };
    assert_eq!(outcome::outcome("basic kernel testing failed: can't ssh"), Some(boot.clone()));
    assert_eq!(outcome::outcome("boot failed: can't ssh"), Some(boot));
    assert_eq!(outcome::outcome("crashed: "), Some(Outcome::Crash { title: String::new() }));
    assert_eq!(outcome::outcome("fine"), None);
}

#[test]
fn broken_logs_do_no_harm() {
    for text in
        ["", "\u{0}\u{ffff}", "run #0: OK", "# git bisect good x", "crash: x", "all runs: OK"]
    {
        let _ = read(text.as_bytes());
    }
    assert_eq!(read(b"\xff\xfe").lines, 1);
}

#[test]
fn another_log_behind_the_first_is_named_and_not_read() {
    let one = |commit: &str| {
        format!(
            "bisecting cause commit starting from {commit}\ntesting commit {commit} gcc\n\
             all runs: crashed: x\n\
             revisions tested: 1, total time: 2s (build: 1s, test: 1s)\n\
             first bad commit: {commit} t\ncrash: x\nan oops\n"
        )
    };
    let log = read((one(A) + &one(B)).as_bytes());
    assert_eq!((log.start.as_str(), log.answer.culprit(), log.tests.len()), (A, Some(A), 1));
    assert_eq!(log.unrecognised.len(), 1);
    assert!(log.unrecognised[0].text.contains("another log begins here"));
    assert_eq!((log.unrecognised[0].line, log.lines), (8, 14));
}

/// What logs suffer on their way: other line ends, cuts, lost and doubled lines, flipped bytes.
fn damaged(log: &[u8], how: u32, mut seed: u64) -> Vec<u8> {
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below.max(1)
    };
    let mut lines: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    let (at, other) = (random(lines.len()), random(lines.len()));
    match how {
        0 => return lines.join(&b"\r\n"[..]),
        1 => return log[..random(log.len())].to_vec(),
        2 => drop(lines.remove(at)),
        3 => lines.insert(at, lines[other]),
        4 => lines.swap(at, other),
        5 => lines.insert(at, b"a line from elsewhere"),
        _ => {
            let mut bytes = log.to_vec();
            for _ in 0..20 {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            return bytes;
        }
    }
    lines.join(&b"\n"[..])
}

#[test]
fn damaged_logs_do_no_harm() {
    for (number, (name, bytes)) in shared("syzbot-bisections").iter().enumerate() {
        let whole = read(bytes);
        for how in 0..7 {
            let log = read(&damaged(bytes, how, number as u64));
            let audit = crate::audit::audit(&log);
            let sound = |p: Option<f64>| p.is_none_or(|p| (0.0..=1.0).contains(&p));
            assert!(sound(audit.probability_right) && sound(audit.supported), "{name}, {how}");
            if how == 0 {
                assert_eq!(log, whole, "{name}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_lines_in_any_order(picks in proptest::collection::vec(0usize..24, 0..60)) {
        let sha = "a".repeat(40);
        let lines = [
            format!("testing commit {sha} gcc"), "run #0: OK".into(), "all runs: crashed: x".into(),
            "Bisecting: 4000000000 revisions left to test after this (roughly 1 step)".into(),
            format!("[{sha}] t"), format!("# git bisect good {sha}"), format!("# git bisect bad {sha}"),
            format!("# git bisect skip {sha}"), format!("# git bisect start {sha} {sha}"),
            format!("{sha} is the first bad commit"), " a | 3 +".into(), "testing release v1".into(),
            format!("first bad commit: {sha} x"), "error: x".into(), "kernel signature: q".into(),
            "revisions tested: 1, total time: 0s (build: 0s, test: 0s)".into(),
            format!("kernel signature: {sha}"), format!("parent commit {sha} wasn't tested"),
            "bisecting fixing commit since aaaaaaaaaaaa".into(), "reproducer seems to be flaky".into(),
            "bisection is inconclusive, the first bad commit could be any of:".into(), sha.clone(),
            "the crash already happened on the oldest tested release".into(), "run #1: boot failed: x".into(),
        ];
        let text: String = picks.iter().map(|i| lines[*i].clone() + "\n").collect();
        let log = read(text.as_bytes());
        let audit = crate::audit::audit(&log);
        if let Some(p) = audit.probability_right {
            proptest::prop_assert!((0.0..=1.0).contains(&p));
        }
    }
}
