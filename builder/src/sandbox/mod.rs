//! Where a build runs: in mount and process namespaces of its own, at paths that never differ.
//!
//! Inside, `/mnt` is an empty folder in memory with the working pair at fixed places below it, so
//! what `/mnt` holds on the host is not visible to a build. Nor is the folder of all working pairs at
//! its place on the host: there the sources could be read past the view that watches the build. The build's processes are a process
//! namespace: when Kiln dies or drops the build, the kernel kills all of them at once. Where
//! namespaces are not permitted (most containers), builds run at the plain paths instead.

mod enter;
mod probe;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use enter::Enter;
pub(crate) use probe::confinement;

/// The folder that is replaced inside. It exists on every Linux system (Filesystem Hierarchy
/// Standard, 3.12) and holds nothing that a compiler needs.
const ROOT: &str = "/mnt";

/// What this machine lets Kiln do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// Mount and process namespaces; with a user namespace around them when not root.
    Namespaces { user: bool },
    /// None of it, and why.
    Plain { reason: String },
}

/// A folder of the host and the place where the build finds it.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) host: PathBuf,
    pub(crate) inside: &'static str,
    pub(crate) read_only: bool,
}

impl Confinement {
    /// Where a bound folder is seen by the build.
    pub(crate) fn seen(&self, bind: &Bind) -> PathBuf {
        match self {
            Self::Namespaces { .. } => bind.inside.into(),
            Self::Plain { .. } => bind.host.clone(),
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path with a NUL byte"))
}
