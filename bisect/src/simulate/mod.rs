//! Whole bisections played against made-up histories, by the real planner and by other rules.

mod bayesect;
mod git;
mod history;
mod kiln;
mod lab;
mod random;
mod run;
mod syzkaller;
mod world;

pub use history::merge_history;
pub use run::{Bin, Policy, Summary, run};
pub use world::{Shape, World};

#[cfg(test)]
mod tests;
