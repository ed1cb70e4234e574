//! Whole paths of source files, of which a symbol table has the last names only.
//!
//! A linker takes objects in the order of folders, so files of one folder stand together in the
//! symbol table. A name that only one source file has is that file. One that several have is the one
//! in the folder of the nearest names before and behind that are known, if no other place has it
//! already; where that is none or not one, it stays unknown.

use std::collections::{BTreeMap, BTreeSet};

/// How often what was found is used to find more.
const ROUNDS: usize = 2;

/// For each name, in the order of the symbol table, its path, if it can be told. `sources`: paths of
/// the files that the kernel is compiled of.
pub(super) fn whole_paths(names: &[String], sources: &BTreeSet<String>) -> Vec<Option<String>> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in sources {
        by_name.entry(file_name(path)).or_default().push(path);
    }
    let candidates = |name: &String| by_name.get(file_name(name)).map_or(&[][..], Vec::as_slice);
    let unique = |name: &String| match candidates(name) {
        [path] => Some(*path),
        _ => None,
    };
    let sure: Vec<Option<&str>> = names.iter().map(unique).collect();
    let mut found = sure.clone();
    let mut taken: BTreeSet<&str> = sure.iter().flatten().copied().collect();
    // What one place takes is none for the others.
    for _ in 0..ROUNDS {
        for (index, name) in names.iter().enumerate() {
            if found[index].is_some() {
                continue;
            }
            let before = sure[..index].iter().rev().flatten().next();
            let behind = sure[index..].iter().flatten().next();
            let folders = [before, behind].map(|it| it.map(|path| folder(path)));
            let near = candidates(name).iter().filter(|path| folders.contains(&Some(folder(path))));
            let near: Vec<&str> = near.copied().filter(|path| !taken.contains(path)).collect();
            if let [path] = near[..] {
                found[index] = Some(path);
                taken.insert(path);
            }
        }
    }
    // One file is compiled once; what would be it twice is not known.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in found.iter().flatten() {
        *counts.entry(path).or_default() += 1;
    }
    let once = |path: &&str| counts.get(path) == Some(&1);
    found.iter().map(|it| it.filter(once).map(str::to_owned)).collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str], sources: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let sources = sources.iter().map(|it| (*it).to_owned()).collect();
        let paths = whole_paths(&names, &sources).into_iter();
        paths.map(|it| it.unwrap_or_else(|| "?".to_owned())).collect()
    }

    #[test]
    fn names_are_told_apart_by_their_neighbours() {
        let sources = [
            "kernel/sched/core.c",
            "kernel/sched/fair.c",
            "kernel/events/core.c",
            "kernel/events/callchain.c",
            "fs/pipe.c",
            "net/core.c",
        ];
        assert_eq!(
            told(&["core.c", "fair.c", "core.c", "callchain.c", "pipe.c", "core.c"], &sources),
            [
                "kernel/sched/core.c",
                "kernel/sched/fair.c",
                // (Between two folders with such a file; the other one's is taken.)
                "kernel/events/core.c",
                "kernel/events/callchain.c",
                "fs/pipe.c",
                "?"
            ]
        );
        let between = told(&["fair.c", "core.c", "callchain.c"], &sources);
        assert_eq!(between[1], "?", "it may be of either folder");
        let behind = told(&["fair.c", "pipe.c", "core.c", "callchain.c"], &sources);
        assert_eq!(behind[2], "kernel/events/core.c");
    }

    #[test]
    fn what_is_there_twice_or_not_at_all_is_unknown() {
        let sources = ["fs/pipe.c", "a/x.c", "b/x.c"];
        assert_eq!(told(&["pipe.c", "pipe.c", "y.c", "x.c"], &sources), ["?", "?", "?", "?"]);
    }
}
