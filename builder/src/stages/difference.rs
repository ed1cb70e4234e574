//! What a build could notice of a difference, with what the texts themselves tell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{Oid, Repository as Git, Tree};

use super::make_text::{MakeText, make_text};
use super::numbers::{Names, makes_numbers, rewritten};
use super::plan::{Touched, is_for_all, is_kconfig, is_make_text};
use super::same::{comments_only, mentions, moves_lines};
use super::wildcards::Wildcards;
use crate::closure::{Closure, VisibleChange, Why, touches};
use crate::tree::{Repository, TreeError, is_c};

/// Every path of which a build of tree `a` with this closure could notice that tree `b` differs, in
/// order of paths.
pub(crate) fn difference(
    repository: &Repository,
    a: &str,
    b: &str,
    closure: &Closure,
) -> Result<Vec<Touched>, TreeError> {
    let (git, changes) = (repository.git()?, repository.visible_changes(a, b)?);
    let mut found = noticed(repository, &git, [a, b], &changes, closure)?;
    let [a, b] = trees(repository, &git, [a, b])?;
    for one in found.iter_mut().filter(|it| it.touch.why == Why::Read) {
        let path = &one.touch.path;
        if is_make_text(path) {
            continue;
        }
        if let [Some(before), Some(after)] = [&a, &b].map(|tree| text(&git, tree, path)) {
            one.comments_only = comments_only(&before, &after);
            one.moves_lines = one.comments_only && moves_lines(&before, &after);
        }
    }
    Ok(found)
}

/// The same of trees that were compared already, without a look at what differs in text of C: all as if
/// more than comments did.
pub(crate) fn noticed(
    repository: &Repository,
    git: &Git,
    of: [&str; 2],
    changes: &[VisibleChange],
    closure: &Closure,
) -> Result<Vec<Touched>, TreeError> {
    let touched = |change: &VisibleChange| {
        let touch = touches(closure, std::slice::from_ref(change))?;
        let what = change.what;
        Some(Touched { touch, what, comments_only: false, moves_lines: false, rules: false })
    };
    let mut found: Vec<Touched> = changes.iter().filter_map(touched).collect();
    found.sort_by(|one, other| one.touch.path.cmp(&other.touch.path));
    let is_read = |it: &Touched| it.touch.why == Why::Read && is_make_text(&it.touch.path);
    if !found.iter().any(is_read) {
        return Ok(found);
    }
    // Of Kconfig all that differs: an option may be defined in a file that a build did not know of.
    let kconfigs: Vec<&[u8]> =
        changes.iter().map(|change| &*change.path).filter(|path| is_kconfig(path)).collect();
    let [a, b] = trees(repository, git, of)?;
    let mut numbers: Option<Names> = None;
    for one in found.iter_mut().filter(|it| is_read(it)) {
        let path = &one.touch.path;
        let texts = [text(git, &a, path), text(git, &b, path)];
        if is_kconfig(path) {
            let names = numbers.get_or_insert_with(|| {
                let [a, b] = [&a, &b].map(|tree| texts_of(git, tree, &kconfigs));
                rewritten(&a, &b)
            });
            one.rules = texts.iter().flatten().any(|text| makes_numbers(text, names));
        } else if let [Some(before), Some(after)] = texts {
            one.rules = make_text(&before, &after, is_for_all(path)) == MakeText::Rules;
        }
    }
    Ok(found)
}

/// Trees by their ids in hexadecimal.
pub(super) fn trees<'git>(
    repository: &Repository,
    git: &'git Git,
    [a, b]: [&str; 2],
) -> Result<[Tree<'git>; 2], TreeError> {
    let tree =
        |hex: &str| git.find_tree(repository.oid(hex)?).map_err(|source| repository.error(source));
    Ok([tree(a)?, tree(b)?])
}

/// Whether a C file, assembler included, differs between two trees (ids in hexadecimal) in nothing
/// but comments and white space, so far as that can be told. Not when it can't be read.
pub(crate) fn differ_in_comments_only(git: &Git, one: &str, other: &str, path: &[u8]) -> bool {
    let content = |hex: &str| text(git, &git.find_tree(Oid::from_str(hex).ok()?).ok()?, path);
    is_c(path)
        && match (content(one), content(other)) {
            (Some(one), Some(other)) => comments_only(&one, &other),
            _ => false,
        }
}

/// The first of some changed files whose name a text of make mentions, or has a wildcard for, of those
/// that the build read, in either tree: more may depend on it than compilers say. Reads all of these
/// texts, so it is asked where nothing else decides.
pub(super) fn named_in_make_texts<'a>(
    repository: &Repository,
    of: [&str; 2],
    closure: &Closure,
    touched: &'a [Touched],
) -> Result<Option<&'a Touched>, TreeError> {
    let git = repository.git()?;
    let trees = trees(repository, &git, of)?;
    let name = |one: &'a Touched| one.touch.path.rsplit(|byte| *byte == b'/').next();
    let mut names: Vec<(&Touched, &[u8])> =
        touched.iter().filter_map(|one| Some((one, name(one)?))).collect();
    let mut first = None;
    for path in closure.read.iter().filter(|path| is_make_text(path)) {
        let [before, after] = trees.each_ref().map(|tree| blob(tree, path));
        for id in before.into_iter().chain(after.filter(|id| Some(*id) != before)) {
            let Ok(text) = git.find_blob(id) else { continue };
            // (They stand for headers alone, and are looked for where one is asked for.)
            let asks_for_headers = names.iter().any(|(_, name)| name.ends_with(b".h"));
            let wildcards = asks_for_headers.then(|| Wildcards::of(path, text.content()));
            let is_meant = |(one, name): &(&Touched, &[u8])| {
                let stands = |it: &Wildcards<'_>| it.may_stand_for(&one.touch.path);
                mentions(text.content(), name) || wildcards.as_ref().is_some_and(stands)
            };
            if let Some(at) = names.iter().position(is_meant) {
                first = Some(names[at].0);
                names.truncate(at);
            }
        }
    }
    Ok(first)
}

/// The texts of those of some files that a tree has.
fn texts_of(git: &Git, tree: &Tree<'_>, paths: &[&[u8]]) -> Vec<Vec<u8>> {
    paths.iter().filter_map(|path| text(git, tree, path)).collect()
}

/// The content of a file; `None` when there is none at this path.
pub(super) fn text(git: &Git, tree: &Tree<'_>, path: &[u8]) -> Option<Vec<u8>> {
    Some(git.find_blob(blob(tree, path)?).ok()?.content().to_vec())
}

fn blob(tree: &Tree<'_>, path: &[u8]) -> Option<Oid> {
    Some(tree.get_path(Path::new(OsStr::from_bytes(path))).ok()?.id())
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

    #[test]
    fn a_makefile_of_either_tree_names_a_file() {
        let fixture = Fixture::new();
        let rule = "gen.h: $(src)/a.h\n\tcp $< $@\n";
        let files = [("lib/Makefile", rule), ("mm/Makefile", "obj-y += c.o\n"), ("lib/a.h", "1")];
        let base =
            fixture.commit("base", &[&files[..], &[("mm/c.c", "1"), ("lib/b.h", "1")]].concat());
        let sources = ["lib/a.h", "lib/b.h", "mm/c.c"];
        let other = fixture.edit("other", &sources.map(|path| Edit::File(path, "2")));
        let rule = "obj-y += c.o\nx: c.c\n";
        let both = fixture.edit("both", &[Edit::File("mm/Makefile", rule)]);
        let read = |paths: &[&str]| Closure {
            read: Paths::new([paths, &sources].concat()),
            ..Closure::default()
        };
        let named = |to: &crate::Revision, makefiles: &[&str]| {
            let (repository, closure) = (fixture.repository(), read(makefiles));
            let touched = difference(&repository, &base.tree, &to.tree, &closure).unwrap();
            let trees = [&*base.tree, &*to.tree];
            let first = named_in_make_texts(&repository, trees, &closure, &touched).unwrap();
            first.map(|one| String::from_utf8_lossy(&one.touch.path).into_owned())
        };
        assert_eq!(named(&other, &["lib/Makefile", "mm/Makefile"]).as_deref(), Some("lib/a.h"));
        assert_eq!(named(&other, &["mm/Makefile"]), None, "nobody read the one that names it");
        assert_eq!(named(&both, &["mm/Makefile"]).as_deref(), Some("mm/c.c"), "of the newer tree");
        assert_eq!(named(&both, &["mm/Makefile", "lib/Makefile"]).as_deref(), Some("lib/a.h"));
        let rule = "all.txt: $(wildcard lib/*.h)\n\tcat $^ >$@\n";
        let all = fixture.edit("all", &[Edit::File("mm/Makefile", rule)]);
        assert_eq!(named(&all, &["mm/Makefile"]).as_deref(), Some("lib/a.h"), "by a wildcard");
    }
}
