//! The next step of a bisection: test something, or stop.

mod ahead;
mod beside;
mod choose;
mod confirm;
mod decide;
mod gain;
mod meanwhile;
mod problem;
mod renamed;
mod scarce;
mod settings;
mod several;
mod spans;
mod verdict;

pub use ahead::Need;
pub use beside::{Beside, beside};
pub(crate) use confirm::clean_runs;
pub(crate) use decide::{BAD_END_RUNS, bad_end_first};
pub use decide::{Decision, Test, decide};
pub(crate) use gain::ladder;
pub(crate) use problem::parents;
pub use problem::{Building, Costs, Place, Problem, ProblemError, Spent, State, Status};
pub use settings::Settings;
pub use verdict::{Cleared, More, Verdict};

#[cfg(test)]
mod tests;
