//! What a process that looks at a checkout could see of the difference between two trees.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use git2::{FileMode, ObjectType, Oid, Repository as Git, Tree};

use super::reads::Closure;
use super::touches::{Touch, touches};
use crate::tree::{Repository, TreeError};

/// One path at which two trees differ, folders included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleChange {
    /// From the root of the tree.
    pub path: Box<[u8]>,
    /// What is different.
    pub what: What,
}

/// How what is at a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing was there, and now something is; or the other way round. A folder is there when a
    /// file is below it.
    Presence,
    /// A file, a link, or a folder: one before, another now.
    Kind,
    /// A file's execute permission.
    Mode,
    /// The content of a file or the target of a link, and its length.
    Size,
    /// The same, of one length.
    Content,
}

impl Repository {
    /// Everything that differs between checkouts of two trees (ids in hexadecimal), in no
    /// particular order. A file that appears is listed with all folders that appear with it.
    pub fn visible_changes(&self, a: &str, b: &str) -> Result<Vec<VisibleChange>, TreeError> {
        let mut changes = Vec::new();
        self.each_visible_change(a, b, |change| -> Option<()> {
            changes.push(change);
            None
        })?;
        Ok(changes)
    }

    /// The same one by one, up to the first of which `visit` returns something.
    fn each_visible_change<T>(
        &self,
        a: &str,
        b: &str,
        visit: impl FnMut(VisibleChange) -> Option<T>,
    ) -> Result<Option<T>, TreeError> {
        self.each_visible_change_in(&self.git()?, a, b, visit)
    }

    /// The same with a handle that is open already, which spares reading trees again that were
    /// compared with it lately.
    pub(super) fn each_visible_change_in<T>(
        &self,
        git: &Git,
        a: &str,
        b: &str,
        visit: impl FnMut(VisibleChange) -> Option<T>,
    ) -> Result<Option<T>, TreeError> {
        let (a, b) = (self.tree(git, a)?, self.tree(git, b)?);
        if a.id() == b.id() {
            return Ok(None);
        }
        let mut walk = Walk { git, visit, found: None, path: Vec::new() };
        walk.folders(Some(&a), Some(&b)).map_err(|error| self.error(error))?;
        Ok(walk.found)
    }

    /// What a build of tree `a` with this closure could first notice of tree `b`; see [`touches`].
    pub fn first_touch(
        &self,
        a: &str,
        b: &str,
        closure: &Closure,
    ) -> Result<Option<Touch>, TreeError> {
        self.each_visible_change(a, b, |change| touches(closure, std::slice::from_ref(&change)))
    }

    /// For each tree whether it is in this repository.
    pub(crate) fn which_trees(&self, trees: &[&str]) -> Result<Vec<bool>, TreeError> {
        let git = self.git()?;
        let is_here = |tree: &&str| Oid::from_str(tree).is_ok_and(|id| git.find_tree(id).is_ok());
        Ok(trees.iter().map(is_here).collect())
    }
}

struct Walk<'a, F, T> {
    git: &'a Git,
    visit: F,
    /// What ended the walk.
    found: Option<T>,
    path: Vec<u8>,
}

/// One entry of a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: Oid,
    pub(super) kind: Kind,
    executable: bool,
}

/// What a checkout makes of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// A commit of another repository: an empty folder, whatever the commit.
    Submodule,
    File,
    Link,
}

impl Kind {
    fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::Submodule)
    }
}

impl<T, F: FnMut(VisibleChange) -> Option<T>> Walk<'_, F, T> {
    /// Compares two folders at one path, which differ; one of them may not be there.
    fn folders(&mut self, a: Option<&Tree<'_>>, b: Option<&Tree<'_>>) -> Result<(), git2::Error> {
        let names = unequal_entries(a, b);
        for (name, [a, b]) in names {
            if self.found.is_some() {
                return Ok(());
            }
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend(name);
            self.items(a, b)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn items(&mut self, a: Option<Item>, b: Option<Item>) -> Result<(), git2::Error> {
        let (a, b) = (self.checked_out(a)?, self.checked_out(b)?);
        match (a, b) {
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => self.push(What::Presence),
            (Some(a), Some(b)) if a.kind.is_folder() != b.kind.is_folder() => self.push(What::Kind),
            (Some(a), Some(b)) if a.kind.is_folder() && b.kind.is_folder() => {}
            (Some(a), Some(b)) => {
                if a.kind != b.kind {
                    self.push(What::Kind);
                }
                if a.executable != b.executable {
                    self.push(What::Mode);
                }
                if a.id != b.id {
                    let same = self.size(a.id)? == self.size(b.id)?;
                    self.push(if same { What::Content } else { What::Size });
                }
            }
        }
        let tree = |item: Option<Item>| {
            let folder = item.filter(|item| item.kind == Kind::Folder);
            folder.map(|folder| self.git.find_tree(folder.id)).transpose()
        };
        let (a, b) = (tree(a)?, tree(b)?);
        if a.is_some() || b.is_some() {
            self.folders(a.as_ref(), b.as_ref())?;
        }
        Ok(())
    }

    fn push(&mut self, what: What) {
        if self.found.is_none() {
            self.found = (self.visit)(VisibleChange { path: self.path.as_slice().into(), what });
        }
    }

    /// A folder without any file below it is in no checkout. Git itself makes no such trees.
    fn checked_out(&self, item: Option<Item>) -> Result<Option<Item>, git2::Error> {
        match item {
            Some(Item { id, kind: Kind::Folder, .. }) if self.is_void(id)? => Ok(None),
            other => Ok(other),
        }
    }

    fn is_void(&self, tree: Oid) -> Result<bool, git2::Error> {
        for entry in &self.git.find_tree(tree)? {
            if kind(&entry) != Kind::Folder || !self.is_void(entry.id())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn size(&self, blob: Oid) -> Result<usize, git2::Error> {
        Ok(self.git.odb()?.read_header(blob)?.0)
    }
}

/// Entries that are not the same in both folders, by name. Most are the same: those are passed over
/// side by side, without a copy. Nothing but speed depends on the order of entries.
pub(super) fn unequal_entries(
    a: Option<&Tree<'_>>,
    b: Option<&Tree<'_>>,
) -> BTreeMap<Vec<u8>, [Option<Item>; 2]> {
    let mut names: BTreeMap<Vec<u8>, [Option<Item>; 2]> = BTreeMap::new();
    let mut keep = |side: usize, entry: &git2::TreeEntry<'_>| {
        names.entry(entry.name_bytes().to_vec()).or_default()[side] = Some(item(entry));
    };
    let entries = |tree: Option<&'_ Tree<'_>>| tree.map_or(0, Tree::len);
    let (mut at_a, mut at_b) = (0, 0);
    while at_a < entries(a) || at_b < entries(b) {
        let one = a.and_then(|tree| tree.get(at_a));
        let other = b.and_then(|tree| tree.get(at_b));
        let order = match (&one, &other) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let same = order == Ordering::Equal
            && one.as_ref().map(|one| (one.id(), one.filemode()))
                == other.as_ref().map(|other| (other.id(), other.filemode()));
        for (side, entry, at, passed_by) in
            [(0, one, &mut at_a, Ordering::Greater), (1, other, &mut at_b, Ordering::Less)]
        {
            if let Some(entry) = entry.filter(|_| order != passed_by) {
                *at += 1;
                if !same {
                    keep(side, &entry);
                }
            }
        }
    }
    names.retain(|_, [a, b]| a != b);
    names
}

fn item(entry: &git2::TreeEntry<'_>) -> Item {
    Item {
        id: entry.id(),
        kind: kind(entry),
        executable: entry.filemode() == i32::from(FileMode::BlobExecutable),
    }
}

fn kind(entry: &git2::TreeEntry<'_>) -> Kind {
    match entry.kind() {
        Some(ObjectType::Tree) => Kind::Folder,
        Some(ObjectType::Commit) => Kind::Submodule,
        _ if entry.filemode() == i32::from(FileMode::Link) => Kind::Link,
        _ => Kind::File,
    }
}
