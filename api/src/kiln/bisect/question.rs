//! What a bisection was asked, and why each of its visits was made: what `kiln bisect show` says
//! beyond the answer.

use std::collections::HashSet;

use kiln_bisect::belief::Find;
use kiln_bisect::record::{Header, Limits, Obtained, Record, TestSpec};

use super::evidence::{Visit, visits};
use super::report::named;
use crate::terminal::table::render;
use crate::terminal::text::{count, duration, hanging, labelled, percent};

/// The question, a line each: the range, what was built and how, what ran, and the limits.
pub(super) fn asked(record: &Record) -> String {
    let header = &record.header;
    let (older, newer) = match header.find {
        Find::Cause => ("good", "bad"),
        Find::Fix => ("bad", "good"),
    };
    let mut lines = Vec::new();
    let mut say = |label: &str, text: &str| lines.push(labelled(label, text));
    let what = match header.find {
        Find::Cause => "which commit brought the crash",
        Find::Fix => "which commit ended the crash",
    };
    say("asked", &format!("{what}, in {}", header.repository.display()));
    match (record.ends(), &header.releases) {
        (Some((old, new)), releases) => {
            let found = if releases.is_some() { ", found among releases" } else { "" };
            say(older, &format!("{}{found}", named(old)));
            say(newer, &named(new));
        }
        (None, Some(releases)) => {
            say("bad", &named(&header.bad));
            say("good", &format!("to be found among {} releases", releases.list.len()));
        }
        (None, None) => say("bad", &named(&header.bad)),
    }
    built(header).iter().for_each(|(label, text)| say(label, text));
    match &header.test {
        TestSpec::Reproducer { path, digest } => {
            say("reproducer", &format!("{}, blake3 {}", path.display(), digest.short()));
        }
        TestSpec::Command { command, folder } => {
            say("test", &format!("{command} (in {})", folder.display()));
        }
    }
    if let Some(title) = &header.title {
        say("title", title);
    }
    say("limits", &limits(&header.limits));
    lines.join("\n")
}

fn built(header: &Header) -> Vec<(&'static str, String)> {
    if let Some(command) = &header.build_command {
        return vec![("built by", command.clone())];
    }
    let config = match (&header.config, &header.config_digest) {
        (Some(path), Some(digest)) => format!("{}, blake3 {}", path.display(), digest.short()),
        (Some(path), None) => path.display().to_string(),
        (None, _) => "defconfig".into(),
    };
    let mut said = vec![("config", config)];
    said.extend(header.toolchain.clone().map(|toolchain| ("toolchain", toolchain)));
    said
}

fn limits(limits: &Limits) -> String {
    let mut said = vec![
        format!("named at {}", percent(limits.confidence)),
        format!("{} at a time", count(limits.machines as u64, "machine")),
    ];
    said.extend(limits.max_builds.map(|most| format!("at most {}", count(most, "build"))));
    said.extend(limits.max_runs.map(|most| format!("at most {}", count(most, "boot"))));
    said.extend(limits.budget_seconds.map(|most| format!("at most {} in all", duration(most))));
    said.join(", ")
}

/// The visits of revisions in order: what each cost and left, and why it was made.
pub(super) fn why(record: &Record) -> String {
    let visits = visits(record);
    if visits.is_empty() {
        return String::new();
    }
    let mut built = HashSet::new();
    let rows: Vec<Vec<String>> = visits
        .iter()
        .map(|visit| row(visit, built.insert(visit.first.commit.id.as_str())))
        .collect();
    let table = render(&["visit", "build", "runs", "left"], &rows, &[2, 3]);
    let reasons = std::iter::once("why").chain(visits.iter().map(|visit| visit.first.why.as_str()));
    let width = table.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    // The reasons are wrapped beside it: cut, they would be none.
    let beside = |(line, why): (&str, &str)| hanging(&format!("{line:<width$}  "), why);
    let lines = table.lines().zip(reasons).map(beside);
    lines.collect::<Vec<_>>().join("\n")
}

fn row(visit: &Visit<'_>, is_first: bool) -> Vec<String> {
    let step = visit.first;
    let build = match (step.build.errors.is_empty(), step.build.obtained) {
        (false, _) => "failed".into(),
        (true, _) if !is_first => "at hand".into(),
        (true, Obtained::Input) => "known".into(),
        (true, Obtained::Compiled) => duration(step.build.seconds),
        (true, _) => "proved".into(),
    };
    vec![
        step.commit.short().to_owned(),
        build,
        visit.counts.total().to_string(),
        visit.credible.map(|left| left.to_string()).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(find: &str, header: Value) -> Record {
        let commit =
            |digit: &str| json!({ "id": digit.repeat(40), "subject": format!("the {digit}") });
        let mut whole = json!({
            "repository": "linux", "find": find, "good": commit("a"), "bad": commit("b"),
            "config": "tiny.config", "build_command": null, "strict_config": false,
            "test": { "kind": "command", "command": "./check", "folder": "work" }, "title": null,
            "limits": {
                "machines": 2, "jobs": 2, "boot_timeout": 60, "run_timeout": 60, "memory_mb": 512,
                "cpus": 1, "confidence": 0.95, "max_builds": 1, "max_runs": null,
                "budget_seconds": 7200.0
            },
        });
        for (name, value) in header.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let header = serde_json::from_value(whole).unwrap();
        Record { id: "1".into(), created: 0, header, events: Vec::new() }
    }

    #[test]
    fn the_question_is_said_as_it_was_asked() {
        assert_eq!(
            asked(&record("cause", json!({ "title": "WARNING*" }))),
            "asked        which commit brought the crash, in linux\n\
             good         aaaaaaaaaaaa the a\n\
             bad          bbbbbbbbbbbb the b\n\
             config       tiny.config\n\
             test         ./check (in work)\n\
             title        WARNING*\n\
             limits       named at 95 %, 2 machines at a time, at most 1 build, at most 2 h 0\n\
             \x20            min in all"
        );
        let fix = asked(&record("fix", json!({ "build_command": "make it" })));
        assert!(fix.contains("ended the crash"), "{fix}");
        assert!(fix.contains("\nbad          bbbbbbbbbbbb the b\ngood         aaaa"), "{fix}");
        assert!(fix.contains("\nbuilt by     make it\n") && !fix.contains("config"), "{fix}");
        assert_eq!(why(&record("cause", json!({}))), "");
    }
}
