//! Reads the bisection logs that syzkaller writes and syzbot publishes.
//!
//! Format: the lines that syzkaller's `pkg/bisect`, `pkg/vcs` and `pkg/kconfig` have printed from
//! 2018-05 on, all dialects at once; see `line.rs` for each of them.

mod bisecting;
mod duration;
mod errors_text;
mod head;
mod imported;
mod line;
mod outcome;
mod reader;
mod runs;
mod show;
mod tail;
mod testing;

pub use imported::{Answer, Imported, Mark, Role, Tested, Totals, Unrecognised};
pub use reader::read;

#[cfg(test)]
pub(crate) mod tests;
