//! What can go wrong between two Kilns, and whether a build may go on without the other.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// An error of a remote Kiln.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an address.
    #[error(
        "'{url}' is not the address of a Kiln ({why}): expected something like http://host:8080"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers.
    #[error("{url} can't be reached: is `kiln serve` running there?")]
    Unreachable {
        /// The address.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// It answered that it failed.
    #[error("{url} failed with status {status}: {message}")]
    Server {
        /// The address.
        url: String,
        /// HTTP status, 500 and above.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It did not accept the request.
    #[error("{url} refused with status {status}: {message}")]
    Refused {
        /// The address.
        url: String,
        /// HTTP status, 400 to 499.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The name belongs to several builds.
    #[error("{message}")]
    Ambiguous {
        /// What it said, the candidates included.
        message: String,
    },
    /// It has no such blob.
    #[error("{url} does not have blob {digest}")]
    Missing {
        /// The address.
        url: String,
        /// The blob.
        digest: Digest,
    },
    /// An answer that makes no sense.
    #[error("{url} gave an answer that is none: {why}")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection broke, again and again. What arrived is kept.
    #[error(
        "the transfer of blob {digest} broke off at {done} of {total} bytes ({why}): \
         ask for the same file again to go on from there"
    )]
    Interrupted {
        /// The blob.
        digest: Digest,
        /// Bytes that arrived and are kept.
        done: u64,
        /// Bytes of the blob.
        total: u64,
        /// What broke.
        why: String,
    },
    /// The other side stopped taking a file.
    #[error(
        "sending blob {digest} broke off at {done} of {total} bytes ({why}): \
         push again to go on with this file"
    )]
    Unsent {
        /// The blob.
        digest: Digest,
        /// Bytes that were sent.
        done: u64,
        /// Bytes of the blob.
        total: u64,
        /// What broke.
        why: String,
    },
    /// Bytes that are not the blob. They were thrown away.
    #[error("{url} sent bytes that are not blob {digest}; they were thrown away")]
    WrongBytes {
        /// The address.
        url: String,
        /// The blob.
        digest: Digest,
    },
    /// A file on this side.
    #[error("can't {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl RemoteError {
    /// Whether the remote is down or broken, so that a client goes on without it; otherwise the
    /// question or this machine is at fault.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Server { .. }
                | Self::Interrupted { .. }
                | Self::Unsent { .. }
                | Self::Answer { .. }
                | Self::WrongBytes { .. }
        )
    }
}
