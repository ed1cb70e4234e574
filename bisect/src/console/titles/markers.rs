//! Finds the lines of a console that tell of a crash.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::format::{Format, Spec};
use super::{bugs, faults, infos, panics, programs, sanitizers, warnings};
use crate::console::describe::Reader;
use crate::console::lines::{self, Line};
use crate::console::pattern;

/// What tells of a crash, in order of precedence within a line.
const SPECS: [Spec; 28] = [
    Spec {
        text: "BUG:",
        noise: &[
            "ODEBUG:",
            "Boot_DEBUG:",
            "xlog_status:",
            "DEBUG:",
            "BUG: no syscalls can create resource",
        ],
        formats: &[&sanitizers::BUGS, &bugs::BUGS],
    },
    Spec {
        text: "WARNING:",
        noise: warnings::NOISE,
        formats: &[&warnings::WARNINGS, &warnings::LOCKS],
    },
    Spec { text: "INFO:", noise: infos::NOISE, formats: &[&infos::INFOS] },
    spec("Unable to handle kernel", &[&faults::BAD_ACCESS]),
    Spec {
        text: "general protection fault",
        // A program's fault.
        noise: &[r"general protection fault .* error:\d+ in "],
        formats: &[&faults::PROTECTION],
    },
    spec("stack segment: ", &[&faults::STACK_SEGMENT]),
    spec("Kernel panic", &[&panics::PANICS]),
    spec("PANIC: double fault", &[&faults::DOUBLE]),
    spec("rust_kernel: panicked", &[&panics::RUST]),
    spec("kernel BUG", &[&bugs::ASSERTIONS]),
    spec("Kernel BUG", &[&bugs::ASSERTIONS_ELSEWHERE]),
    spec("BUG kmalloc-", &[&bugs::SLAB]),
    spec("divide error:", &[&faults::DIVISION]),
    spec("divide_error:", &[&faults::DIVISION]),
    spec("invalid opcode:", &[&faults::OPCODE]),
    spec("int3:", &[&faults::BREAKPOINT]),
    spec("UBSAN:", &[&sanitizers::UBSAN]),
    Spec {
        text: "Booting the kernel.",
        // A console's text that comes back as somebody's mount option.
        noise: &["Parsing ELF|Decompressing Linux|Unknown parameter '"],
        formats: &[&panics::REBOOT],
    },
    spec("unregister_netdevice: waiting for", &[&panics::DEVICE_WAIT]),
    spec("VFS: Close: file count is 0", &[&panics::FILE_COUNT]),
    spec("VFS: Busy inodes after unmount", &[&panics::BUSY_INODES]),
    spec("Internal error:", &[&faults::INTERNAL]),
    spec("Unhandled fault:", &[&faults::UNHANDLED]),
    spec("Alignment trap:", &[&faults::ALIGNMENT]),
    spec("trusty: panic", &[&programs::TRUSTY]),
    Spec {
        text: "fatal error:",
        noise: &["ALSA", "fatal error: cannot create timer"],
        formats: &[&programs::GO_RUNTIME],
    },
    spec("SYZFAIL:", &[&programs::SYZ_FAIL]),
    spec("SYZFATAL:", &[&programs::SYZ_FATAL]),
];

/// Looked for after all others: part of many words.
const GO_PANIC: Spec = Spec {
    text: "panic:",
    noise: &["_panic:", "xlog_status:", r"ddb\.onpanic:", "evtlog_status:"],
    formats: &[&programs::GO_PANIC],
};

const fn spec(text: &'static str, formats: &'static [&'static [Format]]) -> Spec {
    Spec { text, noise: &[], formats }
}

/// Markers that often stand in the middle of a report, and so begin no second one.
const SEQUELS: [&str; 5] = [
    "invalid opcode: 0000",
    "Kernel panic - not syncing",
    "unregister_netdevice: waiting for",
    "PANIC: double fault",
    "Internal error:",
];

/// The kernel prints messages anew that it already printed; what it cut short comes whole then.
const REPLAY: &[u8] = b"** replaying previous printk message **";

/// The table, compiled once.
pub(crate) static MARKERS: LazyLock<Markers> = LazyLock::new(Markers::new);

/// A marker with its reports.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) text: &'static [u8],
    noise: Option<Regex>,
    pub(crate) readers: Vec<Reader>,
}

/// All markers.
#[derive(Debug)]
pub(crate) struct Markers {
    any: Regex,
    all: Vec<Marker>,
    sequel: Regex,
}

impl Markers {
    fn new() -> Self {
        let specs = || SPECS.iter().chain([&GO_PANIC]);
        let words: Vec<String> = specs().map(|s| regex::escape(s.text)).collect();
        let all = specs().map(|s| Marker {
            text: s.text.as_bytes(),
            noise: pattern::any_of(s.noise.iter().copied()),
            readers: s.formats.iter().flat_map(|f| f.iter()).map(Reader::new).collect(),
        });
        Self {
            any: pattern::compile(&words.join("|")),
            all: all.collect(),
            sequel: pattern::compile(&SEQUELS.join("|")),
        }
    }

    /// The lines that tell of a crash, with the marker that says so.
    pub(crate) fn telling_lines<'c>(&self, console: &'c [u8]) -> Vec<(Line<'c>, &Marker)> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.any.find_at(console, from) {
            let line = lines::line_at(console, hit.start());
            let replayed = || {
                let next = lines::lines(console, line.end).find(|l| l.start > line.end);
                next.is_some_and(|l| super::super::find(l.raw, REPLAY).is_some())
            };
            if let Some(marker) = self.marker_of(line.raw)
                && !replayed()
            {
                found.push((line, marker));
            }
            from = line.end.max(hit.end());
        }
        found
    }

    /// Whether a line that tells of a crash goes on with one told before.
    pub(crate) fn is_sequel(&self, line: &[u8]) -> bool {
        self.sequel.is_match(line)
    }

    fn marker_of(&self, line: &[u8]) -> Option<&Marker> {
        self.all.iter().find(|marker| {
            super::super::find(line, marker.text).is_some()
                && !marker.noise.as_ref().is_some_and(|noise| noise.is_match(line))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(console: &str) -> Vec<String> {
        MARKERS
            .telling_lines(console.as_bytes())
            .into_iter()
            .map(|(line, m)| format!("{}:{}", line.start, String::from_utf8_lossy(m.text)))
            .collect()
    }

    #[test]
    fn noise_and_replays_are_passed_over() {
        assert_eq!(told("fine\nBUG: x WARNING: y\nskb_panic: z\n"), ["5:BUG:"]);
        assert!(told("ODEBUG: x\nWARNING: The mand mount option is gone\n").is_empty());
        let replay = "BUG: unable\r\n** replaying previous printk message **\r\nBUG: whole\r\n";
        assert_eq!(told(replay).len(), 1);
    }

    #[test]
    fn a_line_with_noise_for_one_marker_may_tell_by_another() {
        assert_eq!(told("ODEBUG: free WARNING: x\n"), ["0:WARNING:"]);
    }
}
