//! Boots a kernel with a payload and judges what it shows.
//!
//! [`payload`] makes the initramfs, [`qemu`] runs the machine, [`outcome`] judges its console,
//! [`runner`] joins the three; [`host_command`] is the same for a test that the user brings.

pub mod accel;
pub mod arch;
mod capture;
mod child;
mod compile;
pub mod cpio;
pub mod host_command;
mod initramfs;
pub mod machine;
pub mod outcome;
pub mod payload;
pub mod qemu;
pub mod runner;
pub mod said;
mod shell;
pub(crate) mod used;

pub use accel::{Probe, ProbeError, probe};
pub use arch::{Arch, UnknownArch};
pub use compile::CompileError;
pub use host_command::{BuildPaths, COMMAND_FAILED, HostCommand, NamedFileError};
pub use initramfs::InitramfsError;
pub use machine::{Accel, Machine, RUNNER_VERSION, test_key};
pub use payload::{PayloadError, PayloadKind, PreparedPayload, prepare};
pub use qemu::QemuError;
pub use runner::{BootReport, run};
pub use shell::ShellError;
