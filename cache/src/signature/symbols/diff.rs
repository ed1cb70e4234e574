//! What differs between two maps.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SymbolKind;
use super::map::{SymbolEntry, SymbolKey, SymbolMap};

/// One symbol that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SymbolChange {
    /// Source file, when it is known; without folders where these aren't.
    pub file: Option<String>,
    /// What it is.
    pub kind: SymbolKind,
    /// Name without compilers' suffixes.
    pub name: String,
    /// Size in bytes in the first map, when it is there.
    pub before: Option<u64>,
    /// Size in bytes in the second map, when it is there.
    pub after: Option<u64>,
}

/// Entries before, and entries after.
type Sides<'a> = (Vec<&'a SymbolEntry>, Vec<&'a SymbolEntry>);

/// The changes from `before` to `after`, sorted by file, kind and name.
///
/// Entries of one name that are equal on both sides cancel out first, in whatever order they are;
/// the rest are paired in order. A symbol that is left over on one side and has one of the same
/// name and kind left over on the other (it went to another file, or became static) is the same
/// one: changed if its content is, and no change if not.
pub fn diff(before: &SymbolMap, after: &SymbolMap) -> Vec<SymbolChange> {
    let mut changes = Vec::new();
    // By kind and name: what is on one side only.
    let mut alone: BTreeMap<(SymbolKind, &str), Sides<'_>> = BTreeMap::new();
    let mut keys: Vec<&SymbolKey> = before.entries.keys().chain(after.entries.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (old, new) = unmatched(before.entries.get(key), after.entries.get(key));
        let pairs = old.len().min(new.len());
        changes.extend(
            old.iter().zip(&new).map(|(a, b)| change(key.kind, &key.name, Some(a), Some(b))),
        );
        let left = alone.entry((key.kind, &key.name)).or_default();
        left.0.extend(&old[pairs..]);
        left.1.extend(&new[pairs..]);
    }
    for ((kind, name), (old, new)) in alone {
        let pairs = old.len().min(new.len());
        let moved = old.iter().zip(&new).filter(|(a, b)| !same(a, b));
        changes.extend(moved.map(|(a, b)| change(kind, name, Some(a), Some(b))));
        changes.extend(old[pairs..].iter().map(|it| change(kind, name, Some(it), None)));
        changes.extend(new[pairs..].iter().map(|it| change(kind, name, None, Some(it))));
    }
    changes.sort();
    changes
}

fn same(a: &SymbolEntry, b: &SymbolEntry) -> bool {
    (a.size, a.hash) == (b.size, b.hash)
}

/// What is left of two lists when equal entries are taken away in pairs.
fn unmatched<'a>(
    old: Option<&'a Vec<SymbolEntry>>,
    new: Option<&'a Vec<SymbolEntry>>,
) -> Sides<'a> {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for it in old.into_iter().flatten() {
        *counts.entry((it.size, it.hash)).or_default() += 1;
    }
    let mut take = |it: &SymbolEntry| match counts.get_mut(&(it.size, it.hash)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let new: Vec<_> = new.into_iter().flatten().filter(|it| !take(it)).collect();
    // What is still counted had no partner; of equal ones it does not matter which stay.
    let old = old.into_iter().flatten().filter(|it| take(it)).collect();
    (old, new)
}

fn change(
    kind: SymbolKind,
    name: &str,
    before: Option<&SymbolEntry>,
    after: Option<&SymbolEntry>,
) -> SymbolChange {
    let file =
        after.and_then(|it| it.file.clone()).or_else(|| before.and_then(|it| it.file.clone()));
    SymbolChange {
        file,
        kind,
        name: name.to_owned(),
        before: before.map(|it| it.size),
        after: after.map(|it| it.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn map(entries: &[(&str, &str, &str)]) -> SymbolMap {
        let mut map = SymbolMap::default();
        for (file, name, content) in entries {
            let key = SymbolKey {
                kind: SymbolKind::Function,
                file: (*file).to_owned(),
                name: (*name).to_owned(),
            };
            let (size, hash) = (content.len() as u64, Digest::of(content.as_bytes()));
            let file = (!file.is_empty()).then(|| (*file).to_owned());
            map.entries.entry(key).or_default().push(SymbolEntry { size, hash, file, unit: None });
        }
        map
    }

    fn names(before: &[(&str, &str, &str)], after: &[(&str, &str, &str)]) -> Vec<String> {
        let number = |size: Option<u64>| size.map_or("-".to_owned(), |size| size.to_string());
        let changes = diff(&map(before), &map(after));
        changes
            .iter()
            .map(|it| format!("{} {} {}", it.name, number(it.before), number(it.after)))
            .collect()
    }

    #[test]
    fn added_removed_changed() {
        let before = [("a.c", "f", "1"), ("a.c", "g", "22"), ("", "h", "3")];
        let after = [("a.c", "f", "1"), ("a.c", "g", "2"), ("b.c", "i", "444")];
        assert_eq!(
            names(&before, &after),
            ["h 3 -".replace('3', "1"), "g 2 1".into(), "i - 3".into()]
        );
        assert!(names(&before, &before).is_empty());
    }

    #[test]
    fn of_many_with_one_name_only_the_odd_one_counts() {
        let before = [("a.c", "__func__", "x"), ("a.c", "__func__", "yy")];
        let after =
            [("a.c", "__func__", "new"), ("a.c", "__func__", "x"), ("a.c", "__func__", "yy")];
        assert_eq!(names(&before, &after), ["__func__ - 3"]);
        assert_eq!(names(&after, &before), ["__func__ 3 -"]);
        let swapped = [("a.c", "__func__", "yy"), ("a.c", "__func__", "x")];
        assert!(names(&before, &swapped).is_empty());
    }

    #[test]
    fn another_file_or_binding_is_no_change_by_itself() {
        assert!(names(&[("a.c", "f", "1")], &[("", "f", "1")]).is_empty());
        assert_eq!(names(&[("a.c", "f", "1")], &[("b.c", "f", "22")]), ["f 1 2"]);
    }
}
