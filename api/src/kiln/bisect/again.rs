//! The command that goes on where a budget ended a bisection: the same question without the budgets.
//! What was built and seen is in the store, so it begins where this one has stopped.

use kiln_bisect::belief::Find;
use kiln_bisect::record::{Header, Record, TestSpec};
use kiln_bisect::verdict::Verdict;

use super::start::machines;
use crate::kiln::build::cores;
use crate::terminal::table::WIDTH;
use crate::terminal::text::shell_word;

/// Where the command stands beside its label.
const INDENT: usize = 13;

/// The command as it can be pasted, if a budget ended the bisection. `more`: options that the question does
/// not have.
pub(super) fn command(record: &Record, more: Vec<Vec<String>>) -> Option<String> {
    match record.finish() {
        Some((Verdict::Inconclusive { why, .. }, _)) if why.starts_with("the budget") => {}
        _ => return None,
    }
    let mut parts = vec![vec!["kiln".to_owned(), "bisect".to_owned()]];
    parts.extend(more);
    parts.extend(options(&record.header));
    let folder = match &record.header.test {
        TestSpec::Command { folder, .. } => Some(folder.display().to_string()),
        TestSpec::Reproducer { .. } => None,
    };
    let parts = parts.iter().map(|part| {
        let words: Vec<_> = part.iter().map(|word| shell_word(word)).collect();
        words.join(" ")
    });
    // What a command names lies where it ran; and evidence is kept by that folder.
    let change = folder.map(|folder| format!("cd {} &&", shell_word(&folder)));
    Some(broken(change.into_iter().chain(parts)))
}

/// Options, each with its value, that ask what was asked.
fn options(header: &Header) -> Vec<Vec<String>> {
    let Header { limits, test, .. } = header;
    let mut options = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| vec![name.to_owned(), value]));
    };
    let path = |path: &std::path::Path| path.display().to_string();
    say("--repo", Some(path(&header.repository)));
    say("--find", (header.find == Find::Fix).then(|| "fix".to_owned()));
    say("--good", header.good.as_ref().map(|good| good.id.clone()));
    say("--bad", Some(header.bad.id.clone()));
    say("--config", header.config.as_deref().map(path));
    say("--build-command", header.build_command.clone());
    let own_compiler = header.build_command.is_some();
    let toolchain = header.toolchain.clone();
    say("--toolchain", toolchain.filter(|name| !own_compiler || name != "gcc"));
    match test {
        TestSpec::Reproducer { path: file, .. } => say("--reproducer", Some(path(file))),
        TestSpec::Command { command, .. } => say("--command", Some(command.clone())),
    }
    say("--title", header.title.clone());
    let unless = |default: u64, value: u64| (value != default).then(|| value.to_string());
    say("--machines", unless(machines(None, test) as u64, limits.machines as u64));
    say("--jobs", unless(cores() as u64, limits.jobs as u64));
    say("--builders", unless(0, limits.builders as u64));
    say("--boot-timeout", unless(60, limits.boot_timeout));
    say("--run-timeout", unless(60, limits.run_timeout));
    say("--memory", unless(256, limits.memory_mb.into()));
    say("--cpus", unless(1, limits.cpus.into()));
    say("--confidence", (limits.confidence != 0.95).then(|| limits.confidence.to_string()));
    say("--audit", (header.audit > 0.0).then(|| header.audit.to_string()));
    say("--confirm", header.confirm_revert.then(|| "revert".to_owned()));
    if header.strict_config {
        options.push(vec!["--strict-config".to_owned()]);
    }
    options
}

/// Parts on lines that fit beside a label; those that go on end as the shell has it.
fn broken(parts: impl Iterator<Item = String>) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for part in parts {
        let own = part.chars().count();
        // Room for the blank and the sign that ends a line.
        if used > 0 && INDENT + used + 1 + own + 2 > WIDTH {
            out.push_str(" \\\n");
            out.push_str(&" ".repeat(INDENT));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(&part);
        used += own;
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::kiln::bisect::Start;
    use crate::kiln::bisect::report::tests::record;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    fn ended(why: &str) -> Record {
        record(
            "cause",
            &json!({ "verdict": "inconclusive", "credible": [], "older": 0.0, "why": why }),
        )
    }

    #[test]
    fn the_same_is_asked_without_the_budgets() {
        let mut record = ended("the budget is used up");
        record.header.limits.max_builds = Some(3);
        record.header.limits.max_runs = Some(9);
        record.header.limits.budget_seconds = Some(60.0);
        record.header.limits.memory_mb = 512;
        record.header.limits.confidence = 0.99;
        record.header.title = Some("it's [a-z]".into());
        let words = options(&record.header).concat();
        let line = std::iter::once("kiln").chain(words.iter().map(String::as_str));
        let Line { start } = Line::parse_from(line);
        let header = &record.header;
        assert_eq!(start.repo, header.repository);
        assert_eq!(start.good.as_deref(), header.good.as_ref().map(|good| good.id.as_str()));
        assert_eq!(start.bad.as_ref(), Some(&header.bad.id));
        assert_eq!(start.how.build_command, header.build_command);
        assert_eq!((start.test.memory, start.confidence), (512, 0.99));
        assert_eq!(start.test.title, header.title);
        assert_eq!(
            (start.test.max_builds, start.test.max_runs, start.test.budget),
            (None, None, None)
        );
    }

    #[test]
    fn it_can_be_pasted() {
        let mut record = ended("the budget of time is used up");
        record.header.title = Some("it's".into());
        let store = vec![vec!["--store".to_owned(), "/my store".to_owned()]];
        let text = command(&record, store).unwrap();
        assert!(
            text.starts_with("cd / && kiln bisect --store '/my store' --repo /linux"),
            "{text}"
        );
        assert!(text.contains(r"--title 'it'\''s'"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let (last, before) = lines.split_last().unwrap();
        assert!(before.iter().all(|line| line.ends_with(" \\")) && !last.ends_with('\\'), "{text}");
        // The label stands before the first.
        assert!(lines.iter().skip(1).all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(lines[0].chars().count() + INDENT <= WIDTH, "{text}");
    }

    #[test]
    fn what_no_budget_has_ended_is_not_asked_again() {
        assert_eq!(
            command(&ended("no revision that can be built and run would tell more"), vec![]),
            None
        );
    }
}
