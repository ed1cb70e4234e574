//! Which options of a configuration a crash needs: the smallest set of differences from a baseline
//! that still shows it.
//!
//! [`smallest`] is the search as a pure function of what is known so far, [`shows`] turns counts into
//! what it may rely on, [`reproduction`] judges the runs of the whole configuration, [`options`] reads
//! and writes configurations, [`search`] asks for one set after another, and [`tries`] builds and runs
//! them. [`answer`] is what comes in and goes out.

mod answer;
mod options;
mod reproduction;
mod search;
mod shows;
mod smallest;
mod tries;

pub use answer::{Found, Needed, Question, Reduced, Tried};
pub use options::Difference;
pub use search::ConfigSearch;
