//! Blobs: file contents, named by the BLAKE3 digest of their plain bytes.

pub(crate) mod cache;
pub(crate) mod forms;
pub(crate) mod frames;
pub(crate) mod made;
pub(crate) mod merge;
pub(crate) mod quarantine;
pub(crate) mod reader;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod upload;

#[cfg(test)]
mod frames_tests;
