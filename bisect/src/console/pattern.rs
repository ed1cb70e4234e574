//! Regular expressions over console bytes.

use regex::bytes::{Captures, Regex, RegexBuilder};

/// A function as `%pS` prints it, name captured: the rest is its compiler's suffix and an offset.
const FUNCTION: &str = r"([A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z0-9_.]+)?\+0x[0-9a-f]+/0x";

/// Compiles a pattern of our own tables; `{FUNCTION}` in it stands for a printed function.
///
/// # Panics
/// When the pattern is no regular expression: a fault of the table, found by its first test.
pub(crate) fn compile(pattern: &str) -> Regex {
    let expanded = pattern.replace("{FUNCTION}", FUNCTION);
    RegexBuilder::new(&expanded)
        .unicode(false)
        .build()
        .unwrap_or_else(|e| panic!("pattern {pattern:?}: {e}"))
}

/// The texts that a match captured, in order.
pub(crate) fn names_in<'a>(found: &Captures<'a>) -> impl Iterator<Item = &'a [u8]> {
    let all: Vec<_> = found.iter().skip(1).flatten().map(|m| m.as_bytes()).collect();
    all.into_iter()
}

/// Names with `*` for anything, as one expression that matches a whole name; nothing for none.
pub(crate) fn names(patterns: impl IntoIterator<Item = &'static str>) -> Option<Regex> {
    let all: Vec<String> =
        patterns.into_iter().map(|name| regex::escape(name).replace(r"\*", ".*")).collect();
    (!all.is_empty()).then(|| compile(&format!("^(?:{})$", all.join("|"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole() {
        let some = names(["kfree", "*_alloc", "lock_*"]).unwrap();
        for (name, matches) in
            [("kfree", true), ("kfree_skb", false), ("kmem_alloc", true), ("unlock_page", false)]
        {
            assert_eq!(some.is_match(name.as_bytes()), matches, "{name}");
        }
        assert!(names([]).is_none());
    }
}
