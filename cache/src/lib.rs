//! Kiln's memory: builds, their files, their signatures, and what was seen when they ran.
//!
//! [`Store`] is the door to all of it. Blobs and manifests are objects and are the truth about
//! builds; the index makes them findable and can be rebuilt; evidence and journals live in the
//! index's database. This crate knows nothing of git, make or virtual machines.

mod blob;
mod blocking;
pub mod build_draft;
mod database;
pub mod digest;
pub mod error;
pub mod evidence;
mod format;
mod index;
mod input;
pub mod journal;
mod location;
pub mod manifest;
mod manifests;
mod objects;
pub mod pack;
pub mod query;
mod reach;
pub mod remote;
pub mod retention;
pub mod signature;
pub mod stats;
mod store;
mod time;
pub mod tokens;
pub mod transfer;
mod turns;
pub mod verify;

pub use blob::reader::BlobReader;
pub use build_draft::BuildDraft;
pub use database::{Database, ParseDatabaseError};
pub use digest::{Digest, ParseDigestError};
pub use error::StoreError;
pub use evidence::Run;
pub use input::{BuildInput, InputKey};
pub use location::{Location, ParseLocationError};
pub use manifest::{Artifact, Manifest};
pub use objects::{Backend, BucketError, Patience};
pub use query::{BuildFilter, BuildSummary, FamilyBuild, ListedBuild, Query};
pub use remote::{Remote, RemoteError};
pub use stats::Stats;
pub use store::{Added, Mark, Pushed, PushedFile, Refuted, Store, Withdrawn, files_of, refutation};
pub use turns::{Turn, Turns};
