//! Logs of a bisection in the formats that others read.

mod git;
pub mod import;
mod syzkaller;
mod tests_of;

pub use git::git_log;
pub use syzkaller::{CrashText, syzkaller_log};
