//! Reading a build log that ended badly: is it the revision or the machine, and what went wrong
//! first? Pure functions of the text.

mod errors;
mod machine;

pub use errors::first_errors;
pub(crate) use machine::{Fault, machine_fault};
