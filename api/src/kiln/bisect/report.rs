//! The answer of a bisection, with everything it rests on.

use std::path::Path;

use kiln_bisect::belief::Find;
use kiln_bisect::bisection::process_of;
use kiln_bisect::record::{Bill, Commit, Header, Record, TestSpec};
use kiln_bisect::verdict::{Finding, MoreRuns, Verdict};
use kiln_cache::evidence::Outcome;
use serde_json::json;

use super::again;
use super::candidates::Candidates;
use super::evidence::rows;
use super::releases;
use crate::kiln::common::{Context, answer, answer_json};
use crate::kiln::logs;
use crate::terminal::exit::Exit;
use crate::terminal::table::{self, WIDTH};
use crate::terminal::text::{count, duration, fit, labelled, percent, wrapped};

/// Prints the answer and returns the exit code that says it in a number. One that is not there yet is
/// no fault: who asked was told how it stands.
pub(super) fn print(context: &Context, record: &Record) -> anyhow::Result<Exit> {
    let verdict = record.finish().map(|(verdict, _)| verdict);
    let process = process(context.work().ok().as_deref(), record);
    if context.json {
        let mut all = logs::json(record);
        all["process"] = json!(process);
        answer_json(&all)?;
    } else {
        if let Some(releases) = releases::text(record) {
            answer(format_args!("\n{releases}"));
        }
        print_evidence(record);
        match verdict {
            Some(verdict) => answer(verdict_text(record, verdict)),
            None => answer(format_args!("\n{}", no_answer_yet(record, process))),
        }
        if let Some(command) = again::command(record, context.given()) {
            answer(format_args!("{:<13}{command}", "to go on"));
        }
        print_bill(&Bill::of(record));
        answer(format_args!(
            "record       {}\n             in {}\n             kiln bisect show {0}\n             kiln bisect log {0}",
            record.id,
            context.location()?,
        ));
    }
    Ok(match verdict {
        None => Exit::Done,
        Some(Verdict::Culprit { .. }) => Exit::Done,
        Some(Verdict::OlderThanGood { .. } | Verdict::NotFixed { .. }) => Exit::OlderThanGood,
        Some(Verdict::NotReproduced { .. }) => Exit::NotReproduced,
        Some(Verdict::EndUnusable { commit, .. }) if is_broken(record, commit) => {
            Exit::DoesNotBuild
        }
        Some(Verdict::EndUnusable { .. }) => Exit::Failed,
        Some(Verdict::Inconclusive { .. }) => Exit::Inconclusive,
    })
}

/// The process of this host that makes a bisection which has no answer yet.
pub(super) fn process(work: Option<&Path>, record: &Record) -> Option<u32> {
    match record.finish() {
        Some(_) => None,
        None => process_of(work?, &record.id),
    }
}

/// How a bisection stands that has no answer yet.
fn no_answer_yet(record: &Record, process: Option<u32>) -> String {
    match process {
        Some(process) => format!("it runs, as process {process} on this host"),
        None => format!("unfinished; `kiln bisect resume {}` goes on with it", record.id),
    }
}

/// One line a revision: what ran, what was seen, what it means.
fn print_evidence(record: &Record) {
    let rows: Vec<Vec<String>> = rows(record)
        .into_iter()
        .map(|row| {
            let number = |n: u32| if row.broken { "-".into() } else { n.to_string() };
            vec![
                row.commit.short().to_owned(),
                number(row.target),
                number(row.ok),
                number(row.other),
                row.bad.map(percent).unwrap_or_default(),
                if row.broken {
                    format!("does not build: {}", row.commit.subject)
                } else {
                    row.commit.subject.clone()
                },
            ]
        })
        .collect();
    if !rows.is_empty() {
        let heading = ["commit", "crash", "ok", "other", "bad?", "subject"];
        answer(format_args!("\n{}", table::render(&heading, &rows, &[1, 2, 3, 4]).trim_end()));
    }
    if let Some(title) = record.header.title.as_deref().or(record.learned_title()) {
        answer(format_args!("\n{}", labelled("target", title)));
    } else {
        answer("");
    }
}

/// A commit in one line.
pub(super) fn named(commit: &Commit) -> String {
    format!("{} {}", commit.short(), commit.subject)
}

/// The answer, for people.
fn verdict_text(record: &Record, verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    match verdict {
        Verdict::Culprit { commit, probability, parents, untested, findings } => {
            lines.push(format!("{:<11}  {}", record.header.sought(), commit.id));
            lines.push(labelled("", &commit.subject));
            lines.push(format!("probability  {}", percent(*probability)));
            let label = match record.header.find {
                Find::Cause => "good parent",
                Find::Fix => "bad parent",
            };
            lines.extend(parents.iter().map(|parent| labelled(label, &named(parent))));
            lines.extend(untested.iter().map(|parent| labelled("not tested", &named(parent))));
            for finding in findings {
                let (label, text) = finding_text(finding);
                lines.push(labelled(label, &text));
            }
        }
        Verdict::OlderThanGood { probability, target, clean, release: None } => {
            lines.push("older than the good end".into());
            lines.push(shown_by_good(record, *target, *clean, *probability));
            lines.push(labelled("", "give an older --good"));
        }
        Verdict::OlderThanGood { probability, target, clean, release: Some(release) } => {
            let how = built_with(&record.header);
            lines.push(wrapped(
                &format!("older than {release}, the oldest release that can be tested with {how}"),
                WIDTH,
            ));
            lines.push(shown(release, *target, *clean, *probability));
            let way = match record.header.build_command {
                None => "; an older compiler (--toolchain) builds older releases",
                Some(_) => "",
            };
            lines.push(labelled("", &format!("give an older --good that builds and boots{way}")));
        }
        Verdict::NotFixed { probability, target, clean } => {
            lines.push("not fixed".into());
            lines.push(shown_by_good(record, *target, *clean, *probability));
            lines.push(labelled("", "give a newer --good"));
        }
        Verdict::NotReproduced { clean, crashes } => {
            lines.push(format!(
                "not reproduced: {} ended well in {clean} runs",
                record.header.bad.short()
            ));
            let crashes = crashes.iter();
            lines.extend(crashes.map(|(title, times)| labelled("", &format!("{times} x {title}"))));
            let good = record.header.good.as_ref();
            let is_ended = record.header.find == Find::Cause
                && rows(record).iter().any(|row| Some(row.commit) == good && row.target > 0);
            let way = match (&record.header.test, is_ended) {
                (_, true) => "the good end shows it, though: --find fix finds what ended it",
                (TestSpec::Command { .. }, _) => {
                    "check the command, and what it finds in the build"
                }
                _ => "check the reproducer, the configuration and --title",
            };
            lines.push(labelled("", way));
        }
        Verdict::EndUnusable { commit, why } => {
            lines.push(wrapped(&format!("{} can't be tested: {why}", commit.short()), WIDTH));
            lines.push(labelled("", "choose another end that builds and boots"));
        }
        Verdict::Inconclusive { why, more, .. } => {
            lines.push(wrapped(&format!("inconclusive: {why}"), WIDTH));
            lines.extend(Candidates::of(record, verdict).iter().flat_map(listed));
            if let Some(more) = more {
                lines.push(labelled("would help", &more_text(more)));
            }
        }
    }
    lines.join("\n")
}

/// What remains possible, a line each.
fn listed(candidates: &Candidates<'_>) -> Vec<String> {
    let heading = candidates.heading.iter().map(|heading| format!("{heading}:"));
    let commits = candidates.commits.iter().map(|(commit, share)| (*share, named(commit)));
    let rows = commits.chain(candidates.others.iter().cloned());
    let rows = rows.map(|(share, what)| {
        let share = percent(share);
        fit(&format!("  {share:>6}  {what}"), WIDTH)
    });
    heading.chain(rows).collect()
}

/// How often the good end shows the crash, too.
fn shown_by_good(record: &Record, target: u32, clean: u32, probability: f64) -> String {
    shown(record.good().map_or("it", |good| good.short()), target, clean, probability)
}

fn shown(revision: &str, target: u32, clean: u32, probability: f64) -> String {
    let (sure, runs) = (percent(probability), target + clean);
    labelled("", &format!("{revision} shows the target in {target} of {runs} runs ({sure} sure)"))
}

/// Whether a revision was visited and does not build.
fn is_broken(record: &Record, commit: &Commit) -> bool {
    let mut steps = record.steps().filter(|step| step.commit.id == commit.id);
    steps.any(|step| step.build.signatures.0.is_empty())
}

/// What another test would cost and bring.
pub(crate) fn more_text(more: &MoreRuns) -> String {
    let build = if more.build { "a build and " } else { "" };
    let bits = match more.bits {
        b if b > 0.0 => format!("; about {b:.2} bits, of which one halves the doubt"),
        _ => String::new(),
    };
    format!(
        "{build}{} runs of {}, about {}{bits}",
        more.runs,
        more.commit.short(),
        duration(more.seconds)
    )
}

/// A finding, as a label and a sentence.
pub(crate) fn finding_text(finding: &Finding) -> (&'static str, String) {
    match finding {
        Finding::Reverted { revision, target, clean, other, holds, .. } => {
            let other = match other {
                0 => String::new(),
                n => format!(", {n} other"),
            };
            let seen = format!("{target} target crashes, {clean} clean runs{other}");
            let text = match holds {
                Some(true) => format!("{}: {seen}; as it must be", revision.subject),
                Some(false) => format!("{}: {seen}; it makes no difference", revision.subject),
                None => format!("{}: {seen}; too few to say", revision.subject),
            };
            ("undone", text)
        }
        Finding::NotReverted { why } => ("not undone", why.clone()),
        Finding::ForkUntested { fork } => (
            "beware",
            format!(
                "its branch forked off at {}, before the good end, which could not be tested: the bug \
                 may have been there already",
                named(fork)
            ),
        ),
        Finding::ForkShows { fork } => (
            "left out",
            format!(
                "a branch that forked off before the good end, at {}, where the bug was already",
                named(fork)
            ),
        ),
        Finding::Visibility { reasons } => (
            "beware",
            format!("it may only have made the difference visible: {}", reasons.join("; ")),
        ),
    }
}

/// The possibility that no commit of the range is the one.
pub(crate) fn all_bad(record: &Record) -> &'static str {
    match record.header.find {
        Find::Cause if record.good().is_none() => "older than every release",
        Find::Cause => "older than the good end",
        Find::Fix => "not fixed in the good end",
    }
}

/// What builds, for people: why older releases can't be tested.
pub(crate) fn built_with(header: &Header) -> &str {
    match &header.build_command {
        Some(_) => "this build command",
        None => header.toolchain.as_deref().unwrap_or("this compiler"),
    }
}

fn print_bill(bill: &Bill) {
    answer(format_args!(
        "builds       {} compiled in {}\n             {} avoided: {} known by input, {} by closure ({} saved)",
        bill.builds_compiled,
        duration(bill.build_seconds),
        bill.builds_avoided_input + bill.builds_avoided_closure,
        bill.builds_avoided_input,
        bill.builds_avoided_closure,
        duration(bill.build_seconds_saved)
    ));
    if bill.builds_ahead + bill.builds_given_up > 0 {
        answer(format_args!(
            "ahead        {} begun before they were asked for, {} of no use; {} given up",
            bill.builds_ahead, bill.builds_unused, bill.builds_given_up
        ));
    }
    if bill.commits_proved > 0 {
        answer(format_args!(
            "proved       {} commits change nothing that a known build reads",
            bill.commits_proved
        ));
    }
    answer(format_args!(
        "boots        {} made in {} of machine time\n             {} avoided: the image's evidence was known ({} saved)",
        bill.runs_made,
        duration(bill.run_seconds),
        bill.runs_avoided_evidence,
        duration(bill.run_seconds_saved)
    ));
    if bill.revisions_known > 0 {
        answer(labelled("known before", &known(bill)));
    }
}

/// What the store knew of the range: more than what was spared, where nobody would have asked for it.
pub(crate) fn known(bill: &Bill) -> String {
    format!(
        "{} of the range, {} of them",
        count(bill.revisions_known as u64, "revision"),
        count(bill.runs_known as u64, "run")
    )
}

/// "crash", "ok", … for progress lines.
pub(crate) fn outcome_word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".into(),
        Outcome::Crash { title } => format!("crashed: {title}"),
        Outcome::BootFailure { title } => format!("boot failed: {title}"),
        Outcome::Infra { reason } => format!("host failed: {reason}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::kiln::bisect) fn commit(digit: &str) -> Value {
        json!({ "id": digit.repeat(40), "subject": "net: a subject of many words ".repeat(7) })
    }

    /// A record of nothing but its answer.
    pub(in crate::kiln::bisect) fn record(find: &str, verdict: &Value) -> Record {
        let header = json!({
            "find": find, "repository": "/linux", "good": commit("a"), "bad": commit("b"),
            "config": null, "config_digest": null, "build_command": "make",
            "toolchain": null, "strict_config": false, "title": null,
            "test": { "kind": "command", "command": "true", "folder": "/" },
            "limits": {
                "machines": 1, "jobs": 1, "boot_timeout": 60, "run_timeout": 60, "memory_mb": 256,
                "cpus": 1, "confidence": 0.95, "max_builds": null, "max_runs": null,
            },
        });
        let event = json!({ "event": "finished", "verdict": verdict, "tested": [] });
        Record {
            id: "1".into(),
            created: 0,
            header: serde_json::from_value(header).unwrap(),
            events: vec![(0, serde_json::from_value(event).unwrap())],
        }
    }

    #[test]
    fn one_that_runs_is_not_to_be_resumed() {
        let record =
            record("cause", &json!({ "verdict": "not-reproduced", "clean": 1, "crashes": [] }));
        assert_eq!(no_answer_yet(&record, Some(7)), "it runs, as process 7 on this host");
        assert!(no_answer_yet(&record, None).contains("`kiln bisect resume 1`"));
    }

    #[test]
    fn no_answer_is_wider_than_the_terminal() {
        let long = "words of a long reason, ".repeat(12);
        let (target, clean, probability) = (1_000_123, 2_000_456, 0.999_999_9);
        let finding = json!({ "finding": "visibility", "reasons": [&long, &long] });
        for verdict in [
            json!({
                "verdict": "culprit", "commit": commit("c"), "probability": probability,
                "parents": [commit("d")], "untested": [commit("e")],
                "findings": [
                    finding, { "finding": "not-reverted", "why": &long },
                    { "finding": "fork-untested", "fork": commit("d") },
                    { "finding": "fork-shows", "fork": commit("d") },
                ],
            }),
            json!({
                "verdict": "older-than-good", "probability": probability, "target": target,
                "clean": clean,
            }),
            json!({
                "verdict": "not-fixed", "probability": probability, "target": target,
                "clean": clean,
            }),
            json!({ "verdict": "not-reproduced", "clean": clean, "crashes": [[&long, 12]] }),
            json!({ "verdict": "end-unusable", "commit": commit("f"), "why": &long }),
            json!({
                "verdict": "inconclusive", "older": 0.5, "not_reproducible": 0.2, "why": &long,
                "credible": [[commit("c"), probability], [commit("d"), 0.000_012]],
                "more": {
                    "commit": commit("c"), "runs": 1_234_567, "build": true, "bits": 0.9,
                    "seconds": 1e7,
                },
            }),
        ] {
            for find in ["cause", "fix"] {
                let record = record(find, &verdict);
                let text = verdict_text(&record, record.finish().unwrap().0);
                assert!(text.lines().count() > 1, "{text}");
                for line in text.lines() {
                    assert!(line.chars().count() <= WIDTH, "{line}");
                }
            }
        }
    }
}
