//! Compiling some of the builds that a proof avoids, and holding the one against the other.
//!
//! A proof rests on rules, and on a tracer that must miss nothing. Neither is taken on trust: a
//! share of what was proved is compiled anyway, and always the first of each kind: each stage with
//! each kind of changed file. One mismatch revokes the stage for the closure that the proof came
//! from, for everybody who shares the store and for ever ([`marks`]), and what rests on it is
//! withdrawn. A wrong closure (T0) proves nothing in any stage.

mod bound;
mod compare;
mod finding;
mod known;
mod marks;
mod report;

pub use bound::upper_bound;
pub use compare::Checked;
pub(crate) use compare::Claim;
pub use finding::Finding;
pub(crate) use known::KnownAudits;
pub use report::{AuditReport, Stratum, audit_report};
