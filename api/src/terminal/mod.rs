//! What people see: progress on standard error, answers on standard output.

pub(crate) mod exit;
pub(crate) mod observe;
pub(crate) mod problems;
pub(crate) mod progress;
mod screen;
pub(crate) mod table;
pub(crate) mod text;
mod walk;
