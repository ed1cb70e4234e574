//! Which commits of a history change files that define given functions: the first suspects when
//! these functions crash.

mod changed;
mod definition;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use git2::{Oid, Repository as Git};

use self::changed::Changed;
use self::definition::Definition;
use crate::closure::Edges;
use crate::tree::TreeError;

/// Longest file that is looked into, in bytes: generated tables are longer, and define nothing.
const LONGEST: usize = 4 << 20;

/// The commits, rising, that change a file with a definition of one of these functions, from each of
/// their parents: a merge that only brings such a change is none of them. Commits without a parent
/// in the history are left out, and so are changes of thousands of files.
///
/// Such a file is looked for where the history begins and ends, among those that change in it; and,
/// where a commit takes a definition out of one or puts it in, among those that it changes besides: it
/// may be a move. So few files are read, however many commits there are.
pub fn commits_changing(edges: &Edges, functions: &[String]) -> Result<Vec<u32>, TreeError> {
    let Some(definition) = Definition::of(functions) else { return Ok(Vec::new()) };
    let changed = Changed::of(edges)?;
    let files = Files { edges, definition, known: Mutex::default() };
    let mut open = files.at_the_ends(&changed)?;
    let mut watched: HashSet<u32> = open.iter().copied().collect();
    let mut changing: BTreeSet<(usize, usize)> = BTreeSet::new();
    while !open.is_empty() {
        let where_it_differs =
            |path: u32| changed.edges_of(path).map(move |(at, edge)| (at, edge, path));
        let asked: Vec<_> = open.drain(..).flat_map(where_it_differs).collect();
        let answers = edges.ask(&asked, |git, (at, edge, path)| {
            let path = changed.path(*path);
            let (parent, child) = *edge;
            let defined = [parent, child].map(|commit| files.define(git, commit, path));
            let moved = match defined {
                [true, true] | [false, false] => Vec::new(),
                _ => {
                    let either = |path: &u32| {
                        let path = changed.path(*path);
                        [parent, child].iter().any(|commit| files.define(git, *commit, path))
                    };
                    changed.paths_of(*at).iter().copied().filter(either).collect()
                }
            };
            Ok((defined != [false, false], moved))
        })?;
        for ((_, edge, _), (defined, moved)) in asked.iter().zip(answers) {
            if defined {
                changing.insert(*edge);
            }
            open.extend(moved.into_iter().filter(|path| watched.insert(*path)));
        }
    }
    let children: BTreeSet<usize> = changing.iter().map(|(_, child)| *child).collect();
    let each =
        |child: &usize| edges.parents(*child).all(|parent| changing.contains(&(parent, *child)));
    Ok(children.into_iter().filter(each).map(|child| child as u32).collect())
}

/// Contents of a history's files.
struct Files<'a> {
    edges: &'a Edges,
    definition: Definition,
    /// Whether a blob has a definition.
    known: Mutex<HashMap<Oid, bool>>,
}

impl Files<'_> {
    /// The changed files that have a definition in the first commit or in the last.
    fn at_the_ends(&self, changed: &Changed) -> Result<Vec<u32>, TreeError> {
        let Some(last) = self.edges.commits().checked_sub(1) else { return Ok(Vec::new()) };
        let git = self.edges.git()?;
        let mut files: BTreeSet<(Oid, u32)> = BTreeSet::new();
        for commit in [0, last] {
            let Some(tree) = tree(&git, self.edges.tree(commit)) else { continue };
            changed.each_in(&git, &tree, |path, blob| {
                files.insert((blob, path));
            });
        }
        let files: Vec<(Oid, u32)> = files.into_iter().collect();
        let defining = self.edges.ask(&files, |git, (blob, _)| Ok(self.defines(git, *blob)))?;
        let kept = files.iter().zip(defining).filter(|(_, defines)| *defines);
        let paths: BTreeSet<u32> = kept.map(|((_, path), _)| *path).collect();
        Ok(paths.into_iter().collect())
    }

    /// Whether a file of a commit has a definition.
    fn define(&self, git: &Git, commit: usize, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        let entry = tree(git, self.edges.tree(commit)).and_then(|tree| tree.get_path(path).ok());
        entry.is_some_and(|entry| self.defines(git, entry.id()))
    }

    fn defines(&self, git: &Git, blob: Oid) -> bool {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(&blob) {
            return *known;
        }
        let found = git
            .find_blob(blob)
            .is_ok_and(|blob| blob.size() <= LONGEST && self.definition.is_in(blob.content()));
        known().insert(blob, found);
        found
    }
}

fn tree<'a>(git: &'a Git, hex: &str) -> Option<git2::Tree<'a>> {
    git.find_tree(Oid::from_str(hex).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Edit, Fixture};

    const F: &str = "int f(void)\n{ }\n";
    const CHANGED: &str = "int f(void)\n{ /* */ }\n";

    fn changing(fixture: &Fixture, good: &str, functions: &[&str]) -> Vec<u32> {
        let repository = fixture.repository();
        let history = repository.history(good, "HEAD").unwrap();
        let functions: Vec<String> = functions.iter().map(|name| (*name).to_owned()).collect();
        commits_changing(&Edges::new(&repository, &history), &functions).unwrap()
    }

    #[test]
    fn commits_that_change_such_a_file() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("a.c", F), ("b.c", "0")]).commit;
        fixture.edit("not in range", &[Edit::File("b.c", "1")]);
        fixture.edit("the file", &[Edit::File("a.c", CHANGED)]);
        fixture.edit("another", &[Edit::File("b.c", "2")]);
        fixture.edit("the file goes", &[Edit::Remove("a.c")]);
        fixture.edit("a new one", &[Edit::File("c.c", F)]);
        fixture.edit("text", &[Edit::File("d.rst", F)]);
        assert_eq!(changing(&fixture, &good, &["f"]), [1, 3, 4]);
        assert_eq!(changing(&fixture, &good, &["g"]), [0; 0]);
        assert_eq!(changing(&fixture, &good, &[]), [0; 0]);
    }

    #[test]
    fn a_function_that_moves_is_followed() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("x/a.c", F), ("b.c", "0")]).commit;
        fixture.edit("not in range", &[Edit::File("b.c", "1")]);
        fixture.edit("to b", &[Edit::File("x/a.c", "1"), Edit::File("b.c", F)]);
        fixture.edit("b, which neither end has it in", &[Edit::File("b.c", CHANGED)]);
        fixture.edit("a no longer matters", &[Edit::File("x/a.c", "2")]);
        fixture.edit("to c", &[Edit::File("b.c", "2"), Edit::File("y/c.h", F)]);
        fixture.edit("b no longer matters", &[Edit::File("b.c", "3")]);
        fixture.edit("c", &[Edit::File("y/c.h", CHANGED)]);
        fixture.edit("c goes", &[Edit::Remove("y/c.h"), Edit::File("b.c", "4")]);
        assert_eq!(changing(&fixture, &good, &["f"]), [1, 2, 4, 6, 7]);
    }
}
