//! What can go wrong with watching a build.

use std::io;
use std::path::PathBuf;

/// The trace of a build could not be had. The build itself may still be fine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The view could not be mounted.
    #[error(
        "mounting a view of {folder} at {view}: {source}. Watching a build needs /dev/fuse, and \
         either root or the setuid program fusermount3 (Debian's package fuse3)"
    )]
    Mount {
        /// The sources.
        folder: PathBuf,
        /// The mount point.
        view: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The view of an earlier run is in the way.
    #[error("removing the old view at {view}: {source}. Unmount it with 'umount -l'")]
    Stale {
        /// The mount point.
        view: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something was asked for that could not be answered, or nobody was there to answer.
    #[error("the view at {view} failed while the build ran: {reason}")]
    Lost {
        /// The mount point.
        view: PathBuf,
        /// The first failure.
        reason: String,
    },
}
