//! Other titles that the crash of a title may have: what a report of the same kind says for sure.
//!
//! One bad access of memory shows as KASAN's report, as a page fault or as a general protection
//! fault, by chance of what lies at the address: all of them have the title `bad-access in
//! FUNCTION` beside their own.

use std::sync::LazyLock;

use regex::Regex;

use super::headlines;

/// A kind of title, and the others that each crash of this kind has.
struct Kind {
    title: Regex,
    also: &'static [&'static str],
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    headlines::all()
        .filter(|headline| headline.also.iter().all(|also| !also.contains("{1}")))
        .filter(|headline| !headline.also.is_empty() && headline.title.contains("{f}"))
        .filter_map(|headline| {
            let mut pattern = regex::escape(headline.title).replace(r"\{f\}", "(.+)");
            for word in 1..4 {
                pattern = pattern.replace(&format!(r"\{{{word}\}}"), ".+");
            }
            // The table's own titles are patterns, whatever is in them: they were escaped.
            let title = Regex::new(&format!("^{pattern}$")).ok()?;
            Some(Kind { title, also: headline.also })
        })
        .collect()
});

/// Whether two titles may be of one crash: they are equal, or both have the same other title.
pub(crate) fn same_crash(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let others = other_titles(a);
    other_titles(b).iter().any(|other| others.contains(other))
}

/// The other titles of a title; itself is one where it is such a title.
fn other_titles(title: &str) -> Vec<String> {
    let mut all: Vec<String> = KINDS
        .iter()
        .filter_map(|kind| Some((kind, kind.title.captures(title)?)))
        .flat_map(|(kind, found)| {
            let function = found.get(1).map_or("", |name| name.as_str()).to_owned();
            kind.also.iter().map(move |also| also.replace("{f}", &function))
        })
        // A damaged report tells no function: it is nobody's other face.
        .filter(|other| !other.ends_with(" in corrupted"))
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_access_has_several_titles() {
        let titles = [
            "KASAN: use-after-free Read in foo",
            "KASAN: slab-out-of-bounds Write in foo",
            "general protection fault in foo",
            "BUG: unable to handle kernel NULL pointer dereference in foo",
            "KFENCE: use-after-free read in foo",
        ];
        for (a, b) in titles.iter().flat_map(|a| titles.map(|b| (*a, b))) {
            assert!(same_crash(a, b), "{a}, {b}");
        }
        assert!(same_crash("BUG: soft lockup in bar", "INFO: rcu detected stall in bar"));
    }

    #[test]
    fn other_functions_and_kinds_are_other_crashes() {
        for (a, b) in [
            ("general protection fault in foo", "general protection fault in bar"),
            ("general protection fault in corrupted", "KASAN: use-after-free Read in corrupted"),
            ("WARNING in foo", "general protection fault in foo"),
            ("INFO: task hung in foo", "INFO: rcu detected stall in foo"),
            ("WARNING in foo", "WARNING in foo2"),
            ("", "BUG: x"),
        ] {
            assert!(!same_crash(a, b), "{a}, {b}");
        }
        assert!(same_crash("WARNING in foo", "WARNING in foo"));
    }
}
