//! What a verification says, while it runs and at its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What a verification is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading manifests, and comparing them with the index.
    Builds,
    /// Reading blobs.
    Blobs,
    /// Signing kernels anew, and comparing.
    Signatures,
    /// Looking for what interrupted writes left behind.
    Leftovers,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What it is doing.
    pub phase: Phase,
    /// Manifests or blobs done.
    pub items: u64,
    /// Manifests or blobs in all, as far as known.
    pub total_items: u64,
    /// Stored bytes done.
    pub bytes: u64,
    /// Stored bytes in all; 0 where none are read.
    pub total_bytes: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What it is about: an object, a file of a build, the console of a run.
    pub what: String,
    /// What is wrong with it, and the way out.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether every byte was read, or only the tables of the blobs.
    pub deep: bool,
    /// Manifests read.
    pub builds: u64,
    /// Blobs read.
    pub blobs: u64,
    /// Stored bytes read; without `deep`, bytes of the blobs whose tables were read.
    pub bytes: u64,
    /// What is wrong. Corrupt blobs have been quarantined.
    pub problems: Vec<Problem>,
    /// Blobs that somebody needs and that are gone or were corrupt: what to get elsewhere.
    #[serde(default)]
    pub lost: Vec<Digest>,
    /// Builds whose row in the index was missing and has been written now: their writer was
    /// killed between the two. Not a problem.
    pub healed: u64,
    /// Blobs that were let go of to make room, and of which only the name is here. Not a problem.
    #[serde(default)]
    pub let_go: u64,
    /// Blobs that no build and no run refers to: written before their manifest, which never came.
    /// Not a problem.
    pub orphans: u64,
    /// What they take, in bytes.
    pub orphan_bytes: u64,
    /// Files and folders of writes that are under way or were interrupted less than a day ago. Not a
    /// problem.
    pub staged: u64,
    /// What they take, in bytes.
    #[serde(default)]
    pub staged_bytes: u64,
    /// Older ones, which have been removed.
    pub staged_removed: u64,
    /// Objects in the quarantine, from now and from before. Not a problem by themselves: what
    /// misses them is listed above.
    pub quarantined: u64,
    /// What they take, in bytes.
    #[serde(default)]
    pub quarantined_bytes: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}
