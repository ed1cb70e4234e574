//! Reads kernel consoles: finds a crash and names it by the convention that syzbot's titles follow.
//!
//! A line with the words of a report's beginning tells of a crash ([`headlines`], [`catalog`]); the
//! lines that its printer wrote from there on are the report ([`report`]), each of one sort
//! ([`item`]); the title most often names the function that the report blames ([`blame`]): the
//! first one that is neither part of reporting nor what everybody calls ([`plumbing`]), or, for a
//! processor that loops, the one that common code called ([`dispatch`]).
//!
//! All tables are made from the kernel's own sources: which function prints what. What a title is
//! called by that convention was learned from 401 consoles with known titles ([`known`]).

mod blame;
mod catalog;
mod clean;
mod crash;
mod damage;
mod dispatch;
mod faces;
mod headlines;
mod item;
mod kind;
#[cfg(test)]
mod known;
mod lines;
mod name;
mod pattern;
mod patterns;
mod plumbing;
mod read;
mod report;
mod search;
mod stream;

pub use crash::Crash;
pub(crate) use faces::same_crash;
pub use kind::Kind;
pub(crate) use pattern::compile;
pub use patterns::{PatternError, Patterns};
pub use read::{crash_functions, crash_title, crash_title_with, crash_titled};
pub(crate) use search::find;
pub use stream::first_crash;
