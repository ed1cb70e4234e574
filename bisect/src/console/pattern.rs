//! Regular expressions over console bytes, with names for what kernels print everywhere.

use regex::bytes::{Regex, RegexBuilder};

/// What the names stand for.
const NAMES: [(&str, &str); 6] = [
    // The instruction pointer, as each architecture prints it; captures the function if any.
    ("{RIP}", RIP),
    // A code address in brackets.
    ("{PC}", r"\[<?(?:0x)?[0-9a-f]+>?\]"),
    // A function with offset or compiler suffix; captures its name.
    ("{FUNC}", r"([a-zA-Z0-9_]+)(?:\.|\+)"),
    // The same, with nothing captured.
    ("{FN}", r"[a-zA-Z0-9_]+(?:\.|\+)"),
    // A source file and line; captures it.
    ("{SRC}", r"([a-zA-Z0-9_/.-]+\.[a-z]+:[0-9]+)"),
    // The same, with nothing captured.
    ("{FILE}", r"[a-zA-Z0-9_/.-]+\.[a-z]+:[0-9]+"),
];

const RIP: &str = r"(?:IP|NIP|pc |PC is at):? (?:(?:[0-9]+:)?(?:{PC} +){0,2}{FUNC}|(?:[0-9]+:)?0x[0-9a-f]+|(?:[0-9]+:)?{PC} +\[< *\(null\)>\] +\(null\)|[0-9]+: +\(null\))";

/// Compiles a pattern of our own tables.
///
/// # Panics
/// When the pattern is no regular expression: a fault of the table, found by its first test.
pub(crate) fn compile(pattern: &str) -> Regex {
    let mut expanded = pattern.to_owned();
    for (name, meaning) in NAMES {
        expanded = expanded.replace(name, meaning);
    }
    RegexBuilder::new(&expanded)
        .unicode(false)
        .build()
        .unwrap_or_else(|e| panic!("pattern {pattern:?}: {e}"))
}

/// Compiles several patterns into one that matches where any of them does; none for no pattern.
pub(crate) fn any_of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Option<Regex> {
    let all: Vec<&str> = patterns.into_iter().collect();
    if all.is_empty() { None } else { Some(compile(&format!("(?:{})", all.join("|")))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(pattern: &str, text: &str) -> Option<String> {
        let found = compile(pattern).captures(text.as_bytes())?;
        Some(String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned())
    }

    #[test]
    fn instruction_pointers_of_several_architectures() {
        for text in [
            "RIP: 0010:[<ffffffff81>]  [<ffffffff81>] foo+0x1/0x2",
            "RIP: 0010:foo+0x1/0x2",
            "IP: [<ffffffff82d4e304>] foo+0x24/0x30",
            "pc : foo.isra.5+0x1/0x2",
            "PC is at foo+0x1/0x2",
            "NIP [c000000000a4b5c4] foo+0x44/0x80",
        ] {
            assert_eq!(function("{RIP}", text).as_deref(), Some("foo"), "{text}");
        }
        assert!(compile("{RIP}").is_match(b"RIP: 0033:0x456789"));
        assert!(!compile("{RIP}").is_match(b"RIP: 0010:[<          (null)>] (null)"));
    }

    #[test]
    fn any_of_nothing_is_nothing() {
        assert!(any_of([]).is_none());
        assert!(any_of(["a|b", "^c$"]).is_some_and(|r| r.is_match(b"xb") && r.is_match(b"c")));
    }
}
