//! Takes out of a title what differs between two crashes of one bug.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern;

/// Longest title; torn and merged lines can be much longer.
const LONGEST: usize = 120;

/// What is replaced, in this order, each again and again until nothing changes.
static CHANGES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        // Names and process numbers of syzkaller's programs.
        (r"syz-executor\.?[0-9]+(?:[/:][0-9]+)?", "syz-executor"),
        (r"syzkaller[0-9]+(?:[/:][0-9]+)?", "syzkaller"),
        // Addresses.
        (r"([^a-zA-Z0-9])(?:0x)?[0-9a-f]{6,}", "${1}ADDR"),
        (r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", "IP"),
        // Lines of source files.
        (r"(\.\w+)(?::[0-9]+)+", "${1}:LINE"),
        // Offsets into functions.
        (r"([a-zA-Z][a-zA-Z0-9_.]+)\+0x[0-9a-z]+/0x[0-9a-z]+", "${1}"),
        (r"CPU#[0-9]+", "CPU"),
        // Numbers that stand alone, and digits in names when there are too many to mean a thing.
        (r"(\W)\d+(\W|$)", "${1}NUM${2}"),
        (r"\d{7,}", "NUM"),
    ]
    .into_iter()
    .map(|(pattern, with)| (pattern::compile(pattern), with))
    .collect()
});

/// The title as it is compared and shown: printable ASCII, single spaces, bounded.
pub(crate) fn clean(title: &[u8]) -> String {
    let mut text = title.to_vec();
    for (pattern, with) in CHANGES.iter() {
        // Neighbouring matches can overlap ("0,1,2"), hence more than one pass. Each pass
        // shortens runs of digits, so this ends; the bound is against a mistake in the table.
        for _ in 0..64 {
            match pattern.replace_all(&text, with.as_bytes()) {
                std::borrow::Cow::Borrowed(_) => break,
                std::borrow::Cow::Owned(changed) if changed == text => break,
                std::borrow::Cow::Owned(changed) => text = changed,
            }
        }
    }
    let mut out = String::with_capacity(LONGEST);
    for byte in text.into_iter().take(LONGEST) {
        let byte = if byte == b'\t' { b' ' } else { byte };
        let repeated = byte == b' ' && (out.is_empty() || out.ends_with(' '));
        if (0x20..0x7f).contains(&byte) && !repeated {
            out.push(char::from(byte));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_goes() {
        for (title, cleaned) in [
            ("BUG: x at ffff8801a2b3c4d5", "BUG: x at ADDR"),
            ("kernel BUG at mm/slub.c:4023!", "kernel BUG at mm/slub.c:LINE!"),
            ("bad thing in ip6_fragment+0x1052/0x2d80", "bad thing in ip6_fragment"),
            ("stuck for 22 s on CPU#1, 2,3", "stuck for NUM s on CPU, NUM,NUM"),
            ("WARNING in nl802154_del", "WARNING in nl802154_del"),
            ("from 10.0.0.1", "from IP"),
            ("syz-executor.3: \tbad\u{1b}  thing ", "syz-executor: bad thing"),
        ] {
            assert_eq!(clean(title.as_bytes()), cleaned);
        }
        assert_eq!(clean(&[b'x'; 500]).len(), LONGEST);
        assert_eq!(clean(b""), "");
    }
}
