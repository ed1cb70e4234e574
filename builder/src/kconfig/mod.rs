//! Kernel configurations: what was asked, what the tree made of it.

mod normalize;
mod text;

pub(crate) use normalize::{Normalized, SCRATCH, normalize};
pub use text::{ConfigChange, parse};
pub(crate) use text::{changes, is_set, notes};
