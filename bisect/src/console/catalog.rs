//! The table of reports, compiled, and the search for the first line of one.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::blame::Names;
use super::headlines::{self, Headline, NOISE};
use super::lines::{self, Line};
use super::{Patterns, find, pattern};

/// What is in the words of all reports; lines without any of these are passed quickly.
const CUES: [&str; 26] = [
    "BUG",
    "WARNING:",
    "INFO:",
    "UBSAN:",
    "Kernel panic",
    "Unable to handle kernel",
    "general protection fault",
    "stack segment:",
    "divide error:",
    "divide_error:",
    "invalid opcode:",
    "int3:",
    "PANIC:",
    "Internal error:",
    "Unhandled fault:",
    "Alignment trap:",
    "VFS:",
    "unregister_netdevice:",
    "Booting the kernel",
    "fatal error:",
    "panic: ",
    "SYZFAIL:",
    "SYZFATAL:",
    "trusty:",
    "rust_kernel:",
    "Kernel BUG",
];

/// The kernel prints messages anew that it already printed (`kernel/printk/printk.c`); what it cut
/// short comes whole then.
const REPLAY: &[u8] = b"** replaying previous printk message **";

/// The table, compiled once.
pub(crate) static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::new);

/// A kind of report with its patterns compiled.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) headline: &'static Headline,
    pub(crate) says: Regex,
    pub(crate) then: Vec<Regex>,
    pub(crate) past: Names,
}

/// All kinds of reports.
#[derive(Debug)]
pub(crate) struct Catalog {
    cues: Regex,
    entries: Vec<Entry>,
    says: RegexSet,
    noise: Regex,
}

impl Catalog {
    fn new() -> Self {
        let entries: Vec<Entry> = headlines::all()
            .map(|headline| Entry {
                headline,
                says: pattern::compile(headline.says),
                then: headline.then.iter().map(|line| pattern::compile(line)).collect(),
                past: Names::new(headline.past.iter().copied()),
            })
            .collect();
        let says = entries.iter().map(|entry| entry.says.as_str());
        Self {
            cues: pattern::compile(&CUES.map(regex::escape).join("|")),
            says: RegexSetBuilder::new(says)
                .unicode(false)
                .build()
                .unwrap_or_else(|e| panic!("headlines: {e}")),
            noise: pattern::compile(&NOISE.join("|")),
            entries,
        }
    }

    /// The kinds of reports that a line may begin: those whose words stand first in it, in the
    /// order of the table.
    pub(crate) fn begun_by(&self, line: &[u8]) -> Vec<&Entry> {
        if lines::is_inlined(line) {
            return Vec::new();
        }
        let found: Vec<(usize, &Entry)> = self
            .says
            .matches(line)
            .iter()
            .filter_map(|at| {
                let entry = &self.entries[at];
                Some((entry.says.find(line)?.start(), entry))
            })
            .collect();
        let Some(first) = found.iter().map(|(column, _)| *column).min() else { return Vec::new() };
        if self.noise.is_match(line) {
            return Vec::new();
        }
        found.into_iter().filter(|(column, _)| *column == first).map(|(_, entry)| entry).collect()
    }

    /// The lines from byte `from` on that begin a report, but those that the user ignores.
    pub(crate) fn beginnings<'a>(
        &'a self,
        console: &'a [u8],
        from: usize,
        patterns: &'a Patterns,
    ) -> impl Iterator<Item = (Line<'a>, Vec<&'a Entry>)> {
        let mut next = from;
        std::iter::from_fn(move || {
            while let Some(cue) = self.cues.find_at(console, next) {
                let line = lines::line_at(console, cue.start());
                next = line.end.max(cue.end());
                let entries = self.begun_by(line.raw);
                let ignored = || patterns.ignores(line.raw) || replayed(console, &line);
                if !entries.is_empty() && !ignored() {
                    return Some((line, entries));
                }
            }
            None
        })
    }
}

fn replayed(console: &[u8], line: &Line<'_>) -> bool {
    let next = lines::lines(console, line.end).find(|next| next.start > line.end);
    next.is_some_and(|next| find(next.raw, REPLAY).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(console: &str) -> Vec<usize> {
        CATALOG
            .beginnings(console.as_bytes(), 0, &Patterns::default())
            .map(|(line, _)| line.start)
            .collect()
    }

    #[test]
    fn noise_and_replays_are_passed_over() {
        assert_eq!(begun("fine\nBUG: x WARNING: y\nskb_panic: z\n"), [5]);
        assert!(begun("ODEBUG: x\nWARNING: The mand mount option is gone\n").is_empty());
        let replay = "BUG: unable\r\n** replaying previous printk message **\r\nBUG: whole\r\n";
        assert_eq!(begun(replay), [replay.rfind("BUG").unwrap()]);
    }

    #[test]
    fn every_report_has_a_cue_in_its_words() {
        for headline in headlines::all() {
            let plain = headline.says.replace('\\', "").replace("[ _]", " ").replace(": *", ":");
            let plain = plain.replace("(BUG|WARNING):", "WARNING:");
            let plain =
                plain.replace("(WARNING|INFO):", "INFO:").replace("(?:WARNING|INFO):", "INFO:");
            assert!(CUES.iter().any(|cue| plain.contains(cue)), "{}", headline.says);
        }
    }
}
