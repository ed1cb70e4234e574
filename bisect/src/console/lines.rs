//! A console, line by line: who printed each, and what remains without the log's prefix.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Who printed a line, as far as the log's prefix tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printer<'a> {
    /// The line has no prefix at all.
    Unmarked,
    /// A time stamp, and nothing more.
    Stamped,
    /// A time stamp and the caller (`T123`: a task, `C1`: a processor in an interrupt).
    Caller(&'a [u8]),
}

impl Printer<'_> {
    pub(crate) fn is_cpu(self) -> bool {
        matches!(self, Self::Caller([b'C', ..]))
    }
}

/// One line of a console.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Where it begins in the console.
    pub(crate) start: usize,
    /// Where it ends, without its end-of-line bytes.
    pub(crate) end: usize,
    /// The whole line.
    pub(crate) raw: &'a [u8],
    pub(crate) printer: Printer<'a>,
    /// The line without prefix, and without the mark of a frame that may be stale.
    pub(crate) text: &'a [u8],
    /// A stack frame that the unwinder itself does not vouch for.
    pub(crate) doubtful: bool,
}

/// What printk puts before a message, and what may precede it on a shared console.
static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    super::pattern::compile(
        r"^(?:\*\* [0-9]+ printk messages dropped \*\* )?(?:.* login: )?(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]+\](?:\[ *([CT][0-9]+)\])? ",
    )
});

impl<'a> Line<'a> {
    fn new(start: usize, raw: &'a [u8]) -> Self {
        let end = start + raw.len();
        let Some(prefix) = prefix(raw) else {
            let printer = Printer::Unmarked;
            return Self { start, end, raw, printer, text: raw, doubtful: false };
        };
        let (printer, text) = prefix;
        let (text, doubtful) = without_doubt(text);
        Self { start, end, raw, printer, text, doubtful }
    }
}

fn prefix(raw: &[u8]) -> Option<(Printer<'_>, &[u8])> {
    // Nearly all lines begin with the stamp or have none; the pattern is for the others.
    if !raw.starts_with(b"** ") && super::find(raw, b" login: ").is_none() {
        return stamp(raw);
    }
    let found = PREFIX.captures(raw)?;
    let printer = found.get(1).map_or(Printer::Stamped, |m| Printer::Caller(m.as_bytes()));
    Some((printer, &raw[found.get(0)?.end()..]))
}

/// Reads `<4>[   12.345678][ T1234] `: level and caller may be missing.
fn stamp(raw: &[u8]) -> Option<(Printer<'_>, &[u8])> {
    let rest = match raw.strip_prefix(b"<") {
        Some(rest) => digits(rest)?.1.strip_prefix(b">")?,
        None => raw,
    };
    let (_, rest) = digits(rest.strip_prefix(b"[")?.trim_ascii_start())?;
    let (_, rest) = digits(rest.strip_prefix(b".")?)?;
    let rest = rest.strip_prefix(b"]")?;
    let Some(caller) = rest.strip_prefix(b"[") else {
        return Some((Printer::Stamped, rest.strip_prefix(b" ")?));
    };
    let caller = caller.trim_ascii_start();
    let (number, rest) = digits(caller.strip_prefix(b"T").or(caller.strip_prefix(b"C"))?)?;
    let text = rest.strip_prefix(b"] ")?;
    Some((Printer::Caller(&caller[..=number.len()]), text))
}

/// Leading digits, at least one, and what follows.
fn digits(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    if end == 0 { None } else { Some(bytes.split_at(end)) }
}

/// Takes away the mark of a doubtful frame: ` ? ` before it (x86), ` (unreliable)` after it
/// (PowerPC). Where the stack of an interrupt begins, such a frame is believed.
fn without_doubt(text: &[u8]) -> (&[u8], bool) {
    let doubt_before = || super::find(text, b" ? ").map(|at| &text[at + 2..]);
    let doubt_after = || text.strip_suffix(b" (unreliable)");
    match doubt_before().or_else(doubt_after) {
        Some(frame) if super::find(text, b"<EOI>").is_none() => (frame, true),
        _ => (text, false),
    }
}

/// Whether a symbolizer put this line in: the kernel prints functions that exist, with their size,
/// and not those that the compiler inlined into them.
pub(crate) fn is_inlined(raw: &[u8]) -> bool {
    raw.ends_with(b" [inline]")
}

/// The lines of `console` from byte `from` on, which must be the start of a line.
pub(crate) fn lines(console: &[u8], from: usize) -> impl Iterator<Item = Line<'_>> {
    spans(console, from).map(move |(start, end)| Line::new(start, &console[start..end]))
}

/// Start and end of each line, end-of-line bytes left out.
fn spans(console: &[u8], from: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut next = from;
    std::iter::from_fn(move || {
        if next >= console.len() {
            return None;
        }
        let start = next;
        let length = memchr::memchr(b'\n', &console[start..]);
        let mut end = length.map_or(console.len(), |n| start + n);
        next = end + 1;
        // Serial consoles end their lines with one or more carriage returns before the feed.
        while end > start && console[end - 1] == b'\r' {
            end -= 1;
        }
        Some((start, end))
    })
}

/// The line that holds byte `at`.
pub(crate) fn line_at(console: &[u8], at: usize) -> Line<'_> {
    let start = memchr::memrchr(b'\n', &console[..at]).map_or(0, |n| n + 1);
    let end = spans(console, start).next().map_or(start, |(_, end)| end);
    Line::new(start, &console[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Line<'_> {
        line_at(text.as_bytes(), 0)
    }

    #[test]
    fn prefixes_tell_the_printer() {
        let line = only("[   12.345678][ T1234] hello");
        assert_eq!((line.printer, line.text), (Printer::Caller(b"T1234"), &b"hello"[..]));
        let line = only("<4>[12.345678] hello\r");
        assert_eq!((line.printer, line.text), (Printer::Stamped, &b"hello"[..]));
        let line = only("syzkaller login: [   12.3][   C0] hello");
        assert!(line.printer.is_cpu());
        let line = only("** 3 printk messages dropped ** [    1.5] hello");
        assert_eq!((line.printer, line.text), (Printer::Stamped, &b"hello"[..]));
        for text in ["[12] x", "[1.5]x", "[1.5][T] x", "[1.5][X1] x", "<>[1.5] x", "[1.5", "["] {
            assert_eq!(only(text).printer, Printer::Unmarked, "{text}");
        }
        let line = only(" [<ffffffff8100>] func+0x1/0x2");
        assert_eq!((line.printer, line.text), (Printer::Unmarked, line.raw));
    }

    #[test]
    fn doubtful_frames_are_marked() {
        let line = only("[    1.0]  [<ffffffff8100>] ? func+0x1/0x2");
        assert_eq!((line.text, line.doubtful), (&b" func+0x1/0x2"[..], true));
        let line = only("[    1.0] [c0001] func+0x1/0x2 (unreliable)");
        assert_eq!((line.text, line.doubtful), (&b"[c0001] func+0x1/0x2"[..], true));
        assert!(!only("[    1.0]  <EOI>  ? func+0x1/0x2").doubtful);
    }

    #[test]
    fn lines_know_where_they_are() {
        let console = b"a\r\nbb\n\nc";
        let all: Vec<_> = lines(console, 0).map(|l| (l.start, l.end, l.raw.to_vec())).collect();
        let expected =
            [(0, 1, b"a".to_vec()), (3, 5, b"bb".to_vec()), (6, 6, vec![]), (7, 8, b"c".to_vec())];
        assert_eq!(all, expected);
        assert_eq!(line_at(console, 4).start, 3);
        assert_eq!(line_at(b"", 0).raw, b"");
    }
}
