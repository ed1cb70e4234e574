//! Compiling some of the builds that a proof avoids, and holding the one against the other.
//!
//! A proof rests on rules, and on a tracer that must miss nothing. Neither is taken on trust: a
//! share of what was proved is compiled anyway. One mismatch revokes the closure that the proof
//! came from, in this store and for ever.

mod bound;
mod compare;
mod finding;
mod report;

pub use bound::upper_bound;
pub(crate) use compare::is_chosen;
pub use finding::Finding;
pub use report::{AuditReport, Stratum, audit_report};
