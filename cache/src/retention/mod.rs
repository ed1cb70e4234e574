//! What goes when the room is short, and what stays.

mod collect;
mod needed;
mod policy;

pub use policy::{GcReport, Gone, Policy, Reason};
