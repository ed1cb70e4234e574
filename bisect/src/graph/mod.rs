//! The commit graph of a bisection's range, never flattened.

mod ancestry;
mod commits;
mod order;

pub use commits::{Graph, GraphError};

#[cfg(test)]
pub(crate) mod tests;
