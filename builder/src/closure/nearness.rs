//! How far apart trees are, by object ids alone.

use std::collections::{HashMap, VecDeque};

use git2::{Oid, Repository as Git};

use super::changes::{Kind, unequal_entries};
use crate::tree::{Repository, TreeError};

/// Beyond so many differences nobody counts at first. Folders count, too, so these are some twenty
/// changed files.
const FEW: usize = 64;
/// Up to so many, where more trees are that far than there is room for: half of a point release.
const MANY: usize = 1024;

impl Repository {
    /// Those of some trees (ids in hexadecimal) that are in this repository and nearest to the tree
    /// `near`, at most so many: their positions, the nearest one first. Of those that are equally far
    /// away, the first ones.
    pub(crate) fn nearest(
        &self,
        near: &str,
        trees: &[&str],
        most: usize,
    ) -> Result<Vec<usize>, TreeError> {
        let all: Vec<usize> = (0..trees.len()).collect();
        let mut found = self.by_distance(near, trees, &all, FEW)?;
        let sure = found.partition_point(|(distance, _)| *distance < FEW);
        if sure < most && most < found.len() {
            let far: Vec<usize> = found.drain(sure..).map(|(_, place)| place).collect();
            found.extend(self.by_distance(near, trees, &far, MANY)?);
        }
        Ok(found.into_iter().map(|(_, place)| place).take(most).collect())
    }

    /// The trees at some positions with their distances, in order of these.
    fn by_distance(
        &self,
        near: &str,
        trees: &[&str],
        places: &[usize],
        most: usize,
    ) -> Result<Vec<(usize, usize)>, TreeError> {
        let asked: Vec<&str> = places.iter().map(|place| trees[*place]).collect();
        let distances = self.distances(near, &asked, most)?.into_iter().zip(places);
        let known = distances.filter_map(|(distance, place)| Some((distance?, *place)));
        let mut found: Vec<(usize, usize)> = known.collect();
        found.sort_by_key(|(distance, _)| *distance);
        Ok(found)
    }

    /// In how many entries, folders included, each of some trees (ids in hexadecimal) differs from
    /// the tree `near`: at most `most`, counted from the root down, so that a tree of another release
    /// costs no more than its upper folders. `None` of one that is not in this repository.
    fn distances(
        &self,
        near: &str,
        trees: &[&str],
        most: usize,
    ) -> Result<Vec<Option<usize>>, TreeError> {
        let git = self.git()?;
        let near = self.oid(near)?;
        let mut folders = Folders { git: &git, compared: HashMap::new() };
        let mut all = Vec::with_capacity(trees.len());
        for hex in trees {
            let id = Oid::from_str(hex).and_then(|id| git.find_tree(id)).map(|tree| tree.id());
            let distance = id.ok().map(|id| folders.distance([near, id], most)).transpose();
            all.push(distance.map_err(|source| self.error(source))?);
        }
        Ok(all)
    }
}

/// Pairs of folders that were compared: trees of one series share most of them.
struct Folders<'git> {
    git: &'git Git,
    compared: HashMap<[Oid; 2], Level>,
}

/// What differs between two folders, but for what is in the folders of both.
struct Level {
    entries: usize,
    folders: Vec<[Oid; 2]>,
}

impl Folders<'_> {
    fn distance(&mut self, trees: [Oid; 2], most: usize) -> Result<usize, git2::Error> {
        let mut found = 0;
        let mut open = VecDeque::from([trees]);
        while let Some(pair) = open.pop_front() {
            let level = self.level(pair)?;
            found += level.entries;
            if found >= most {
                return Ok(most);
            }
            open.extend(&level.folders);
        }
        Ok(found)
    }

    fn level(&mut self, pair: [Oid; 2]) -> Result<&Level, git2::Error> {
        if !self.compared.contains_key(&pair) {
            let [one, other] = [self.git.find_tree(pair[0])?, self.git.find_tree(pair[1])?];
            let unequal = unequal_entries(Some(&one), Some(&other));
            let folder =
                |item: super::changes::Item| (item.kind == Kind::Folder).then_some(item.id);
            let folders = unequal
                .values()
                .filter_map(|[one, other]| Some([one.and_then(folder)?, other.and_then(folder)?]));
            let level = Level { entries: unequal.len(), folders: folders.collect() };
            self.compared.insert(pair, level);
        }
        Ok(&self.compared[&pair])
    }
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
        let repository = fixture.repository();
        let unknown = "0123456789012345678901234567890123456789";
        let all = [base.as_str(), &file, &folder, unknown, "no id"];
        let found = repository.distances(&base, &all, FEW).unwrap();
        assert_eq!(found, [Some(0), Some(3), Some(1), None, None]);
        assert_eq!(repository.nearest(&base, &all, 5).unwrap(), [0, 2, 1]);
        assert_eq!(repository.nearest(&base, &all, 2).unwrap(), [0, 2]);
    }

    /// Trees of which each differs from the first in so many files of one folder.
    fn trees(differences: &[usize]) -> (Fixture, Vec<String>) {
        let fixture = Fixture::new();
        let paths: Vec<String> = (0..2 * MANY).map(|number| format!("many/{number}")).collect();
        let tree = |different: usize| {
            let files = paths.iter().enumerate();
            let text = |number| if number < different { "2" } else { "1" };
            let files = files.map(|(number, path)| (path.as_str(), text(number)));
            fixture.commit("a tree", &files.collect::<Vec<_>>()).tree
        };
        let trees = [0].iter().chain(differences).map(|different| tree(*different)).collect();
        (fixture, trees)
    }

    #[test]
    fn what_is_far_is_told_apart_only_where_it_has_to_be() {
        // One entry more each: the folder itself.
        let (fixture, trees) = trees(&[200, FEW - 2, FEW - 1, 100, 2 * MANY, MANY, 70]);
        let (near, others) = trees.split_first().unwrap();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let repository = fixture.repository();
        let distances = |most| {
            let found = repository.distances(near, &others, most).unwrap();
            found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(distances(FEW), [FEW, FEW - 1, FEW, FEW, FEW, FEW, FEW]);
        assert_eq!(distances(MANY), [201, FEW - 1, FEW, 101, MANY, MANY, 71]);
        let nearest = |most| repository.nearest(near, &others, most).unwrap();
        assert_eq!(nearest(1), [1]);
        assert_eq!(nearest(4), [1, 2, 6, 3]);
        assert_eq!(nearest(6), [1, 2, 6, 3, 0, 4], "of what is farthest the first");
        assert_eq!(nearest(7), [1, 0, 2, 3, 4, 5, 6], "all are asked, so nothing has to be told");
    }
}
