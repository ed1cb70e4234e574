//! What goes when the room is short, and what stays.

mod collect;
mod debug;
mod needed;
mod policy;

pub use policy::{GcReport, Gone, LetGo, Policy, Reason};
