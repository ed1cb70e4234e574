//! The closure of a build.

use super::paths::Paths;

/// Every path of its sources that a build asked about, by what it was told. What it was told is not
/// in here: that is in the git tree that was built.
///
/// # Of a build upon another one
///
/// Make runs only the commands whose inputs changed. What an object that is left from an earlier
/// build depends on was asked for in that build. So the closure of a build in a kept folder of
/// objects is the [union](Closure::union) of what all builds there asked, since the folder was
/// empty. That is more than a build from nothing would ask. It never misses anything that such a
/// build would ask, given what is relied upon anyway: that make left no object that a build from
/// nothing would make differently. A closure that is too large costs compiles, never proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Files whose content was read, and links whose target was.
    pub read: Paths,
    /// Files, links and folders that were looked up and are there, and not in `read`: a process
    /// could learn their kind, mode and size.
    pub found: Paths,
    /// Paths that were looked up in vain. The folder of each is there.
    pub missing: Paths,
    /// Folders whose names were listed.
    pub listed: Paths,
}

impl Closure {
    /// Everything that is in one or the other.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let read = self.read.union(&other.read);
        Self {
            found: self.found.union(&other.found).without(&read),
            missing: self.missing.union(&other.missing),
            listed: self.listed.union(&other.listed),
            read,
        }
    }

    /// How many entries it has in all.
    pub fn len(&self) -> usize {
        self.read.len() + self.found.len() + self.missing.len() + self.listed.len()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a process could see the content at this path.
    pub(super) fn saw_content(&self, path: &[u8]) -> bool {
        self.read.contains(path)
    }

    /// Whether a process could see kind, mode and size of what is at this path.
    pub(super) fn saw_attributes(&self, path: &[u8]) -> bool {
        self.read.contains(path) || self.found.contains(path)
    }

    /// Whether a process could see if something is at this path.
    pub(super) fn saw_presence(&self, path: &[u8]) -> bool {
        self.saw_attributes(path) || self.missing.contains(path)
    }
}
