//! Kiln's judgement: which revision to test next, and when to stop.
//!
//! [`graph`], [`belief`] and [`plan`] are pure: the same problem always gives the same decision.

pub mod belief;
pub mod boot;
pub mod console;
pub mod graph;
pub mod plan;
