//! Which crash a log hunts, and which other titles may be the same bug.

use std::collections::BTreeSet;

use kiln_cache::evidence::Counts;

use crate::belief;
use crate::log::import::{Imported, Mark};

/// The titles that the start commit shows: there the hunted bug is, whatever it is called. But one that a
/// revision showed which was called good all the same, and that names another part of the kernel than the
/// most frequent one, is another bug.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    titles: BTreeSet<String>,
    /// Titles of the start that are no face of the bug.
    foreign: BTreeSet<String>,
    words: BTreeSet<String>,
    /// The title that the start shows most.
    pub(super) main: String,
}

/// Words of titles that do not name a place in the kernel.
const GENERIC: &[&str] = &[
    "read",
    "write",
    "use",
    "after",
    "free",
    "slab",
    "out",
    "bounds",
    "stack",
    "global",
    "null",
    "ptr",
    "deref",
    "bug",
    "warning",
    "info",
    "task",
    "hung",
    "hang",
    "rcu",
    "detected",
    "stall",
    "corrupted",
    "the",
    "for",
    "not",
    "from",
    "with",
    "invalid",
    "context",
    "sleeping",
    "function",
    "called",
    "general",
    "protection",
    "fault",
    "possible",
    "deadlock",
    "inconsistent",
    "lock",
    "state",
    "unable",
    "handle",
    "kernel",
    "paging",
    "request",
    "memory",
    "leak",
    "get",
    "put",
    "set",
    "add",
    "del",
    "init",
    "exit",
    "alloc",
    "create",
    "release",
    "destroy",
    "register",
    "unregister",
    "check",
    "common",
    "work",
    "net",
    "dev",
    "device",
    "sys",
    "ioctl",
    "data",
    "list",
    "line",
    "trying",
    "non",
    "static",
    "key",
    "refcount",
    "odebug",
    "object",
    "size",
    "mismatch",
    "shift",
    "array",
    "index",
    "ubsan",
    "kasan",
    "kmsan",
    "held",
    "locks",
    "still",
    "has",
    "sync",
    "dereference",
    "pointer",
    "usage",
    "suspicious",
    "cleanup",
    "open",
    "close",
    "start",
    "stop",
    "new",
    "val",
    "file",
];

impl Target {
    /// The target of a log; nothing when its start shows no crash.
    pub(super) fn of(log: &Imported) -> Option<Self> {
        let crashes = &log.tests.first()?.counts.crashes;
        let main = crashes.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))?.0.clone();
        let good = log.tests.iter().filter(|test| test.mark == Some(Mark::Good));
        let borne: BTreeSet<&String> = good.flat_map(|test| test.counts.crashes.keys()).collect();
        let place: BTreeSet<String> = words(&main).collect();
        let is_own =
            |title: &String| *title == main || !borne.contains(title) || is_at(title, &place);
        let (titles, foreign): (BTreeSet<_>, _) = crashes.keys().cloned().partition(is_own);
        let words = titles.iter().flat_map(|title| words(title)).collect();
        Some(Self { titles, foreign, words, main })
    }

    /// Whether a title is one of the target's.
    pub(super) fn is(&self, title: &str) -> bool {
        self.titles.contains(title)
    }

    /// Whether a title names the same part of the kernel: perhaps another face of the bug.
    fn is_near(&self, title: &str) -> bool {
        is_at(title, &self.words)
    }

    /// The part of the kernel, in words.
    pub(super) fn words(&self) -> &BTreeSet<String> {
        &self.words
    }

    /// Runs as the audit counts them: boot failures and faults of the host say nothing.
    pub(super) fn seen(&self, counts: &Counts) -> Seen {
        let mut seen = Seen { clean: counts.ok, ..Seen::default() };
        for (title, n) in &counts.crashes {
            if self.is(title) {
                seen.target += n;
            } else if !self.foreign.contains(title) {
                seen.other += n;
                seen.near |= self.is_near(title);
            }
        }
        seen
    }
}

/// Runs of one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Crashes with a title of the target.
    pub(super) target: u32,
    /// Runs that ended well.
    pub(super) clean: u32,
    /// Crashes with other titles, which may hide the bug, or be it.
    pub(super) other: u32,
    /// One of those names the same part of the kernel.
    pub(super) near: bool,
}

impl Seen {
    /// Runs of the same kernel, pooled.
    pub(super) fn add(&mut self, more: Seen) {
        self.target += more.target;
        self.clean += more.clean;
        self.other += more.other;
        self.near |= more.near;
    }

    /// As the belief counts them.
    pub(super) fn counts(&self) -> belief::Counts {
        belief::Counts { crashes: self.target, clean: self.clean, censored: self.other }
    }
}

/// Whether a title names a place by one of these words.
fn is_at(title: &str, place: &BTreeSet<String>) -> bool {
    words(title).any(|word| place.contains(&word))
}

/// Words that name a place: the parts of function names, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() >= 3 && !word.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_ascii_lowercase)
        .filter(|word| !GENERIC.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_places() {
        let all: Vec<String> = words("KASAN: use-after-free Read in tls_sk_proto_close").collect();
        assert_eq!(all, ["tls", "proto"]);
    }

    #[test]
    fn other_titles_are_not_the_target() {
        let mut log = Imported::default();
        let mut start = crate::log::import::Tested::default();
        start.counts.crashes.insert("WARNING in tls_push".into(), 3);
        start.counts.crashes.insert("INFO: task hung in foo_bar".into(), 1);
        log.tests.push(start);
        let target = Target::of(&log).unwrap();
        assert_eq!(target.main, "WARNING in tls_push");
        let mut counts = Counts { ok: 4, infra: 9, ..Counts::default() };
        counts.crashes.insert("KASAN: use-after-free Read in tls_close".into(), 2);
        counts.crashes.insert("INFO: task hung in foo_bar".into(), 1);
        counts.boot_failures.insert("WARNING in tls_push".into(), 5);
        let seen = target.seen(&counts);
        assert_eq!(seen, Seen { target: 1, clean: 4, other: 2, near: true });
        assert!(Target::of(&Imported::default()).is_none());
    }
}
