//! Kernel configurations: what was asked, what the tree made of it.

mod normalize;
mod text;

pub(crate) use normalize::{Normalized, SCRATCH, normalize};
pub use text::{ConfigChange, parse, with_pinned_options};
pub(crate) use text::{changes, is_set, notes, settings};
