//! Reads kernel consoles: finds a crash and names it as syzkaller would.
//!
//! A marker in a line tells of a crash ([`titles`]); the lines that its printer wrote from there
//! on are the report ([`report`]); a format gives the title ([`describe`]), most often with the
//! function that a stack trace points to ([`walk`], [`choose`]).

mod choose;
mod clean;
mod crash;
mod damage;
mod describe;
mod kind;
#[cfg(test)]
mod known;
mod lines;
mod pattern;
mod read;
mod report;
mod search;
mod skip;
mod titles;
mod walk;

pub use crash::Crash;
pub use kind::Kind;
pub(crate) use pattern::compile;
pub use read::crash_title;
pub(crate) use search::find;
