//! The log that syzbot publishes: the line formats of syzkaller's bisection.
//!
//! Format: the lines which syzkaller's `pkg/bisect` prints (since 2022-07), in its order. What
//! Kiln does not do (building syzkaller, minimizing the configuration) is left out.

use std::fmt::Write as _;

use kiln_cache::evidence::Outcome;
use kiln_cache::signature::SignatureKind;

use super::tests_of::{Judged, Tested, tested};
use crate::belief::Find;
use crate::record::{Bill, Record, RunRecord};
use crate::verdict::Verdict;

/// The crash that a log ends with.
#[derive(Clone, Copy, Debug)]
pub struct CrashText<'a> {
    /// Its title.
    pub title: &'a str,
    /// The oops, as the console showed it.
    pub text: &'a str,
}

/// The bisection as syzkaller would log it. `crash` is the target crash,
/// when its console is at hand.
pub fn syzkaller_log(record: &Record, crash: Option<CrashText<'_>>) -> String {
    let header = &record.header;
    // In syzkaller's logs of fixes the newer end is "bad", and so is whatever no longer crashes.
    let (task, first) = match header.find {
        Find::Cause => ("bisecting cause commit starting from", "bad"),
        Find::Fix => ("bisecting fixing commit since", "good"),
    };
    let mut out = format!("{task} {}\n", header.bad.id);
    let all = tested(record);
    let good = record.good().map(|good| good.id.as_str());
    let (ends, middle): (Vec<_>, Vec<_>) = all.iter().partition(|test| {
        let id = test.commit.id.as_str();
        id == header.bad.id || Some(id) == good || record.release_of(id).is_some()
    });
    for test in &ends {
        if let Some(release) = record.release_of(&test.commit.id) {
            let _ = writeln!(out, "testing release {}", release.name);
        }
        write_test(&mut out, test);
    }
    if let Some(chance) = repro_chance(record, &ends) {
        let _ = writeln!(out, "reproducer is flaky ({chance:.2} repro chance estimate)");
    }
    if let (Some((older, newer)), false) = (record.ends(), middle.is_empty()) {
        let _ = writeln!(out, "# git bisect start {} {}", newer.id, older.id);
    }
    for test in &middle {
        let _ = writeln!(out, "[{}] {}", test.commit.id, test.commit.subject);
        write_test(&mut out, test);
        let word = match (test.judged, header.find) {
            (Judged::Skip, _) => "skip",
            (Judged::Bad, Find::Cause) | (Judged::Good, Find::Fix) => "bad",
            (Judged::Good, Find::Cause) | (Judged::Bad, Find::Fix) => "good",
        };
        let _ = writeln!(out, "# git bisect {word} {}", test.commit.id);
    }
    write_tail(&mut out, record, &all, first);
    if let Some(crash) = crash {
        let _ = writeln!(out, "crash: {}\n{}", crash.title, crash.text.trim_end());
    }
    out
}

fn write_test(out: &mut String, test: &Tested<'_>) {
    let _ = writeln!(out, "testing commit {}", test.commit.id);
    if !test.build.errors.is_empty() {
        let _ = writeln!(out, "failed building {}: {}", test.commit.id, test.build.errors[0]);
        return;
    }
    let _ = writeln!(out, "compiler: {}", test.build.compiler);
    if let Some(signature) = signature_of(test) {
        let _ = writeln!(out, "kernel signature: {signature}");
    }
    // Never "all runs", whose number a reader has to guess.
    for (number, run) in test.runs.iter().enumerate() {
        let _ = writeln!(out, "run #{number}: {}", shown(run));
    }
}

fn shown(run: &RunRecord) -> String {
    match &run.outcome {
        Outcome::Ok => "OK".into(),
        Outcome::Crash { title } => format!("crashed: {title}"),
        Outcome::BootFailure { title } => format!("boot failed: {title}"),
        Outcome::Infra { reason } => format!("infra problem: {reason}"),
    }
}

/// The `syzkaller` signature; builds without a kernel image have only their content's.
fn signature_of(test: &Tested<'_>) -> Option<String> {
    let signatures = &test.build.signatures;
    signatures
        .get(SignatureKind::Syzkaller)
        .or_else(|| signatures.get(SignatureKind::Content))
        .map(|signature| signature.hash.to_hex())
}

/// Share of the bad end's telling runs that showed the target, when it is neither none nor all.
fn repro_chance(record: &Record, ends: &[&Tested<'_>]) -> Option<f64> {
    let bad = ends.iter().find(|test| test.commit.id == record.header.bad.id)?;
    let target = record.matcher()?;
    let hits =
        |run: &&&RunRecord| matches!(&run.outcome, Outcome::Crash { title } if target.is(title));
    let crashed = bad.runs.iter().filter(hits).count();
    let ok = bad.runs.iter().filter(|run| run.outcome == Outcome::Ok).count();
    (crashed > 0 && ok > 0).then(|| crashed as f64 / (crashed + ok) as f64)
}

fn write_tail(out: &mut String, record: &Record, all: &[Tested<'_>], first: &str) {
    let Some((verdict, _)) = record.finish() else { return };
    if let Verdict::Culprit { commit, probability, parents, untested, .. } = verdict {
        let _ = writeln!(out, "accumulated error probability: {:.2}", 1.0 - probability);
        let find = |id: &str| all.iter().find(|test| test.commit.id == id).and_then(signature_of);
        if let Some(signature) = find(&commit.id) {
            let _ = writeln!(out, "culprit signature: {signature}");
        }
        match parents.iter().find_map(|parent| find(&parent.id)) {
            Some(signature) => {
                let _ = writeln!(out, "parent  signature: {signature}");
            }
            None => {
                for parent in parents.iter().chain(untested) {
                    let _ = writeln!(out, "parent commit {} wasn't tested", parent.id);
                }
            }
        }
    }
    let bill = Bill::of(record);
    let _ = writeln!(
        out,
        "revisions tested: {}, total time: {} (build: {}, test: {})",
        all.len(),
        go_duration(bill.build_seconds + bill.run_seconds),
        go_duration(bill.build_seconds),
        go_duration(bill.run_seconds),
    );
    match verdict {
        Verdict::Culprit { commit, .. } => {
            let _ = writeln!(out, "first {first} commit: {} {}", commit.id, commit.subject);
        }
        Verdict::OlderThanGood { .. } => {
            out.push_str("oldest tested release already had the bug or it had kernel test errors\n")
        }
        Verdict::NotFixed { .. } => {
            out.push_str("crash still not fixed or there were kernel test errors\n");
        }
        Verdict::Inconclusive { credible, why, .. } if credible.is_empty() => {
            let _ = writeln!(out, "error: {why}");
        }
        Verdict::Inconclusive { credible, .. } => {
            let _ = writeln!(
                out,
                "bisection is inconclusive, the first {first} commit could be any of:"
            );
            for (commit, _) in credible {
                let _ = writeln!(out, "{}", commit.id);
            }
        }
        Verdict::NotReproduced { .. } => {
            out.push_str("error: the crash wasn't reproduced on the original commit\n");
        }
        Verdict::EndUnusable { commit, why } => {
            let _ = writeln!(out, "error: commit {} can't be tested: {why}", commit.id);
        }
    }
}

/// A duration as Go's `time.Duration` prints it: "1h2m3.5s", "4m0s", "0s".
fn go_duration(seconds: f64) -> String {
    let nanos = (seconds.max(0.0) * 1e9).round() as u64;
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (hours, minutes, secs) = (whole / 3600, whole % 3600 / 60, whole % 60);
    let mut out = String::new();
    if hours > 0 {
        let _ = write!(out, "{hours}h");
    }
    if whole >= 60 {
        let _ = write!(out, "{minutes}m");
    }
    let _ = write!(out, "{secs}");
    if rest > 0 {
        let digits = format!("{rest:09}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    out.push('s');
    out
}

#[cfg(test)]
mod tests {
    use super::go_duration;

    #[test]
    fn durations_as_go_prints_them() {
        assert_eq!(go_duration(0.0), "0s");
        assert_eq!(go_duration(0.25), "0.25s");
        assert_eq!(go_duration(240.0), "4m0s");
        assert_eq!(go_duration(3600.0), "1h0m0s");
        assert_eq!(go_duration(12694.5), "3h31m34.5s");
    }
}
