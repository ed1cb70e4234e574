//! Lines of a log's end: the bill and the result.

use super::duration::seconds;
use super::imported::Totals;
use super::line::{Line, is_commit, signature};
use super::testing::{number, parent_untested};

/// Reads a line as one of the records before the result.
pub(super) fn line(text: &str) -> Option<Line> {
    if let Some(p) = text.strip_prefix("accumulated error probability: ") {
        return number(p).map(Line::ErrorProbability);
    }
    if let Some(commit) = parent_untested(text) {
        return Some(Line::ParentUntested(commit));
    }
    if let Some(rest) = text.strip_prefix("culprit signature:") {
        return signature(rest).map(Line::CulpritSignature);
    }
    // Two blanks after "parent", to align the two.
    if let Some(rest) = text.strip_prefix("parent  signature:") {
        return signature(rest).map(Line::ParentSignature);
    }
    if text.starts_with("failed to detect noop change: ")
        || text.starts_with("failed to detect release: ")
    {
        return Some(Line::CheckFailed);
    }
    if text == "Reproducer flagged being flaky" {
        return Some(Line::FlaggedFlaky(None));
    }
    if let Some(rest) = text.strip_prefix("reproducer is flaky (") {
        let chance = rest.strip_suffix(" repro chance estimate)").and_then(number)?;
        return Some(Line::FlaggedFlaky(Some(chance)));
    }
    totals(text).map(Line::Totals)
}

/// Reads a line as a result, or as what comes with one.
pub(super) fn result(text: &str) -> Option<Line> {
    if let Some(error) = text.strip_prefix("error: ") {
        return Some(Line::Failed(error.to_owned()));
    }
    if let Some(title) = text.strip_prefix("crash: ") {
        return Some(Line::Crash(title.trim().to_owned()));
    }
    for word in ["first bad commit: ", "first good commit: "] {
        if let Some(rest) = text.strip_prefix(word) {
            let (commit, title) = rest.split_once(' ').unwrap_or((rest, ""));
            return is_commit(commit)
                .then(|| Line::First { commit: commit.into(), title: title.into() });
        }
    }
    if text.starts_with("bisection is inconclusive, the first ") {
        return Some(Line::Candidates);
    }
    const BEYOND: &[&str] = &[
        "the crash already happened on the oldest tested release",
        "the crash still happens on HEAD",
        "oldest tested release already had the bug or it had kernel test errors",
        "crash still not fixed or there were kernel test errors",
    ];
    if BEYOND.iter().any(|word| text.starts_with(word)) {
        return Some(Line::BeyondRange);
    }
    const NOTES: &[&str] = &["commit msg: ", "cc: [", "recipients (to): [", "recipients (cc): ["];
    NOTES.iter().any(|word| text.starts_with(word)).then_some(Line::Note)
}

/// `revisions tested: N, total time: D (build: D, test: D)`.
fn totals(text: &str) -> Option<Totals> {
    let rest = text.strip_prefix("revisions tested: ")?;
    let (revisions, rest) = rest.split_once(", total time: ")?;
    let (total, rest) = rest.split_once(" (build: ")?;
    let (build, rest) = rest.split_once(", test: ")?;
    Some(Totals {
        revisions: revisions.parse().ok()?,
        total_seconds: seconds(total)?,
        build_seconds: seconds(build)?,
        test_seconds: seconds(rest.strip_suffix(')')?)?,
    })
}
