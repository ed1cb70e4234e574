//! Which paths differ between two trees.

use std::path::{Component, Path, PathBuf};

use git2::{Delta, DiffOptions, FileMode, Oid};

use super::error::TreeError;
use super::repository::Repository;

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path from the root of the tree.
    pub path: PathBuf,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the second tree has it.
    Added,
    /// Both have it, with other content, mode or kind.
    Modified,
    /// Only the first tree has it.
    Removed,
}

/// A file, symbolic link or submodule of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// The blob; for a submodule the commit, which this repository does not hold.
    pub(crate) id: Oid,
    pub(crate) mode: FileMode,
}

/// A difference with what is needed to carry it out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Paths of the first tree that the second does not have, or has as another kind of file.
    pub(crate) removed: Vec<PathBuf>,
    /// Entries of the second tree that are new or differ.
    pub(crate) written: Vec<Entry>,
}

impl Repository {
    /// Paths that differ between two trees (ids in hexadecimal), in path order. Trees are compared
    /// by their object ids, so equal folders cost nothing; nothing is taken for a rename.
    pub fn changed_paths(&self, before: &str, after: &str) -> Result<Vec<Change>, TreeError> {
        let mut changes = Vec::new();
        self.each_delta(Some(before), after, |delta| {
            let (kind, file) = match delta.status() {
                Delta::Added => (ChangeKind::Added, delta.new_file()),
                Delta::Deleted => (ChangeKind::Removed, delta.old_file()),
                _ => (ChangeKind::Modified, delta.new_file()),
            };
            changes.extend(file.path().map(|path| Change { path: path.into(), kind }));
            Ok(())
        })?;
        Ok(changes)
    }

    /// What has to happen to a checkout of `before` (`None`: an empty folder) to make it one of
    /// `after`.
    pub(crate) fn difference(
        &self,
        before: Option<&str>,
        after: &str,
    ) -> Result<Difference, TreeError> {
        let mut difference = Difference::default();
        self.each_delta(before, after, |delta| {
            let status = delta.status();
            if matches!(status, Delta::Deleted | Delta::Typechange) {
                difference.removed.extend(delta.old_file().path().map(Path::to_path_buf));
            }
            if status != Delta::Deleted {
                let file = delta.new_file();
                let path = file.path().unwrap_or(Path::new("")).to_path_buf();
                if !is_safe(&path) {
                    let name = path.display().to_string();
                    return Err(TreeError::UnsafeName { tree: after.to_owned(), name });
                }
                difference.written.push(Entry { path, id: file.id(), mode: file.mode() });
            }
            Ok(())
        })?;
        Ok(difference)
    }

    fn each_delta(
        &self,
        before: Option<&str>,
        after: &str,
        mut each: impl FnMut(git2::DiffDelta<'_>) -> Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        let git = self.git()?;
        let before = before.map(|before| self.tree(&git, before)).transpose()?;
        let after = self.tree(&git, after)?;
        let mut options = DiffOptions::new();
        options.include_typechange(true).skip_binary_check(true);
        let diff = git
            .diff_tree_to_tree(before.as_ref(), Some(&after), Some(&mut options))
            .map_err(|error| self.error(error))?;
        diff.deltas().try_for_each(&mut each)
    }
}

/// Whether a path stays below the folder it is joined to. Git refuses to make trees with names
/// like "..", but a repository from elsewhere may hold one.
fn is_safe(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn lists_what_differs_and_takes_nothing_for_a_rename() {
        let fixture = Fixture::new();
        let one = fixture.commit("one", &[("a", "text"), ("d/x", "1"), ("same/y", "2")]);
        let two = fixture
            .edit("two", &[Edit::Remove("a"), Edit::File("b", "text"), Edit::Script("d/x", "1")]);
        let changes = fixture.repository().changed_paths(&one.tree, &two.tree).unwrap();
        let list: Vec<_> = changes.iter().map(|c| (c.path.to_str().unwrap(), c.kind)).collect();
        assert_eq!(
            list,
            [("a", ChangeKind::Removed), ("b", ChangeKind::Added), ("d/x", ChangeKind::Modified),]
        );
        assert_eq!(fixture.repository().changed_paths(&two.tree, &two.tree).unwrap(), []);
    }

    #[test]
    fn names_that_lead_out_are_not_safe() {
        for path in ["..", "../x", "a/../../x", "/etc/passwd", "", "."] {
            assert!(!is_safe(Path::new(path)), "{path}");
        }
        assert!(is_safe(Path::new("a/b..c/.d")));
    }
}
