//! Git trees: which revision is meant, what lies between two of them, what differs.

mod changes;
mod error;
mod history;
mod kernel;
mod lines;
mod releases;
mod repository;
mod revert;
mod tags;

pub(crate) use changes::Entry;
pub use changes::{Change, ChangeKind};
pub use error::TreeError;
pub use history::{Commit, History};
pub use kernel::KernelVersion;
pub(crate) use kernel::is_c;
pub use releases::{Release, Releases};
pub use repository::{Repository, Revision};
pub use revert::Reverted;
