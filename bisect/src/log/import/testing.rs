//! Lines of one test: build, signature, runs.

use super::line::{Line, commit_after, is_commit, signature};
use super::outcome::outcome;

/// Reads a line as one of these records.
pub(super) fn line(text: &str) -> Option<Line> {
    if let Some(rest) = text.strip_prefix("testing commit ") {
        return begin(rest);
    }
    if let Some(id) = text.strip_prefix("compiler: ") {
        return Some(Line::Compiler(id.trim().to_owned()));
    }
    if let Some(rest) = text.strip_prefix("kernel signature:") {
        return signature(rest).map(Line::Signature);
    }
    if let Some(rest) = text.strip_prefix("previous signature:") {
        return signature(rest).map(|_| Line::Note);
    }
    if let Some(error) = text.strip_prefix("kernel build failed: ") {
        return Some(Line::BuildFailed(error.to_owned()));
    }
    if let Some((commit, error)) =
        text.strip_prefix("failed building ").and_then(|rest| rest.split_once(": "))
    {
        return is_commit(commit).then(|| Line::BuildFailed(error.to_owned()));
    }
    if let Some(error) =
        text.strip_prefix("failed: ").or_else(|| text.strip_prefix("repro testing failure: "))
    {
        return Some(Line::MachinesFailed(error.to_owned()));
    }
    run(text).or_else(|| judged(text))
}

/// `H`, `H with COMPILER`, `H gcc`.
fn begin(rest: &str) -> Option<Line> {
    let (commit, compiler) = match rest.split_once(' ') {
        None => (rest, None),
        Some((commit, id)) => (commit, Some(id.strip_prefix("with ").unwrap_or(id))),
    };
    let compiler = compiler.map(|id| id.trim().to_owned());
    is_commit(commit).then(|| Line::Testing { commit: commit.to_owned(), compiler })
}

fn run(text: &str) -> Option<Line> {
    if let Some(rest) = text.strip_prefix("all runs: ") {
        return Some(Line::Run { number: None, outcome: outcome(rest)? });
    }
    let rest = text.strip_prefix("run #").or_else(|| text.strip_prefix("try #"))?;
    let (number, rest) = rest.split_once(": ")?;
    Some(Line::Run { number: Some(number.parse().ok()?), outcome: outcome(rest)? })
}

/// What syzkaller says of the runs.
fn judged(text: &str) -> Option<Line> {
    if text.starts_with("too many neither good nor bad results, skipping this commit")
        || text.starts_with("unable to determine the verdict: ")
    {
        return Some(Line::Undecided);
    }
    if text == "reproducer seems to be flaky" {
        return Some(Line::SeemsFlaky);
    }
    let chance = text.strip_prefix("false negative chance: ");
    let known =
        text.starts_with("representative crash: ") || chance.is_some_and(|p| number(p).is_some());
    known.then_some(Line::Note)
}

/// A number that is not "nan" or "inf".
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|x: &f64| x.is_finite())
}

/// `commit_after` for lines whose commit nothing reads.
pub(super) fn parent_untested(text: &str) -> Option<String> {
    commit_after(text.strip_suffix(" wasn't tested")?, "parent commit ")
}
