//! What packing is told, and what it says.

use serde::{Deserialize, Serialize};

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions {
    /// zstd's level for what can't be stored as a difference, 1 to 22.
    pub level: i32,
    /// Blobs larger than this are left as they are: packing takes three to seven times their size, in
    /// memory and in temporary files of the store's folder.
    pub largest: u64,
}

impl Default for PackOptions {
    /// Level 19, and files up to 1 GiB.
    fn default() -> Self {
        Self { level: 19, largest: 1 << 30 }
    }
}

/// How far packing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackProgress {
    /// Blobs looked at.
    pub done: u64,
    /// Blobs in all, as far as known.
    pub total: u64,
    /// Bytes saved so far.
    pub saved: u64,
}

/// What packing did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackReport {
    /// Blobs looked at: the files of all builds, and the parts of boot images.
    pub blobs: u64,
    /// Of these, packed now.
    pub packed: u64,
    /// Of these, packed as a difference to a neighbour.
    pub deltas: u64,
    /// Stored whole, and what others are differences to.
    pub keyframes: u64,
    /// Boot images taken apart now.
    pub images: u64,
    /// Boot images left whole: their compressed part can't be made again.
    pub whole_images: u64,
    /// Left alone: too large, or gone meanwhile.
    pub skipped: u64,
    /// What the blobs that were packed took before, in bytes.
    pub bytes_before: u64,
    /// What they take now, with the parts of boot images.
    pub bytes_after: u64,
    /// Blobs that could not be read, and why; `kiln verify` says more.
    pub problems: Vec<String>,
}
