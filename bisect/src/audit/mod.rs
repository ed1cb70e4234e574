//! A second opinion on a bisection that somebody else made, from its log alone.
//!
//! The log's verdicts are not believed, only its runs: what they say of every other place where the
//! culprit could be is weighed by the world model of [`crate::belief`]. A log has no commit graph,
//! so history is taken as the line on which git's own counts put the revisions.

mod chain;
mod judge;
mod likelihood;
mod next;
mod right;
mod savings;
mod target;
mod traits;
mod weigh;

pub use judge::{Audit, Judged, Suspect, audit};
pub use next::{Next, Prices};
pub use savings::{Saved, Twins};
pub use traits::Traits;

#[cfg(test)]
mod labels_test;
#[cfg(test)]
mod own_log_test;
#[cfg(test)]
mod seeds_test;
