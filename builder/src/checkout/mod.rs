//! Putting a tree into a folder, in place: files that stay the same are not touched, so that make
//! sees only what changed. The folder holds no `.git`.

mod file;
mod parallel;
mod repair;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};
use crate::process::Cancel;
use crate::tree::Repository;

pub(crate) use repair::repair;

/// Where files come from and go to, and who watches.
pub(crate) struct Checkout<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) folder: &'a Path,
    pub(crate) cancel: &'a Cancel,
    /// Called with (done, total), from several threads.
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// Turns a folder that holds exactly the tree `before` (`None`: nothing) into one that holds
/// exactly `after`. When it does not return `Ok`, the folder holds something in between, which
/// [`repair`] can put right.
pub(crate) fn update(
    checkout: &Checkout<'_>,
    before: Option<&str>,
    after: &str,
) -> Result<(), BuildError> {
    let difference = checkout.repository.difference(before, after)?;
    remove(checkout.folder, &difference.removed)?;
    parallel::write(checkout, &difference.written)
}

/// Removes files, and the folders that are empty without them.
fn remove(folder: &Path, paths: &[PathBuf]) -> Result<(), BuildError> {
    for path in paths {
        file::remove(&folder.join(path))?;
    }
    // Deepest last in path order, so in reverse each folder follows what was in it.
    for path in paths.iter().rev() {
        let mut parent = path.parent();
        while let Some(inner) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
            match std::fs::remove_dir(folder.join(inner)) {
                Ok(()) => parent = inner.parent(),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::DirectoryNotEmpty => break,
                    std::io::ErrorKind::NotFound => parent = inner.parent(),
                    _ => return Err(error).doing("removing", &folder.join(inner)),
                },
            }
        }
    }
    Ok(())
}
