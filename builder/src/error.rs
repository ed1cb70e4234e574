//! Why a build could not be carried out. A revision that does not compile is not an error: it is a
//! build with the result "failed".

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_cache::StoreError;

use crate::kconfig::ConfigChange;
use crate::stages::Stage;
use crate::toolchain::ToolchainError;
use crate::tree::TreeError;

/// An error of the machine, the repository or the request; never of the revision's sources.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The repository or the revision.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A compiler, linker or tool that is not there.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that the build itself found missing on this machine.
    #[error("the build needs {what}, which is not installed: run 'apt-get install {package}'")]
    Missing {
        /// A tool, header or library.
        what: String,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// No room.
    #[error(
        "no space left for {path}: free some, or give Kiln another working folder. \
         The build can be repeated; nothing half-made was kept"
    )]
    DiskFull {
        /// The file or folder that could not be written.
        path: PathBuf,
    },
    /// The machine stopped the build.
    #[error("the machine failed, not the revision: {reason}. Repeat the build when that is over")]
    Infra {
        /// What happened, in the tool's own words where there are any.
        reason: String,
    },
    /// The build command says that the machine is at fault.
    #[error(
        "the build command ended with code {code}, which means that it could not run \
         (0: built; 1 to 125: does not build; above: the machine's fault): {last}"
    )]
    Command {
        /// Exit code; 128 + n for signal n.
        code: i32,
        /// The last line it printed.
        last: String,
    },
    /// The build command left nothing.
    #[error(
        "the build command ended well but left no file in $KILN_OUT: let it copy there what it \
         built, or end with a code of 1 to 125 when the revision does not build"
    )]
    NoArtifacts,
    /// The configuration is not taken as it is, and the request was strict about that.
    #[error(
        "this revision does not take the configuration as it is: {}. Change the configuration \
         accordingly, or build without --strict-config",
        list(.0)
    )]
    ConfigChanged(Vec<ConfigChange>),
    /// A file outside the tree that can't be made part of the build's key.
    #[error("{option} names {path}: {reason}")]
    Outside {
        /// The option, with its prefix.
        option: String,
        /// What it names.
        path: PathBuf,
        /// Why not, and what to do about it.
        reason: String,
    },
    /// Reading or writing a file.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done ("writing", …).
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What answers rest on is refuted again and again while they are made.
    #[error(
        "audits refute what this build rests on as fast as it is made: repeat it when they are done"
    )]
    Refuted,
    /// An audit speaks against a stage, and which of the two is wrong could not be found out.
    #[error(
        "an audit compiled something else than {stage} proved, and the compile from nothing that \
         would tell which is wrong could not be made. Repeat the build with --audit when this is \
         mended: {because}"
    )]
    Undecided {
        /// The stage ("T0").
        stage: Stage,
        /// Why there was no compile from nothing.
        because: Box<BuildError>,
    },
    /// A bug.
    #[error("{0}: this is a bug in Kiln, please report it with the output above")]
    Stopped(&'static str),
    /// The build was given up by its caller.
    #[error("the build was cancelled")]
    Cancelled,
}

fn list(changes: &[ConfigChange]) -> String {
    changes.iter().map(ConfigChange::to_string).collect::<Vec<_>>().join("; ")
}

impl BuildError {
    /// An error of a file, with a full disk told apart and an interruption by the caller as what
    /// it is.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.into() }
            }
            io::ErrorKind::Interrupted => Self::Cancelled,
            _ => Self::Io { doing, path: path.into(), source },
        }
    }
}

/// Adds to a result of the standard library what was being done, and to what.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BuildError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BuildError> {
        self.map_err(|source| BuildError::io(doing, path, source))
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), BuildError> {
    gone(fs::remove_file(path)).doing("removing", path)
}

/// Makes a folder with nothing in it, whether there was one or not.
pub(crate) fn empty_folder(path: &Path) -> Result<(), BuildError> {
    gone(fs::remove_dir_all(path)).doing("emptying", path)?;
    fs::create_dir_all(path).doing("making", path)
}

/// What is not there need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
