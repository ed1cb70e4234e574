//! The client of another Kiln.

mod client;
mod download;
mod error;
mod stored;
mod upload;

pub use client::{Remote, Timeouts};
pub use error::RemoteError;
pub use upload::{PushAnswer, PushRequest, PushRequestFile};
