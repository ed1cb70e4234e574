//! A revision without one of its commits.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use git2::{Oid, Signature, Time};

use super::error::TreeError;
use super::repository::{Repository, Revision, subject};

/// What undoing a commit gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverted {
    /// A revision without the commit, in the repository given.
    Revision(Revision),
    /// Later commits touch the same lines of these files.
    Conflicts(Vec<String>),
    /// Later commits have undone it already: nothing changes.
    Nothing,
}

impl Repository {
    /// Undoes a commit on top of a revision (both by their ids), as `git revert` would. Of a merge
    /// everything is undone that it brought to its first parent.
    ///
    /// This repository is not written to: the new commit lies in a bare one in the folder `beside`,
    /// made when it is missing, which borrows this one's objects. The same question gives the same
    /// commit.
    ///
    /// # Errors
    /// When git can't read the commits, or `beside` can't be written.
    pub fn revert(
        &self,
        commit: &str,
        onto: &str,
        beside: &Path,
    ) -> Result<(Repository, Reverted), TreeError> {
        let beside = self.borrowed(beside)?;
        let git = beside.git()?;
        let reverted = undo(&git, self.oid(commit)?, self.oid(onto)?);
        Ok((beside.clone(), reverted.map_err(|source| beside.error(source))?))
    }

    /// A bare repository in a folder, which has all objects of this one.
    fn borrowed(&self, folder: &Path) -> Result<Repository, TreeError> {
        let fail = |source| self.error(source);
        let objects = self.git()?.commondir().join("objects");
        let objects = std::path::absolute(&objects).unwrap_or(objects);
        let git = git2::Repository::init_bare(folder).map_err(fail)?;
        let alternates = git.path().join("objects/info/alternates");
        let text = format!("{}\n", objects.display());
        // The time of this file tells when the repository was used last.
        let known = match fs::File::open(&alternates) {
            Ok(mut file) => {
                let _ = file.set_modified(SystemTime::now());
                let mut found = String::new();
                file.read_to_string(&mut found).is_ok_and(|_| found == text)
            }
            Err(_) => false,
        };
        if !known {
            fs::write(&alternates, text).map_err(|error| {
                let message = format!("{} can't be written: {error}", alternates.display());
                fail(git2::Error::from_str(&message))
            })?;
        }
        Repository::open(folder)
    }
}

fn undo(git: &git2::Repository, commit: Oid, onto: Oid) -> Result<Reverted, git2::Error> {
    let (commit, onto) = (git.find_commit(commit)?, git.find_commit(onto)?);
    let mainline = u32::from(commit.parent_count() > 1);
    let mut index = git.revert_commit(&commit, &onto, mainline, None)?;
    if index.has_conflicts() {
        let mut paths = Vec::new();
        for conflict in index.conflicts()? {
            let conflict = conflict?;
            let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
            paths.extend(entry.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
        }
        paths.sort();
        paths.dedup();
        return Ok(Reverted::Conflicts(paths));
    }
    let tree = index.write_tree_to(git)?;
    if tree == onto.tree_id() {
        return Ok(Reverted::Nothing);
    }
    let message = format!("Revert \"{}\"", subject(&commit));
    let who = Signature::new("Kiln", "kiln@localhost", &Time::new(onto.time().seconds(), 0))?;
    let tree = git.find_tree(tree)?;
    let id = git.commit(None, &who, &who, &message, &tree, &[&onto])?;
    let (commit, tree) = (id.to_string(), tree.id().to_string());
    Ok(Reverted::Revision(Revision { commit, tree, subject: message }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn revert(fixture: &Fixture, commit: &Revision, onto: &Revision) -> (Repository, Reverted) {
        let beside = fixture.path().with_extension("beside");
        fixture.repository().revert(&commit.commit, &onto.commit, &beside).unwrap()
    }

    #[test]
    fn what_came_after_stays() {
        let fixture = Fixture::new();
        fixture.commit("base", &[("a", "1\n"), ("b", "1\n")]);
        let bug = fixture.commit("bug", &[("a", "2\n")]);
        let tip = fixture.commit("tip", &[("b", "2\n")]);
        let (beside, reverted) = revert(&fixture, &bug, &tip);
        let Reverted::Revision(revision) = &reverted else { panic!("{reverted:?}") };
        assert_eq!(revision.subject, "Revert \"bug\"");
        assert_eq!(&beside.resolve(&revision.commit).unwrap(), revision);
        let changes = beside.changed_paths(&tip.tree, &revision.tree).unwrap();
        let paths: Vec<_> = changes.iter().map(|change| change.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a"]);
        // The user's repository has no new objects.
        assert!(fixture.repository().resolve(&revision.commit).is_err());
        assert_eq!(revert(&fixture, &bug, &tip).1, reverted, "the same commit again");
    }

    #[test]
    fn conflicts_are_named_and_what_is_undone_already_is_said() {
        let fixture = Fixture::new();
        fixture.commit("base", &[("a", "1\n")]);
        let bug = fixture.commit("bug", &[("a", "2\n")]);
        let over = fixture.commit("over", &[("a", "3\n")]);
        assert_eq!(revert(&fixture, &bug, &over).1, Reverted::Conflicts(vec!["a".into()]));
        let undone = fixture.commit("undone", &[("a", "1\n")]);
        assert_eq!(revert(&fixture, &bug, &undone).1, Reverted::Nothing);
    }

    #[test]
    fn of_a_merge_what_it_brought_is_undone() {
        let fixture = Fixture::new();
        let id = |revision: &Revision| Oid::from_str(&revision.commit).unwrap();
        let base = fixture.commit("base", &[("a", "1\n"), ("b", "1\n")]);
        let main = fixture.commit("main", &[("b", "2\n")]);
        use crate::testing::Edit;
        let side = fixture.commit_on("side", &[id(&base)], &[Edit::File("a", "2\n")]);
        let merge = fixture.commit_on("merge", &[id(&main), id(&side)], &[Edit::File("a", "2\n")]);
        let (beside, reverted) = revert(&fixture, &merge, &merge);
        let Reverted::Revision(revision) = reverted else { panic!("{reverted:?}") };
        assert_eq!(revision.tree, beside.resolve(&main.commit).unwrap().tree);
    }
}
