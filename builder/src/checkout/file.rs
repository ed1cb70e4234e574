//! One file of a checkout.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use git2::FileMode;

use crate::error::{BuildError, Doing};

/// What a tree can hold, as far as a checkout cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        executable: bool,
    },
    Link,
    /// A submodule: an empty folder, as after `git checkout`.
    Submodule,
}

impl Kind {
    pub(super) fn of(mode: FileMode) -> Self {
        match mode {
            FileMode::Link => Self::Link,
            FileMode::Commit => Self::Submodule,
            FileMode::BlobExecutable => Self::File { executable: true },
            _ => Self::File { executable: false },
        }
    }
}

/// Permission bits of a file of a checkout: git knows one bit only.
pub(super) fn permissions(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

/// Writes one entry, over whatever is there. The parent folder must exist.
pub(super) fn write(path: &Path, kind: Kind, content: &[u8]) -> Result<(), BuildError> {
    let written = match attempt(path, kind, content) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove(path)?;
            attempt(path, kind, content)
        }
        other => other,
    };
    written.doing("writing", path)
}

fn attempt(path: &Path, kind: Kind, content: &[u8]) -> io::Result<()> {
    match kind {
        Kind::Submodule => fs::create_dir(path),
        Kind::Link => symlink(std::ffi::OsStr::from_bytes(content), path),
        Kind::File { executable } => {
            let mode = permissions(executable);
            // `create_new` never follows a link that lies at the path.
            let mut file: File =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
            // The process's umask may have taken bits away.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(content)
        }
    }
}

/// Removes a file, a link or a whole folder; it is fine when nothing is there.
pub(super) fn remove(path: &Path) -> Result<(), BuildError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if is_absent(&error) => Ok(()),
        other => other.doing("removing", path),
    }
}

/// "Nothing there": also when a parent is no folder.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes a folder and its parents below `root`, replacing files that are in the way.
pub(super) fn make_folder(root: &Path, folder: &Path) -> Result<(), BuildError> {
    let mut path = root.to_path_buf();
    for part in folder.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(_) => remove(&path)?,
            Err(_) => {}
        }
        match fs::create_dir(&path) {
            // Another thread was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.doing("making", &path)?,
        }
    }
    Ok(())
}
