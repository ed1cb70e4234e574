//! The table of crash reports: how each sort looks and what its title is. Reports of one family
//! share a file; [`markers`] says by which words they are found.

mod bugs;
mod faults;
mod format;
mod infos;
mod markers;
mod panics;
mod programs;
mod sanitizers;
mod warnings;

pub(crate) use format::Format;
pub(crate) use markers::{MARKERS, Markers};
