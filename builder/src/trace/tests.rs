//! Real mounts, looked at by real programs.

mod mounts;
mod programs;
mod random;
mod scene;
