//! Kiln's judgement: which revision to test next, and when to stop.
//!
//! [`graph`], [`belief`], [`plan`] and [`walk`] are pure: the same problem always gives the same
//! decision.
//! [`simulate`] plays whole bisections against the real planner.
//! [`reduce`] finds the options of a configuration that a crash needs.
//! [`detector`] tells a commit that brought a bug from one that made it visible.
//! [`audit`] judges the bisections of others by the same model.
//! [`boot`] and [`console`] run one machine and judge what it shows; [`tester`] makes that one run.
//! [`bisection`] joins the two; [`picture`] shows it, [`record`], [`log`] and [`verdict`] are what
//! remains of it.

pub mod audit;
pub mod belief;
pub mod bisection;
pub mod boot;
pub mod console;
pub mod detector;
pub mod graph;
pub mod log;
pub mod picture;
pub mod plan;
pub mod record;
pub mod reduce;
pub mod rows;
pub mod simulate;
pub mod tester;
pub mod title;
pub mod verdict;
pub mod walk;
pub mod watch;
