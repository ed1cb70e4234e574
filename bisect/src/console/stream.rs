//! Reads a console of any length with bounded memory.

use std::io::{self, Read};

use super::read::crash_title_with;
use super::{Crash, Patterns};

/// How much of a console is looked at together.
const WINDOW: usize = 8 << 20;
/// What follows a report's first line and may belong to it.
const REPORT: usize = 2 << 20;
/// What is kept of a window when the next one is read: a line that begins in one may end in the
/// next.
const KEPT: usize = 64 << 10;

/// Finds the first crash that a console tells of, as [`super::crash_title`] does, without holding
/// it in memory: at most some 16 MB of it. Places are counted from the start of the stream.
pub fn first_crash(input: &mut impl Read, patterns: &Patterns) -> io::Result<Option<Crash>> {
    let mut held = Vec::new();
    let mut passed = 0;
    loop {
        let ended = fill(input, &mut held, WINDOW)?;
        if let Some(mut crash) = crash_title_with(&held, patterns) {
            if !ended && held.len() - crash.start < REPORT {
                // Its report goes on in what was not read yet.
                passed += crash.start;
                held.drain(..crash.start);
                fill(input, &mut held, WINDOW)?;
                match crash_title_with(&held, patterns) {
                    Some(whole) => crash = whole,
                    None => crash = Crash { start: 0, end: crash.end - crash.start, ..crash },
                }
            }
            crash.start += passed;
            crash.end += passed;
            return Ok(Some(crash));
        }
        if ended {
            return Ok(None);
        }
        let keep = held.len().saturating_sub(KEPT);
        // From the start of a line, if there is one.
        let from = memchr::memchr(b'\n', &held[keep..]).map_or(keep, |at| keep + at + 1);
        passed += from;
        held.drain(..from);
    }
}

/// Reads until `held` has `size` bytes; says whether the input ended.
fn fill(input: &mut impl Read, held: &mut Vec<u8>, size: usize) -> io::Result<bool> {
    let wanted = size.saturating_sub(held.len()) as u64;
    let read = input.by_ref().take(wanted).read_to_end(held)?;
    Ok((read as u64) < wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = "[ 3.0] divide error: 0000 [#1]\n[ 3.0] RIP: 0010:kiln_break+0x1/0x2\n\
                         [ 3.0] Call Trace:\n[ 3.0]  kiln_ioctl+0x1/0x2\n[ 3.0]  x+0x1/0x2\n";

    fn found(console: &[u8]) -> Option<Crash> {
        first_crash(&mut io::Cursor::new(console), &Patterns::default()).unwrap()
    }

    #[test]
    fn a_crash_is_found_wherever_windows_end() {
        let line = b"[    2.0] nothing of interest\n";
        for before in [0, WINDOW - 100, WINDOW - 40, WINDOW - 10, WINDOW + 5, 3 * WINDOW] {
            let mut console = line.repeat(before / line.len() + 1);
            console.truncate(before);
            if before > 0 {
                console[before - 1] = b'\n';
            }
            let start = console.len();
            console.extend_from_slice(CRASH.as_bytes());
            console.extend_from_slice(&line.repeat(1000));
            let crash = found(&console).unwrap();
            assert_eq!((crash.title.as_str(), crash.start), ("divide error in kiln_break", start));
            assert!(!crash.corrupted, "{before}");
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert_eq!(found(b""), None);
        assert_eq!(found(&[0xff; 1000]), None);
        // A line longer than what is kept.
        assert_eq!(found(&vec![b'x'; WINDOW + KEPT + 10]), None);
    }
}
