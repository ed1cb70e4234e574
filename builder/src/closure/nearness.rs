//! How far apart trees are, by object ids alone.

use std::collections::VecDeque;

use git2::{Oid, Tree};

use super::changes::{Kind, unequal_entries};
use crate::tree::{Repository, TreeError};

/// Beyond so many differences nobody counts: what is far is far.
const MOST: usize = 64;

impl Repository {
    /// In how many entries, folders included, each of some trees (ids in hexadecimal) differs from
    /// the tree `near`: at most [`MOST`], counted from the root down, so that a tree of another
    /// release costs no more than its upper folders. `None` of one that is not in this repository.
    pub(crate) fn distances(
        &self,
        near: &str,
        trees: &[&str],
    ) -> Result<Vec<Option<usize>>, TreeError> {
        let git = self.git()?;
        let error = |source| self.error(source);
        let near = git.find_tree(self.oid(near)?).map_err(error)?;
        let distance = |hex: &&str| {
            let tree = Oid::from_str(hex).and_then(|id| git.find_tree(id));
            tree.ok().map(|tree| distance(&git, &near, tree).map_err(error)).transpose()
        };
        trees.iter().map(distance).collect()
    }
}

fn distance(git: &git2::Repository, one: &Tree<'_>, other: Tree<'_>) -> Result<usize, git2::Error> {
    let mut found = 0;
    let mut open = VecDeque::from([(one.clone(), other)]);
    while let Some((one, other)) = open.pop_front() {
        for sides in unequal_entries(Some(&one), Some(&other)).into_values() {
            found += 1;
            if found == MOST {
                return Ok(MOST);
            }
            let folder = |side: usize| {
                let folder = sides[side].filter(|item| item.kind == Kind::Folder);
                folder.map(|folder| git.find_tree(folder.id)).transpose()
            };
            if let (Some(one), Some(other)) = (folder(0)?, folder(1)?) {
                open.push_back((one, other));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn what_differs_less_is_nearer() {
        let fixture = Fixture::new();
        let tree = |subject: &str, files: &[(&str, &str)]| fixture.commit(subject, files).tree;
        let base = tree("base", &[("a/b/x", "1"), ("a/y", "1"), ("z", "1")]);
        let file = tree("file", &[("a/b/x", "2"), ("a/y", "1"), ("z", "1")]);
        let folder = tree("folder", &[("a/b/x", "1"), ("a/y", "1"), ("z", "1"), ("n/m", "1")]);
        let many: Vec<String> = (0..2 * MOST).map(|number| format!("many/{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "1")).collect();
        let mut all = many.clone();
        all[0].1 = "2";
        let (many, one_of_many) = (tree("many", &many), tree("one of many", &all));
        let repository = fixture.repository();
        let unknown = "0123456789012345678901234567890123456789";
        let found =
            repository.distances(&base, &[&base, &file, &folder, unknown, "no id"]).unwrap();
        assert_eq!(found, [Some(0), Some(3), Some(1), None, None]);
        assert_eq!(repository.distances(&many, &[&one_of_many]).unwrap(), [Some(2)]);
        let others: Vec<(&str, &str)> = all.iter().map(|(path, _)| (*path, "3")).collect();
        let others = tree("others", &others);
        let found = fixture.repository().distances(&many, &[&others]).unwrap();
        assert_eq!(found, [Some(MOST)]);
    }
}
