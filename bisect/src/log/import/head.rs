//! Lines of the header, of the minimizing of the configuration, and of the search for a range.

use super::line::{Line, commit_after, is_commit};

/// Beginnings of lines that say something about the range which nothing here depends on.
const NOTES: &[&str] = &[
    "building syzkaller on ",
    "fetch other tags and check if the commit is present",
    "rewritten commit ",
    "ensuring issue is reproducible on original commit ",
    "picked ",
    "determining the merge base between ",
    "expected 1 merge base, got ",
    "reproducer does not crash the merge base",
    "crash still not fixed/happens on the oldest tested release",
    "HEAD had kernel build, boot or test errors",
    "determine whether the revision contains the guilty commit",
    "checking the merge base ",
    "no existing result, test the revision",
    "the bug was not introduced yet; pretend that kernel crashed",
];

/// Beginnings of lines about the configuration.
const CONFIG: &[&str] = &[
    "start config bisection",
    "found config option changes",
    "config-bisect",
    "configuration already minimized",
    "crash reproduces with baseline config",
    "testing baseline config failed",
    "minimizing config failed",
    "config minimization failed due to bad Kconfig",
    "proceeding with the original config",
    "kconfig minimization: ",
    "base config crashes",
    "trying half: ",
    "half crashed",
    "both halves did not crash",
    "only full config crashes",
    "resulting configs: ",
    "check whether we can drop unnecessary instrumentation",
    "disabling configs for ",
    "there was nothing we could disable; skip",
    "the bug reproduces without the instrumentation",
    "split chunks (needed=",
    "split chunk #",
    "testing without sub-chunk ",
    "the chunk can be dropped",
    "no need to test this chunk",
    "no way to further split the chunk",
    "we have reached the limit on predicate runs",
    "minimized to ",
];

/// Reads a line as one of these records.
pub(super) fn line(text: &str) -> Option<Line> {
    const ASKED: [(&str, bool); 4] = [
        ("searching for guilty commit starting from ", false),
        ("bisecting cause commit starting from ", false),
        ("searching for fixing commit since ", true),
        ("bisecting fixing commit since ", true),
    ];
    for (word, fix) in ASKED {
        if let Some(commit) = commit_after(text, word) {
            return Some(Line::Asked { fix, commit });
        }
    }
    if let Some(tag) = text.strip_prefix("testing release ") {
        return Some(Line::Release(tag.trim().to_owned()));
    }
    if commit_after(text, "testing current HEAD ").is_some() {
        return Some(Line::CurrentHead);
    }
    if merge_base(text) {
        return Some(Line::Release("merge base".into()));
    }
    if text.contains(" starts bisection 2") || reachable(text) {
        return Some(Line::Note);
    }
    // The error of a failed fetch is free text.
    if text.starts_with("fetch failed with ") {
        return Some(Line::CheckFailed);
    }
    if NOTES.iter().any(|word| text.starts_with(word)) {
        return Some(Line::Note);
    }
    // In 2020 some of them began with "# ".
    let config = text.strip_prefix("# ").unwrap_or(text);
    CONFIG.iter().any(|word| config.starts_with(word)).then_some(Line::Config)
}

/// `H/TITLE is a merge base`, with or without `, check if it has the bug`.
fn merge_base(text: &str) -> bool {
    let known = text.ends_with(" is a merge base")
        || text.ends_with(" is a merge base, check if it has the bug");
    known && text.split('/').next().is_some_and(is_commit)
}

/// `revision H crashed and is reachable`.
fn reachable(text: &str) -> bool {
    let rest = text.strip_prefix("revision ");
    rest.and_then(|r| r.strip_suffix(" crashed and is reachable")).is_some_and(is_commit)
}
