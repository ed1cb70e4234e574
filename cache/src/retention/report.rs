//! What a collection says, while it runs and at its end.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::input::InputKey;

use super::most::MostGo;
use super::policy::Reason;

/// What a collection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcPhase {
    /// Looking at what is needed.
    Looking,
    /// Removing builds.
    Builds,
    /// Removing blobs.
    Blobs,
}

/// How far a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcProgress {
    /// What it is doing.
    pub phase: GcPhase,
    /// Builds or blobs done.
    pub done: u64,
    /// Builds or blobs in all; 0 where that is not known yet.
    pub total: u64,
}

/// A build that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its key.
    pub build: InputKey,
    /// The commit it was built for.
    pub commit: String,
    /// When it was last used, seconds since 1970.
    pub last_use: i64,
    /// What becomes free when it goes after those before it, in bytes: what others rest on stays. As
    /// planned: what an upload came to want meanwhile stays, too.
    #[serde(default)]
    pub freed: u64,
    /// Why.
    pub reason: Reason,
}

/// A file with debug information that goes, while its build stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    /// Its build.
    pub build: InputKey,
    /// The commit that was built.
    pub commit: String,
    /// Its name in the build.
    pub name: String,
    /// BLAKE3 of its content.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// What becomes free, in bytes.
    pub freed: u64,
    /// Why.
    pub reason: Reason,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// Builds in the store before.
    pub builds: u64,
    /// Of these, the ones that no policy removes: pinned, or of a commit that is kept.
    pub kept_by_name: u64,
    /// What goes, the longest unused first.
    pub gone: Vec<Gone>,
    /// Files with debug information that go from builds that stay.
    pub let_go: Vec<LetGo>,
    /// Blobs before, and what they take in bytes.
    pub blobs: u64,
    /// See [`Self::blobs`].
    pub bytes: u64,
    /// Blobs that go.
    pub freed_blobs: u64,
    /// What they take, in bytes, with what the files that are let go of do.
    pub freed_bytes: u64,
    /// Blobs that nobody needs but that stay: an upload may be about to name them.
    pub embargoed: u64,
    /// What stays in the quarantine, of copies of images and of interrupted writes, in bytes: of the
    /// quota, too.
    #[serde(default)]
    pub aside_bytes: u64,
    /// What goes beside that: what was quarantined a month ago, and what has no room.
    #[serde(default)]
    pub aside_freed: u64,
    /// Why no build went for the quota, though the blobs take more.
    #[serde(default)]
    pub refused: Option<MostGo>,
    /// Bytes above the quota that remain, because nothing more may go.
    pub above_quota: u64,
}
