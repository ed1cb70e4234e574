//! What a build could notice of a difference, with what the texts themselves tell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{Repository as Git, Tree};

use super::make_text::{MakeText, make_text};
use super::numbers::{Names, makes_numbers, rewritten};
use super::plan::{Touched, is_for_all, is_kconfig, is_make_text};
use super::same::{comments_only, mentions};
use crate::closure::{Closure, Why, touches};
use crate::tree::{Repository, TreeError, is_c};

/// Every path of which a build of tree `a` with this closure could notice that tree `b` differs, in
/// order of paths.
pub(crate) fn difference(
    repository: &Repository,
    a: &str,
    b: &str,
    closure: &Closure,
) -> Result<Vec<Touched>, TreeError> {
    let git = repository.git()?;
    let mut found = Vec::new();
    // Of Kconfig all that differs: an option may be defined in a file that a build did not know of.
    let mut kconfigs: Vec<Box<[u8]>> = Vec::new();
    for change in repository.visible_changes(a, b)? {
        let what = change.what;
        if is_kconfig(&change.path) {
            kconfigs.push(change.path.clone());
        }
        if let Some(touch) = touches(closure, std::slice::from_ref(&change)) {
            found.push(Touched { touch, what, comments_only: false, rules: false, named: false });
        }
    }
    found.sort_by(|one, other| one.touch.path.cmp(&other.touch.path));
    let read: Vec<&mut Touched> = found.iter_mut().filter(|it| it.touch.why == Why::Read).collect();
    if read.is_empty() {
        return Ok(found);
    }
    let error = |source| repository.error(source);
    let tree = |hex: &str| git.find_tree(repository.oid(hex)?).map_err(error);
    let (a, b) = (tree(a)?, tree(b)?);
    let mut makefiles: Option<Vec<u8>> = None;
    let mut numbers: Option<Names> = None;
    for one in read {
        let path = &one.touch.path;
        let texts = [text(&git, &a, path), text(&git, &b, path)];
        if is_kconfig(path) {
            let names = numbers.get_or_insert_with(|| {
                let [a, b] = [&a, &b].map(|tree| texts_of(&git, tree, &kconfigs));
                rewritten(&a, &b)
            });
            one.rules = texts.iter().flatten().any(|text| makes_numbers(text, names));
            continue;
        }
        let [Some(before), Some(after)] = texts else { continue };
        if is_make_text(path) {
            let kind = make_text(&before, &after, is_for_all(path));
            one.rules = kind == MakeText::Rules;
            continue;
        }
        one.comments_only = comments_only(&before, &after);
        let all = makefiles.get_or_insert_with(|| make_texts(&git, [&a, &b], closure));
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        one.named = mentions(all, name);
    }
    Ok(found)
}

/// Whether a C file, assembler included, differs between two trees (ids in hexadecimal) in nothing
/// but comments and white space, so far as that can be told. Not when it can't be read.
pub(crate) fn differ_in_comments_only(git: &Git, one: &str, other: &str, path: &[u8]) -> bool {
    let content = |hex: &str| text(git, &git.find_tree(git2::Oid::from_str(hex).ok()?).ok()?, path);
    is_c(path)
        && match (content(one), content(other)) {
            (Some(one), Some(other)) => comments_only(&one, &other),
            _ => false,
        }
}

/// The text of everything that make and Kconfig read, of both trees.
fn make_texts(git: &Git, trees: [&Tree<'_>; 2], closure: &Closure) -> Vec<u8> {
    let mut all = Vec::new();
    for path in closure.read.iter().filter(|path| is_make_text(path)) {
        for tree in trees {
            all.extend(text(git, tree, path).unwrap_or_default());
            all.push(b'\n');
        }
    }
    all
}

/// The texts of those of some files that a tree has.
fn texts_of(git: &Git, tree: &Tree<'_>, paths: &[Box<[u8]>]) -> Vec<Vec<u8>> {
    paths.iter().filter_map(|path| text(git, tree, path)).collect()
}

/// The content of a file; `None` when there is none at this path.
pub(super) fn text(git: &Git, tree: &Tree<'_>, path: &[u8]) -> Option<Vec<u8>> {
    let entry = tree.get_path(Path::new(OsStr::from_bytes(path))).ok()?;
    Some(git.find_blob(entry.id()).ok()?.content().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Paths;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn an_option_that_becomes_hex_is_none_that_make_sees() {
        let fixture = Fixture::new();
        let size = "config SIZE\n\tint\n";
        let files = [("mm/Kconfig", size), ("fs/Kconfig", "config A\n\tbool\n")];
        let base = fixture.commit("base", &files).tree;
        let read = Paths::new(["fs/Kconfig", "mm/Kconfig"]);
        let closure = Closure { read, ..Closure::default() };
        let rules = |edits: &[Edit<'_>]| {
            let tree = fixture.edit("edit", edits).tree;
            let touched = difference(&fixture.repository(), &base, &tree, &closure).unwrap();
            let named = touched.into_iter().filter(|one| one.rules).map(|one| one.touch.path);
            named.map(|path| String::from_utf8_lossy(&path).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(rules(&[Edit::File("mm/Kconfig", "config SIZE\n\tint \"Size\"\n")]), [""; 0]);
        assert_eq!(rules(&[Edit::File("mm/Kconfig", "config SIZE\n\thex\n")]), ["mm/Kconfig"]);
        // In a file that the build did not know of. (One that goes is built from nothing anyway.)
        let source = "source \"mm/Kconfig.size\"\n";
        let hex = "config SIZE\n\thex\n";
        let moved = [Edit::File("mm/Kconfig", source), Edit::File("mm/Kconfig.size", hex)];
        assert_eq!(rules(&moved), ["mm/Kconfig"]);
    }
}
