//! Being built.

pub mod boot;
pub mod console;
