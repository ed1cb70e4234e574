//! The C files that change in a history.

use std::collections::HashMap;

use git2::{ObjectType, Oid, Repository as Git, Tree};

use crate::closure::{Edges, What};
use crate::tree::{TreeError, is_c};

/// Which C files differ along which edges of a history. Files have numbers.
#[derive(Default)]
pub(super) struct Changed {
    numbers: HashMap<Box<[u8]>, u32>,
    paths: Vec<Box<[u8]>>,
    edges: Vec<(usize, usize)>,
    /// Of each edge the files.
    of_edge: Vec<Vec<u32>>,
    /// Of each file the edges.
    of_path: Vec<Vec<u32>>,
}

impl Changed {
    /// Of all edges but those along which thousands of files differ.
    pub(super) fn of(edges: &Edges) -> Result<Self, TreeError> {
        let all = edges.all();
        let changes = edges.ask(&all, |git, (parent, child)| {
            Ok(edges.few_changes(git, *parent, *child)?.unwrap_or_default())
        })?;
        let mut changed = Self { edges: all, ..Self::default() };
        for (edge, changes) in changes.iter().enumerate() {
            let mut files: Vec<u32> = changes
                .iter()
                .filter(|change| change.what != What::Mode && is_c(&change.path))
                .map(|change| changed.number(&change.path))
                .collect();
            files.dedup();
            files.iter().for_each(|file| changed.of_path[*file as usize].push(edge as u32));
            changed.of_edge.push(files);
        }
        Ok(changed)
    }

    fn number(&mut self, path: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.paths.len() as u32;
        self.numbers.insert(path.into(), number);
        self.paths.push(path.into());
        self.of_path.push(Vec::new());
        number
    }

    /// From the root of the tree.
    pub(super) fn path(&self, file: u32) -> &[u8] {
        &self.paths[file as usize]
    }

    /// The files that differ along the edge with this number.
    pub(super) fn paths_of(&self, edge: u32) -> &[u32] {
        &self.of_edge[edge as usize]
    }

    /// The edges along which a file differs, and their numbers.
    pub(super) fn edges_of(&self, file: u32) -> impl Iterator<Item = (u32, (usize, usize))> {
        self.of_path[file as usize].iter().map(|edge| (*edge, self.edges[*edge as usize]))
    }

    /// Visits those of the files that are in a tree, with their blobs.
    pub(super) fn each_in(&self, git: &Git, tree: &Tree<'_>, mut visit: impl FnMut(u32, Oid)) {
        self.below(git, tree, &mut Vec::new(), &mut visit);
    }

    fn below(
        &self,
        git: &Git,
        tree: &Tree<'_>,
        path: &mut Vec<u8>,
        visit: &mut impl FnMut(u32, Oid),
    ) {
        let length = path.len();
        for entry in tree {
            path.extend(entry.name_bytes());
            match entry.kind() {
                Some(ObjectType::Blob) => {
                    if let Some(file) = self.numbers.get(path.as_slice()) {
                        visit(*file, entry.id());
                    }
                }
                Some(ObjectType::Tree) => {
                    path.push(b'/');
                    if let Ok(folder) = git.find_tree(entry.id()) {
                        self.below(git, &folder, path, visit);
                    }
                }
                _ => {}
            }
            path.truncate(length);
        }
    }
}
