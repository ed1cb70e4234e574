//! What a store holds, in numbers.

use serde::{Deserialize, Serialize};

/// What a store holds. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Remembered builds, failed ones included.
    pub builds: u64,
    /// Builds of sources that don't compile.
    pub failed_builds: u64,
    /// Distinct image identities among the builds.
    pub images: u64,
    /// Files of all builds, counted once a build.
    pub artifacts: u64,
    /// Size of all those files: what it would take to keep every build by itself.
    pub artifact_bytes: u64,
    /// Distinct contents among the artifacts.
    pub distinct_artifacts: u64,
    /// Size of the distinct contents, before compression.
    pub plain_bytes: u64,
    /// All blobs, those of consoles included.
    pub blobs: u64,
    /// What the artifacts' blobs take on disk.
    pub stored_bytes: u64,
    /// What all other blobs take on disk: consoles, parts of boot images that were taken apart, and
    /// files that no build names yet or any more.
    pub other_stored_bytes: u64,
    /// How many these are.
    #[serde(default)]
    pub other_blobs: u64,
    /// Of these, the consoles.
    #[serde(default)]
    pub consoles: u64,
    /// What they take on disk.
    #[serde(default)]
    pub console_stored_bytes: u64,
    /// Recorded runs.
    pub runs: u64,
    /// Journals.
    pub journals: u64,
}
