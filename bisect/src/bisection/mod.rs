//! A bisection, carried out: ask the planner, build, run, write down, until there is an answer.
//!
//! [`knowledge`] is what decisions are made from ([`proofs`] what of it was only proved, [`untouched`]
//! and [`blamed`] what is only likely, [`unseen`] what code does not tell), [`batch`] makes runs,
//! [`beside`] and [`workshop`] what is built beside them, [`efforts`] asks what builds would take, [`made`]
//! asks for builds and learns of them, [`doubts`] forgets them,
//! [`host`] tells kernels that can't be run from a host that runs none, [`titled`] finds out which crash
//! is hunted, [`written`] tells the record, [`after`] looks at a commit
//! that is to be named ([`new_check`]: whether it brings what tells of the bug), [`walking`] for a good end
//! among releases and [`able`] at one that is to be it, [`running`] keeps two processes from one bisection,
//! [`setup`] prepares the test, [`visits`] carries a decision out, [`verdict_of`] puts the planner's answer
//! into words, [`forecast`] says what is probably left to do, [`spared`] what the store's knowledge has saved.
//! The loop itself is in [`steps`].

mod able;
mod after;
pub(crate) mod batch;
mod beside;
mod blamed;
pub(crate) mod budget;
mod doubts;
mod efforts;
mod error;
mod forecast;
mod host;
pub(crate) mod knowledge;
mod made;
mod new_check;
mod old;
pub(crate) mod prepared;
mod proofs;
mod recall;
pub(crate) mod running;
mod setup;
mod spared;
mod steps;
mod titled;
mod unseen;
mod untouched;
mod verdict_of;
mod visits;
mod walking;
pub(crate) mod workshop;
mod written;

pub use error::BisectError;
pub(crate) use made::record_of;
pub use running::process_of;
#[cfg(test)]
pub(crate) use setup::tests_header;
pub use setup::{Bisection, Surroundings, graph_of};
