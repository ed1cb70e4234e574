//! Blobs: file contents, named by the BLAKE3 digest of their plain bytes.

pub(crate) mod cache;
mod checked;
pub(crate) mod forms;
pub(crate) mod frames;
pub(crate) mod made;
pub(crate) mod merge;
mod packers;
pub(crate) mod quarantine;
pub(crate) mod reader;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod upload;
mod wholes;

#[cfg(test)]
mod frames_tests;
