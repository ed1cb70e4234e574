//! Kiln's own log in syzkaller's format, judged like anybody's.

use crate::log::import::{Role, read};

use super::audit;

/// Commits of the tour in the README, oldest first, with what their runs showed (target, clean)
/// and what the log says.
const TESTED: [(&str, u32, u32, &str); 8] = [
    ("f0", 4, 12, ""),
    ("d4", 0, 31, ""),
    ("f8", 2, 7, "bad"),
    ("2e", 0, 26, "good"),
    ("a6", 3, 3, "bad"),
    ("1a", 0, 26, "good"),
    ("89", 0, 24, "good"),
    ("dd", 0, 30, "good"),
];

fn id(two: &str) -> String {
    two.repeat(20)
}

fn log() -> String {
    let mut out = format!("bisecting cause commit starting from {}\n", id("f0"));
    for (place, (commit, target, clean, word)) in TESTED.iter().enumerate() {
        if place == 2 {
            out += "reproducer is flaky (0.25 repro chance estimate)\n";
            out += &format!("# git bisect start {} {}\n", id("f0"), id("d4"));
        }
        if !word.is_empty() {
            out += &format!("[{}] subject of {commit}\n", id(commit));
        }
        out += &format!("testing commit {}\ncompiler: gcc 12\n", id(commit));
        out += &format!("kernel signature: {}\n", commit.repeat(32));
        for number in 0..target + clean {
            let what = if number < *target { "crashed: BUG: x in pipe_write" } else { "OK" };
            out += &format!("run #{number}: {what}\n");
        }
        if !word.is_empty() {
            out += &format!("# git bisect {word} {}\n", id(commit));
        }
    }
    out += "accumulated error probability: 0.04\n";
    out += "revisions tested: 8, total time: 4m35s (build: 2m56s, test: 1m39s)\n";
    out + &format!("first bad commit: {} pipe: let short writes go on in the last page\n", id("a6"))
}

#[test]
fn its_ends_and_its_steps_are_understood() {
    let log = read(log().as_bytes());
    assert_eq!(log.unrecognised, []);
    let roles: Vec<Role> = log.tests.iter().map(|test| test.role).collect();
    assert_eq!(roles[..3], [Role::Start, Role::Range, Role::Step]);
    assert_eq!(log.tests[2].title, "subject of f8");
    assert_eq!((log.tests[0].counts.total(), log.tests[0].runs_assumed), (16, false));
}

#[test]
fn a_crash_that_good_revisions_show_is_another_bug() {
    // The bad end shows it twice, and a parent that is called good.
    let text = log();
    let with_other = text.replace("run #15: OK", "run #15: crashed: WARNING in vfs_fallocate");
    let imported = read(with_other.as_bytes());
    let other = |test: &crate::log::import::Tested| {
        test.counts.crashes.contains_key("WARNING in vfs_fallocate")
    };
    assert!(
        other(&imported.tests[0]) && imported.tests.iter().filter(|test| other(test)).count() > 4
    );
    let audit = audit(&imported);
    assert_eq!(audit.target.as_deref(), Some("BUG: x in pipe_write"));
    assert!(audit.supported.unwrap() > 0.9, "{audit:#?}");
    let parent = audit.verdicts.iter().find(|judged| judged.commit == id("dd")).unwrap();
    assert_eq!((parent.target, parent.censored), (0, 1), "{parent:?}");
}

#[test]
fn another_face_of_the_bug_speaks_against_who_called_it_good() {
    let face = log().replace("run #15: OK", "run #15: crashed: KASAN: bad access in pipe_read");
    let audit = audit(&read(face.as_bytes()));
    let parent = audit.verdicts.iter().find(|judged| judged.commit == id("dd")).unwrap();
    assert_eq!(parent.target, 1, "{parent:?}");
    assert!(audit.supported.unwrap() < 0.5, "{audit:#?}");
}

#[test]
fn a_sound_answer_is_called_sound() {
    let audit = audit(&read(log().as_bytes()));
    // 24 to 31 clean runs on each good one, at a rate of one in four.
    assert!(audit.supported.unwrap() > 0.9, "{audit:#?}");
    for judged in &audit.verdicts {
        let bad = judged.probability_bad.unwrap();
        let expected = ["f0", "f8", "a6"].iter().any(|two| judged.commit == id(two));
        assert!(if expected { bad > 0.99 } else { bad < 0.2 }, "{judged:?}");
    }
}
