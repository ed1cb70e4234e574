//! What was asked of a view: one node for each path that was seen, with marks of how.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::closure::{Closure, Paths};

/// Number of the root, given by the protocol (`FUSE_ROOT_ID` in the kernel's fuse.h).
pub(super) const ROOT: u64 = 1;

/// Collects what a view is asked. Nodes are never forgotten: a path keeps its number.
#[derive(Debug)]
pub(super) struct Record(Mutex<Nodes>);

#[derive(Debug)]
struct Nodes {
    /// Node n is at n - 1.
    nodes: Vec<Node>,
    numbers: HashMap<(u64, Box<OsStr>), u64>,
    missing: HashSet<(u64, Box<OsStr>)>,
    fault: Option<String>,
}

#[derive(Debug, Default)]
struct Node {
    /// Parent and name in it; `None` for the root.
    place: Option<(u64, Box<OsStr>)>,
    found: bool,
    read: bool,
    listed: bool,
}

impl Record {
    /// Of a view that nobody has looked at.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Nodes {
            nodes: vec![Node::default()],
            numbers: HashMap::new(),
            missing: HashSet::new(),
            fault: None,
        }))
    }

    /// The number of a name in a folder, new or as before.
    pub(super) fn number(&self, parent: u64, name: &OsStr) -> u64 {
        self.lock().number(parent, name)
    }

    /// The path of a node from the root; `None` for a number that was never given.
    pub(super) fn path(&self, number: u64) -> Option<PathBuf> {
        self.lock().path(number)
    }

    /// The number of a path from the root, if it was ever given one.
    pub(super) fn number_of(&self, path: &Path) -> Option<u64> {
        let nodes = self.lock();
        path.iter()
            .try_fold(ROOT, |parent, name| nodes.numbers.get(&(parent, Box::from(name))).copied())
    }

    /// A look-up found something. Returns its number.
    pub(super) fn found(&self, parent: u64, name: &OsStr) -> u64 {
        let mut nodes = self.lock();
        let number = nodes.number(parent, name);
        nodes.mark(number, |node| node.found = true);
        number
    }

    /// A look-up found nothing.
    pub(super) fn missing(&self, parent: u64, name: &OsStr) {
        self.lock().missing.insert((parent, name.into()));
    }

    /// The content of a file, or the target of a link, was read.
    pub(super) fn read(&self, number: u64) {
        self.lock().mark(number, |node| node.read = true);
    }

    /// A folder was listed.
    pub(super) fn listed(&self, number: u64) {
        self.lock().mark(number, |node| node.listed = true);
    }

    /// A question could not be answered, so that nothing can be said of the build.
    pub(super) fn fault(&self, reason: String) {
        self.lock().fault.get_or_insert(reason);
    }

    /// Everything collected so far, or the first fault.
    pub(super) fn take(&self) -> Result<Closure, String> {
        let mut nodes = self.lock();
        if let Some(fault) = mem::take(&mut nodes.fault) {
            return Err(fault);
        }
        let (mut read, mut found, mut missing, mut listed) = (vec![], vec![], vec![], vec![]);
        for (number, node) in (ROOT..).zip(&nodes.nodes) {
            let path = || nodes.bytes(number);
            if node.read {
                read.push(path());
            } else if node.found {
                found.push(path());
            }
            if node.listed {
                listed.push(path());
            }
        }
        for (parent, name) in &nodes.missing {
            missing.push(nodes.below(*parent, name));
        }
        Ok(Closure {
            read: Paths::new(read),
            found: Paths::new(found),
            missing: Paths::new(missing),
            listed: Paths::new(listed),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        // Every change of the tables is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nodes {
    fn number(&mut self, parent: u64, name: &OsStr) -> u64 {
        let next = self.nodes.len() as u64 + ROOT;
        let number = *self.numbers.entry((parent, name.into())).or_insert(next);
        if number == next {
            self.nodes.push(Node { place: Some((parent, name.into())), ..Node::default() });
        }
        number
    }

    fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(number.checked_sub(ROOT)?).ok()?)
    }

    fn mark(&mut self, number: u64, mark: impl FnOnce(&mut Node)) {
        let index = number.checked_sub(ROOT).and_then(|index| usize::try_from(index).ok());
        if let Some(node) = index.and_then(|index| self.nodes.get_mut(index)) {
            mark(node);
        }
    }

    fn path(&self, number: u64) -> Option<PathBuf> {
        self.node(number)?;
        Some(PathBuf::from(OsStr::from_bytes(&self.bytes(number))))
    }

    /// Path of a node that there is.
    fn bytes(&self, number: u64) -> Vec<u8> {
        match self.node(number).and_then(|node| node.place.as_ref()) {
            Some((parent, name)) => self.below(*parent, name),
            None => Vec::new(),
        }
    }

    fn below(&self, parent: u64, name: &OsStr) -> Vec<u8> {
        let mut path = self.bytes(parent);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_number_and_the_strongest_mark() {
        let record = Record::new();
        let folder = record.found(ROOT, "mm".as_ref());
        let file = record.number(folder, "a.c".as_ref());
        assert_eq!(record.found(folder, "a.c".as_ref()), file);
        record.read(file);
        record.listed(ROOT);
        record.missing(folder, "b.c".as_ref());
        assert_eq!(record.path(file), Some("mm/a.c".into()));
        assert_eq!((record.path(0), record.path(99)), (None, None));
        let closure = record.take().unwrap();
        assert_eq!(closure.read, Paths::new(vec!["mm/a.c"]));
        assert_eq!(closure.found, Paths::new(vec!["mm"]));
        assert_eq!(closure.missing, Paths::new(vec!["mm/b.c"]));
        assert_eq!(closure.listed, Paths::new(vec![""]));
    }

    #[test]
    fn a_fault_voids_the_record() {
        let record = Record::new();
        record.fault("first".into());
        record.fault("second".into());
        assert_eq!(record.take().unwrap_err(), "first");
    }
}
