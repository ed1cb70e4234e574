//! Compiling some of the builds that a proof avoids, and holding the one against the other.
//!
//! A proof rests on rules, and on a tracer that must miss nothing. Neither is taken on trust: a
//! share of what was proved is compiled anyway, and always the first of each kind: each stage with
//! each kind of changed file. One mismatch revokes the stage for the closure that the proof came
//! from, for everybody who shares the store and for ever ([`marks`]), and with it every stage whose word
//! the wrong build rested on; what rests on one of these is not believed any more. A wrong closure (T0)
//! proves nothing in any stage. Builds that were compiled upon objects that rest on a stage's word are
//! audited like what the stage answered itself. An audit that can't be made is said, and takes no
//! answer away.

mod bound;
mod compare;
mod finding;
mod known;
mod marks;
mod report;

pub use bound::upper_bound;
pub use compare::Checked;
pub(crate) use compare::{Audited, Claim};
pub use finding::Finding;
pub(crate) use known::KnownAudits;
pub use report::{AuditReport, Stratum, audit_report};
