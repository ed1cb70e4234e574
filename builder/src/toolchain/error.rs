//! What can be wrong with a toolchain.

use std::io;
use std::path::PathBuf;

/// A toolchain that can't be used or identified.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// A tool that every build needs.
    #[error(
        "'{tool}' is not installed: run 'apt-get install {package}' (tools are looked for in {path} \
         only). --toolchain takes such a name, a path, and names of your own toolchains.toml: see `kiln \
         build --help`"
    )]
    Missing {
        /// The tool.
        tool: String,
        /// Debian's package.
        package: String,
        /// The folders.
        path: &'static str,
    },
    /// No compiler on this machine is one for this kernel.
    #[error(
        "no {family} here builds Linux {}.{} ({range} does): run 'apt-get install' for one of these, or \
         name a compiler with --toolchain",
        .kernel.0, .kernel.1
    )]
    NoneSuits {
        /// Whose releases were looked for.
        family: &'static str,
        /// Version and patchlevel.
        kernel: (u32, u32),
        /// The releases that do.
        range: String,
    },
    /// A tool that does not answer.
    #[error("asking {tool} what it is: {source}; it is perhaps no compiler")]
    Ask {
        /// The tool.
        tool: PathBuf,
        /// What the system or the tool says.
        source: io::Error,
    },
    /// A file that can't be read.
    #[error("reading {path} to identify it by its content: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
