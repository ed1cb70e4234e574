//! The folder of a pair, as it can be looked at without holding it. What is said of one that somebody
//! else holds may be over a moment later.

use std::fs;
use std::path::PathBuf;

use kiln_cache::InputKey;

use super::VIEW;
use super::reads::{self, Reads};
use super::state::{State, boot_id};
use crate::closure::Closure;
use crate::units::Units;

/// Where a pair lies, and what its record says.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    pub(crate) state: State,
}

impl Folder {
    pub(crate) fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// Where builds have seen the sources that were in no namespace of their own.
    pub(crate) fn seen_sources(&self) -> [PathBuf; 2] {
        [self.source(), self.root.join(VIEW)]
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    pub(crate) fn units_file(&self) -> PathBuf {
        self.root.join("units")
    }

    /// What the builds here read since the objects were empty, if all of them were watched.
    pub(crate) fn closure(&self) -> Option<PathBuf> {
        (self.state.objects.reads == Reads::Known).then(|| self.root.join("closure"))
    }

    /// What the builds here read, as [`Folder::closure`], decoded.
    pub(crate) fn reads(&self) -> Option<Closure> {
        self.closure().and_then(|path| reads::load(&path))
    }

    /// Which files of the sources each of the objects was made from, when the last build ended well.
    pub(crate) fn units(&self) -> Option<Units> {
        Units::decode(&fs::read(self.units_file()).ok()?).ok()
    }

    /// Whether the last build here has ended, so far as its record says.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state.objects.busy_since.is_none()
    }

    /// The build whose objects are here, as they were when it ended, with its sources.
    pub(crate) fn holds(&self) -> Option<InputKey> {
        let (source, objects) = (&self.state.source, &self.state.objects);
        let is_sound = source.clean && source.tree == objects.tree && self.is_at_rest();
        let is_on_disk = self.state.durable || self.state.boot == boot_id();
        objects.build.filter(|_| is_sound && is_on_disk)
    }
}
