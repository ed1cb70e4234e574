//! Tells a report that is damaged: cut off, torn, or mixed with another.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern;
use super::walk::{self, RISCV_REGISTERS, TRACE_STARTS};

/// A time stamp in the middle of a title: two lines ran into one.
static STAMP: LazyLock<Regex> = LazyLock::new(|| pattern::compile(r"\[ *[0-9]+\.[0-9]+\]"));

/// How many lines after a trace's headline may pass before its first frame.
const WITHIN: usize = 15;

/// Whether a title has another line's time stamp in it.
pub(crate) fn torn_title(title: &str) -> bool {
    STAMP.is_match(title.as_bytes())
}

/// Whether the stack traces of a report are incomplete. Each headline of a trace must have a
/// frame below it, and there must be one at all.
pub(crate) fn traces_missing(lines: &[&[u8]]) -> bool {
    let mut any = false;
    for start in TRACE_STARTS.iter() {
        let Some(at) = lines.iter().position(|line| start.is_match(line)) else { continue };
        let below = &lines[at + 1..];
        if below.len() < 2 {
            return true;
        }
        let has_frame =
            below.iter().take(WITHIN).take_while(|line| !walk::starts_trace(line)).any(|line| {
                super::find(line, b"(stack is not available)").is_some() || walk::is_frame(line)
            });
        any |= has_frame;
        if !has_frame && start.as_str() != RISCV_REGISTERS {
            return true;
        }
    }
    !any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_headline_needs_a_frame() {
        let whole: [&[u8]; 6] =
            [b"BUG: x", b"Call Trace:", b" foo+0x1/0x2", b"Freed:", b" bar+0x1/0x2", b"end"];
        assert!(!traces_missing(&whole));
        assert!(traces_missing(&whole[..1]));
        assert!(traces_missing(&[b"Call Trace:", b"Freed:", b" bar+0x1/0x2", b"", b""]));
        assert!(traces_missing(&[b"Call Trace:", b" bar+0x1/0x2"]));
    }

    #[test]
    fn torn_titles_show_a_time_stamp() {
        assert!(torn_title("kernel panic: Fatal [   12.5] foo"));
        assert!(!torn_title("BUG: x in [unmount]"));
    }
}
