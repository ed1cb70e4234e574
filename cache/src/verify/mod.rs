//! Is everything that the store promised still there, byte for byte?

mod check;
mod leftovers;
mod report;
mod signatures;

pub(crate) use leftovers::sweep;
pub use report::{Phase, Problem, VerifyProgress, VerifyReport};
