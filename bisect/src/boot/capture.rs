//! Keeps a console of bounded size, and watches it while it grows.

use super::outcome::{END_MARKER, START_MARKER};
use super::said;
use crate::console::find;

/// What a console has shown so far, seen while it streams by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The payload started.
    pub(crate) start: bool,
    /// The payload ended.
    pub(crate) end: bool,
    /// The kernel gave up.
    pub(crate) panic: bool,
}

/// Most of a line that is kept to know who said it: more than init's longest.
const LINE_LIMIT: usize = 4096;

const PANIC: &[u8] = b"Kernel panic - not syncing";

/// A console: its first bytes and its last ones; what lies between is counted and dropped.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    /// Twice the tail's limit at most; trimmed now and then, so that a byte is moved once.
    tail: Vec<u8>,
    tail_limit: usize,
    dropped: u64,
    seen: Seen,
    /// Did a marker scroll into the part that is dropped? Then the note names it.
    start_at: Option<u64>,
    received: u64,
    /// The stream's last line as far as it has come, for words that lie across two chunks and to
    /// know whose words they are.
    overlap: Vec<u8>,
}

impl Capture {
    /// Keeps about `limit` bytes: the first quarter and the last three quarters.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            head: Vec::new(),
            head_limit: limit / 4,
            tail: Vec::new(),
            tail_limit: limit - limit / 4,
            dropped: 0,
            seen: Seen::default(),
            start_at: None,
            received: 0,
            overlap: Vec::new(),
        }
    }

    /// Takes more output and says what has been seen up to now.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Seen {
        self.watch(chunk);
        self.received += chunk.len() as u64;
        let room = self.head_limit.saturating_sub(self.head.len()).min(chunk.len());
        self.head.extend_from_slice(&chunk[..room]);
        self.tail.extend_from_slice(&chunk[room..]);
        if self.tail.len() > 2 * self.tail_limit {
            self.trim();
        }
        self.seen
    }

    /// The console. Where bytes were left out, a line says how many.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.trim();
        let mut console = self.head;
        if self.dropped > 0 {
            let head = console.len() as u64;
            console.extend_from_slice(
                format!("\n[kiln: {} bytes of console left out]\n", self.dropped).as_bytes(),
            );
            let lost = |at: u64| at >= head.saturating_sub(64) && at < head + self.dropped;
            if self.start_at.is_some_and(lost) {
                console.extend_from_slice(START_MARKER.as_bytes());
                console.push(b'\n');
            }
        }
        console.extend_from_slice(&self.tail);
        console
    }

    fn trim(&mut self) {
        let surplus = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..surplus);
        self.dropped += surplus as u64;
    }

    fn watch(&mut self, chunk: &[u8]) {
        let longest = PANIC.len().max(START_MARKER.len()).max(END_MARKER.len());
        let before = self.received - self.overlap.len() as u64;
        self.overlap.extend_from_slice(chunk);
        let said = said::payload_blanked(&self.overlap);
        if !self.seen.start
            && let Some(at) = find(&said, START_MARKER.as_bytes())
        {
            self.seen.start = true;
            self.start_at = Some(before + at as u64);
        }
        self.seen.end |= find(&said, END_MARKER.as_bytes()).is_some();
        self.seen.panic |= find(&said, PANIC).is_some();
        drop(said);
        let line = memchr::memrchr(b'\n', &self.overlap).map_or(0, |at| at + 1);
        let surplus = match self.overlap.len() - line {
            0..=LINE_LIMIT => line,
            _ => self.overlap.len() - (longest - 1),
        };
        self.overlap.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        let mut capture = Capture::new(64);
        capture.push(b"hello ");
        capture.push(b"world");
        assert_eq!(capture.finish(), b"hello world");
    }

    #[test]
    fn long_output_keeps_both_ends() {
        let mut capture = Capture::new(400);
        let all: Vec<u8> = (0..100_000u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
        for chunk in all.chunks(97) {
            capture.push(chunk);
        }
        let console = capture.finish();
        assert!(console.len() < 500);
        assert!(console.starts_with(b"0\n1\n2\n"));
        assert!(console.ends_with(b"99999\n"));
        let note = format!("[kiln: {} bytes of console left out]", all.len() - 400);
        assert!(String::from_utf8(console).unwrap().contains(&note));
    }

    #[test]
    fn what_the_payload_says_is_no_marker() {
        let mut capture = Capture::new(400);
        let text =
            format!("[    1.5] KILN> {END_MARKER}exit 0\nKILN> Kernel panic - not syncing\n");
        for byte in text.bytes() {
            assert_eq!(capture.push(&[byte]), Seen::default());
        }
        assert!(capture.push(b"[    2.5] Kernel panic - not syncing: x\n").panic);
    }

    #[test]
    fn markers_are_seen_across_chunks_and_survive_a_flood() {
        let mut capture = Capture::new(400);
        capture.push(&[b'x'; 1000]);
        let (first, second) = START_MARKER.split_at(7);
        assert!(!capture.push(first.as_bytes()).start);
        assert!(capture.push(second.as_bytes()).start);
        for _ in 0..100 {
            capture.push(&[b'y'; 1000]);
        }
        assert!(!capture.push(b"").end);
        assert!(capture.push(END_MARKER.as_bytes()).end);
        let console = String::from_utf8(capture.finish()).unwrap();
        assert!(console.contains(START_MARKER) && console.contains(END_MARKER));
    }
}
