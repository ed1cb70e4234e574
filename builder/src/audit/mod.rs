//! Compiling some of the builds that a proof avoids, and holding the one against the other.
//!
//! A proof rests on rules, and on a tracer that must miss nothing. Neither is taken on trust: a
//! share of what was proved is compiled anyway, and always the first of each kind: each stage with
//! each kind of changed file. One mismatch revokes the stage for the closure that the proof came
//! from, for everybody who shares the store and for ever ([`marks`]), and with it every stage whose word
//! the wrong build rested on; what rests on one of these is not believed any more. Nobody can tell which
//! of two builds is wrong that turn out not to be the same, so both are withdrawn, by marks that name just
//! these builds, and their closures prove nothing in any stage. Each build names those upon whose objects it
//! was made ([`Provenance`](crate::stages::Provenance)), so what was made upon a withdrawn one is void with
//! it, whenever it is stored and wherever it lies; pairs in which one was made are emptied. (What was made
//! there before it stays: other audits have to find that.)
//! A mismatch is one only if what was compiled from nothing differs. Builds that were compiled upon
//! objects that rest on a stage's word are audited like what the stage answered itself; when they are the
//! same, that is no trial of the stage. An audit that can't be made is said, and takes no answer away.
//! Two builds that speak against a proof mean the same without any audit ([`refute`]).

mod again;
mod bound;
mod compare;
mod finding;
mod known;
mod marks;
mod refute;
mod report;
mod same;

#[cfg(test)]
pub(crate) use again::is_from_nothing;
pub use bound::upper_bound;
pub use compare::Checked;
pub(crate) use compare::{Audited, Claim};
pub use finding::Finding;
pub(crate) use known::KnownAudits;
pub(crate) use refute::differ;
pub use report::{AuditReport, Stratum, audit_report};
