//! Which options of a configuration a crash needs: the smallest set of differences from a baseline
//! that still shows it.
//!
//! [`smallest`] is the search as a pure function of what is known so far, [`shows`] turns counts into
//! what it may rely on, [`reproduction`] judges the runs of the whole configuration, [`options`] reads
//! and writes configurations, [`search`] builds and runs.

mod options;
mod reproduction;
mod search;
mod shows;
mod smallest;

pub use options::Difference;
pub use search::{ConfigSearch, Found, Needed, Question, Reduced, Tried};
