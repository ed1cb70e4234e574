//! The commit graph of a bisection's range, never flattened.

mod ancestry;
mod commits;
mod order;
mod origins;

pub use commits::{Graph, GraphError, Outside};
pub(crate) use origins::BASE;

#[cfg(test)]
pub(crate) mod tests;
