//! Gathers the lines that belong to one crash from a console that many write to.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::catalog::{CATALOG, Entry};
use super::item::Item;
use super::lines::{self, Line, Printer};
use super::{Patterns, find, pattern};

/// A stack follows that tells of no bug (`mm/page_alloc.c: warn_alloc`, `lib/fault-inject.c:
/// fail_dump`, `fs/userfaultfd.c: handle_userfault`): in the middle of a report a foreign body.
static INTRUDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern::compile(
        "allocation failure:|FAULT_INJECTION: forcing a failure|FAULT_FLAG_ALLOW_RETRY missing",
    )
});

/// From here on every processor prints its own stack (`lib/nmi_backtrace.c`).
const ALL_PROCESSORS: &[u8] = b"Sending NMI from CPU";

/// Longest report: its first stacks and what its printer says between them. What comes later is of
/// no use, and a console may be without end.
const LONGEST: usize = 20_000;

/// The lines of one crash.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What was printed by the one who crashed, prefixes off, and of which sort each line is.
    pub(crate) lines: Vec<&'a [u8]>,
    pub(crate) items: Vec<Item<'a>>,
    /// How many of these surely belong to this crash, and not to one that follows.
    pub(crate) own: usize,
    /// The first line's start in the console.
    pub(crate) start: usize,
    /// The end of the last line in the console that tells of a crash.
    pub(crate) end: usize,
}

/// Gathers the report that begins with the line `first`.
pub(crate) fn gather<'a>(
    console: &'a [u8],
    first: &Line<'a>,
    patterns: &'a Patterns,
) -> Report<'a> {
    let mut report =
        Report { lines: Vec::new(), items: Vec::new(), own: 0, start: first.start, end: first.end };
    let mut beginnings = CATALOG.beginnings(console, first.end, patterns).peekable();
    let (mut second, mut all_processors) = (false, false);
    for line in lines::lines(console, first.start).take(LONGEST) {
        let is_first = line.start == first.start;
        let begins = beginnings.next_if(|(begun, _)| begun.start == line.start);
        if let Some((_, entries)) = &begins {
            report.end = line.end;
            second |= !goes_on(entries);
        }
        second |= !is_first && INTRUDER.is_match(line.raw);
        let same = line.printer == first.printer || (all_processors && line.printer.is_cpu());
        if !is_first && (line.doubtful || !same || lines::is_inlined(line.raw)) {
            continue;
        }
        all_processors |= find(line.raw, ALL_PROCESSORS).is_some();
        report.lines.push(line.text);
        report.items.push(Item::of(line.text));
        // Where each line says whose it is, nobody else's can be among them.
        if !second || matches!(first.printer, Printer::Caller(_)) {
            report.own = report.lines.len();
        }
    }
    report
}

/// Whether a line goes on with what was told before.
fn goes_on(entries: &[&Entry]) -> bool {
    entries.first().is_some_and(|entry| entry.headline.sequel)
}
