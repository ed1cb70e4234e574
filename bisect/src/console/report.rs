//! Gathers the lines that belong to one crash from a console that many write to.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::lines::{self, Line, Printer};
use super::titles::Markers;
use super::{find, pattern};

/// A report ends where the kernel only repeats itself for `panic_on_warn`; but not when so few
/// lines came before that the panic's own stack is all there is.
const ENOUGH: usize = 22;
/// The same for KMSAN, whose reports are shorter.
const ENOUGH_KMSAN: usize = 16;

/// Words in a report's lines that change what is done with the lines that follow.
static TURNS: LazyLock<Regex> = LazyLock::new(|| {
    pattern::compile(
        "(vmalloc: allocation failure:|FAULT_INJECTION: forcing a failure|FAULT_FLAG_ALLOW_RETRY missing)|(Disabling lock debugging due to kernel taint)|(Sending NMI from CPU)|(Kernel panic - not syncing|WARNING: possible circular locking dependency detected)",
    )
});

/// What a line does to its report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// A stack follows that tells of no bug: in the middle of a report a foreign body.
    ForeignStack,
    /// A remark without meaning for the report.
    Remark,
    /// From here on every processor prints its own stack.
    AllProcessors,
    /// The panic that a warning was made to cause has the same stack once more; and printing an
    /// oops takes locks in an unusual order, which is no finding.
    Repetition,
}

fn turn_of(line: &[u8]) -> Option<Turn> {
    if !TURNS.is_match(line) {
        return None;
    }
    let found = TURNS.captures(line)?;
    [Turn::ForeignStack, Turn::Remark, Turn::AllProcessors, Turn::Repetition]
        .into_iter()
        .zip(1..)
        .find_map(|(turn, group)| found.get(group).map(|_| turn))
}

/// The lines of one crash.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What was printed by the one who crashed, prefixes off.
    pub(crate) lines: Vec<&'a [u8]>,
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
    first: Line<'a>,
    markers: &Markers,
    telling: &[usize],
) -> Report<'a> {
    let printer = first.printer;
    let enough = if find(first.raw, b"BUG: KMSAN:").is_some() { ENOUGH_KMSAN } else { ENOUGH };
    let mut report = Report { lines: Vec::new(), own: 0, start: first.start, end: first.end };
    let mut telling = telling.iter().copied().skip_while(|at| *at < first.start).peekable();
    let mut second = false;
    let mut repeating = false;
    let mut all_processors = false;
    let mut count = 0;
    for line in lines::lines(console, first.start) {
        let is_first = line.start == first.start;
        let turn = turn_of(line.raw);
        if telling.next_if_eq(&line.start).is_some() {
            report.end = line.end;
            second |= !is_first && !markers.is_sequel(line.raw);
        } else {
            second |= !is_first && turn == Some(Turn::ForeignStack);
        }
        let same = line.printer == printer || (all_processors && line.printer.is_cpu());
        if !is_first && (line.doubtful || !same) {
            continue;
        }
        count += 1;
        repeating |= turn == Some(Turn::Repetition) && count > enough;
        all_processors |= turn == Some(Turn::AllProcessors);
        let left_out = repeating || turn == Some(Turn::Remark);
        if left_out && !is_first {
            continue;
        }
        report.lines.push(line.text);
        if !second || matches!(printer, Printer::Caller(_)) {
            report.own = report.lines.len();
        }
    }
    report
}
