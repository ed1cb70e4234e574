//! Smaller forms of blobs: deltas between neighbours, and boot images taken apart.
//!
//! Storing must not slow a build down, so blobs come in fast and are packed afterwards, by
//! `kiln pack` or by a server that has nothing better to do. Packing replaces one stored form of a
//! blob by another; what the blob is called and what it holds never change, and the old form goes
//! only when the new one has been unpacked and compared.

pub(crate) mod delta;
pub(crate) mod image;
mod keyframes;
pub(crate) mod lock;
pub(crate) mod parts;
mod plan;
mod replace;
mod report;
mod run;
mod spool;
mod towers;

pub use report::{PackOptions, PackProgress, PackReport};
