//! The client of another Kiln.

mod client;
mod download;
mod error;

pub use client::{Remote, Timeouts};
pub use error::RemoteError;
