//! What can be told from two texts of one file, before any tool looks at them. None of it is
//! relied on for "the same": it chooses what to try, or rules something out.

use std::collections::BTreeSet;
use std::ops::Range;

use memchr::memmem::Finder;

/// Whether two C texts differ in comments and white space only, so far as this can be told without
/// a preprocessor. Line ends with a backslash before them count as white space.
pub(super) fn comments_only(one: &[u8], other: &[u8]) -> bool {
    stripped(one) == stripped(other)
}

/// Whether something of two such texts stands on another line in the one than in the other.
pub(super) fn moves_lines(one: &[u8], other: &[u8]) -> bool {
    lines(one) != lines(other)
}

/// The line of each literal, and of each byte outside of literals, that is kept of a text.
fn lines(text: &[u8]) -> Vec<usize> {
    let (mut lines, mut line, mut before) = (Vec::with_capacity(text.len()), 0, 0);
    each_kept(text, |kept| {
        line += text[before..kept.start].iter().filter(|byte| **byte == b'\n').count();
        before = kept.start;
        lines.push(line);
    });
    lines
}

/// The text without comments and white space; literals are kept as they are.
fn stripped(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    each_kept(text, |range| kept.extend_from_slice(&text[range]));
    kept
}

/// Calls `keep` with each piece of a text that is neither comment nor white space: a literal, or a byte.
fn each_kept(text: &[u8], mut keep: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        if rest.starts_with(b"//") {
            at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*") {
            let end = rest.windows(2).skip(2).position(|pair| pair == b"*/");
            at += end.map_or(rest.len(), |end| end + 4);
        } else if byte == b'"' || byte == b'\'' {
            let end = at + literal(rest);
            keep(at..end);
            at = end;
        } else {
            if !byte.is_ascii_whitespace() && !rest.starts_with(b"\\\n") {
                keep(at..at + 1);
            }
            at += 1;
        }
    }
}

/// Length of the literal that a text begins with. One that its line does not end is one byte long:
/// an apostrophe in text for the assembler, or in `#error`.
pub(super) fn literal(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return 1,
            _ if byte == text[0] => return at + 1,
            _ => at += 1,
        }
    }
    1
}

/// Whether the second text mentions a `CONFIG_` option that the first one does not.
pub(super) fn mentions_new_option(before: &[u8], after: &[u8]) -> bool {
    !options(after).is_subset(&options(before))
}

fn options(text: &[u8]) -> BTreeSet<&[u8]> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let words = text.split(|byte| !is_word(byte));
    words.filter(|word| word.starts_with(b"CONFIG_")).collect()
}

/// Whether a text mentions a file's name, as a word of its own.
pub(super) fn mentions(text: &[u8], name: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let (finder, mut from) = (Finder::new(name), 0);
    while let Some(found) = text.get(from..).and_then(|rest| finder.find(rest)) {
        let at = from + found;
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        if !is_part(before) && !is_part(text.get(at + name.len())) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_that_move_lines() {
        let base = b"int a; /* x */\nint b;\n";
        for same in ["int a; /* y\tz */\n int b;\n// end\n", "int a;\nint b;"] {
            assert!(!moves_lines(base, same.as_bytes()), "{same}");
        }
        for moved in ["/* x */\nint a;\nint b;\n", "int a; /* x\n */\nint b;\n", "int a; int b;"] {
            assert!(comments_only(base, moved.as_bytes()));
            assert!(moves_lines(base, moved.as_bytes()), "{moved}");
        }
    }

    #[test]
    fn comments_and_blanks() {
        let base = "int a; /* x */\n\nchar *b = \"/* no */ '\"; // y\n#define C \\\n 1\n";
        for other in [
            "int a;\nchar *b = \"/* no */ '\";\n#define C 1\n",
            "/* y\n */ int a; char *b =\"/* no */ '\";#define C \\\n\\\n1",
        ] {
            assert!(comments_only(base.as_bytes(), other.as_bytes()), "{other}");
        }
        for other in [base.replace("no", "on"), base.replace("int a", "int b")] {
            assert!(!comments_only(base.as_bytes(), other.as_bytes()), "{other}");
        }
        assert!(comments_only(b"#error don't\nint a;", b"#error don't\n/* it's */ int a;"));
        assert!(comments_only(b"", b"/* open") && !comments_only(b"a/b", b"a/ /b"));
    }

    #[test]
    fn options_and_names() {
        assert!(mentions_new_option(b"CONFIG_A", b"/* CONFIG_B */ CONFIG_A"));
        assert!(!mentions_new_option(b"CONFIG_A CONFIG_B", b"CONFIG_B"));
        let mentions = |text: &str, name: &str| mentions(text.as_bytes(), name.as_bytes());
        assert!(mentions("x: $(src)/a.h FORCE", "a.h") && !mentions("x: aa.h a.hh", "a.h"));
        assert!(mentions("aa.h a.h", "a.h") && mentions("xa.a.a", "a.a") && !mentions("a", "a.h"));
    }
}
