//! The way back over releases, while no good end is known: which release to test next, with how many
//! runs, and from which one on to search commit by commit.
//!
//! Like [`crate::plan`], a pure function: [`decide()`] of a [`Problem`] and the settings. A jump that is
//! too far costs builds when the range is searched, one that is too near costs another release's test;
//! [`ages`] says how old bugs are, [`belief`] what the runs made of that, [`works`] which releases can
//! probably be had, and [`cost`] what the search of a range takes.

pub mod ages;
mod belief;
mod cost;
mod decide;
mod problem;
#[cfg(test)]
mod tests;
mod works;

pub use decide::{Decision, Range, Test, Walked, bad, decide};
pub use problem::{Problem, Release};
pub use works::too_old;
