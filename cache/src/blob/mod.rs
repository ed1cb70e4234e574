//! Blobs: file contents, named by the BLAKE3 digest of their plain bytes.

pub(crate) mod frames;
pub(crate) mod merge;
pub(crate) mod quarantine;
pub(crate) mod reader;
pub(crate) mod store;
mod table;
mod upload;

#[cfg(test)]
mod frames_tests;
