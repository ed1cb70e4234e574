//! What tells whether files and folders were touched, without reading them.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Clocks of file systems stand still for some milliseconds, or for two seconds (FAT): what is touched
/// twice meanwhile has one stamp for two contents, as git's "racy" entries of the index have.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

/// What tells a file from a changed one without reading it: its place, size, device, node, and times
/// of modification and of change. The last can't be set back by a program that replaces files, on file
/// systems that keep it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub(crate) struct Stamp {
    path: PathBuf,
    size: u64,
    device: u64,
    node: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file or folder that a path leads to. A folder's changes when a name comes or goes.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::by(path, &path.metadata()?))
    }

    /// Of what is at a path, be it a link.
    pub(super) fn of_itself(path: &Path) -> io::Result<Self> {
        Ok(Self::by(path, &path.symlink_metadata()?))
    }

    fn by(path: &Path, found: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            size: found.len(),
            device: found.dev(),
            node: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether it is of a tool of this name.
    #[cfg(test)]
    pub(super) fn is_of(&self, tool: &str) -> bool {
        self.path.file_name().is_some_and(|name| name == tool)
    }

    /// Whether the file is still the same.
    pub(super) fn is_current(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }

    /// Whether it was last touched so long before `then` that whoever touched it at or after `then` left
    /// another stamp. By the machine's clock: times to come are not settled.
    pub(super) fn is_settled(&self, then: SystemTime) -> bool {
        let bound = then.checked_sub(SETTLED).and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        let bound = bound.unwrap_or_default();
        let seconds = i64::try_from(bound.as_secs()).unwrap_or(i64::MAX);
        self.changed < (seconds, i64::from(bound.subsec_nanos()))
    }
}

/// A place that decides by what it has, or by not being there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Place {
    path: PathBuf,
    stamp: Option<Stamp>,
}

impl Place {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { stamp: Stamp::of(&path).ok(), path }
    }

    /// Whether it is this one.
    #[cfg(test)]
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Whether nothing came or went there.
    pub(super) fn is_current(&self) -> bool {
        Stamp::of(&self.path).ok() == self.stamp
    }

    /// As [`Stamp::is_settled`]. What is not there may have gone lately: then the folder was touched that
    /// it went from.
    pub(super) fn is_settled(&self, then: SystemTime) -> bool {
        let above = || self.path.ancestors().skip(1).find_map(|above| Stamp::of(above).ok());
        self.stamp.clone().or_else(above).is_some_and(|stamp| stamp.is_settled(then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_gets_a_file_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let (there, missing) =
            (Place::of(folder.path().into()), Place::of(folder.path().join("x")));
        assert!(there.is_current() && missing.is_current());
        std::fs::create_dir(folder.path().join("x")).unwrap();
        assert!(!there.is_current() && !missing.is_current());
    }

    #[test]
    fn what_was_touched_lately_is_not_settled() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let later = now + SETTLED + Duration::from_secs(1);
        let there = Place::of(folder.path().into());
        // Its folder may have had it a moment ago.
        let missing = Place::of(folder.path().join("x/y"));
        for place in [there, missing] {
            assert!(!place.is_settled(now) && place.is_settled(later), "{place:?}");
            assert!(!place.is_settled(now - Duration::from_secs(60)), "a time to come");
        }
    }

    #[test]
    fn a_node_of_another_file_system_is_another() {
        let device = |path: &str| Stamp::of(Path::new(path)).unwrap().device;
        assert_ne!(device("/"), device("/proc"));
        let stamp = Stamp::of(Path::new("/")).unwrap();
        let other = Stamp { device: stamp.device + 1, ..stamp.clone() };
        assert!(stamp.is_current() && !other.is_current());
    }
}
