//! Making a folder hold exactly a tree when nobody knows what it holds now.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid};

use super::Checkout;
use super::file::{self, Kind};
use super::parallel;
use crate::error::{BuildError, Doing};
use crate::tree::Entry;

/// Compares every file with the tree `wanted`, by content; writes those that differ, removes those
/// that don't belong. Files that are right keep their modification time.
pub(crate) fn repair(checkout: &Checkout<'_>, wanted: &str) -> Result<(), BuildError> {
    let entries = checkout.repository.difference(None, wanted)?.written;
    let mut present = Vec::new();
    sort_out(checkout, &entries, &mut present)?;
    let right: HashSet<&Path> = parallel::each(checkout, &present, |_, present, tick| {
        let mut right = Vec::new();
        for entry in present {
            tick()?;
            if matches(&checkout.folder.join(&entry.path), entry)? {
                right.push(entry.path.as_path());
            }
        }
        Ok(right)
    })?
    .into_iter()
    .collect();
    let wrong: Vec<Entry> =
        entries.iter().filter(|entry| !right.contains(entry.path.as_path())).cloned().collect();
    parallel::write(checkout, &wrong)
}

/// Walks the folder: removes what the tree does not have, and lists the entries of the tree that
/// something lies at.
fn sort_out<'e>(
    checkout: &Checkout<'_>,
    entries: &'e [Entry],
    present: &mut Vec<&'e Entry>,
) -> Result<(), BuildError> {
    let by_path: HashMap<&Path, &Entry> =
        entries.iter().map(|entry| (entry.path.as_path(), entry)).collect();
    let folders: HashSet<&Path> =
        entries.iter().flat_map(|entry| entry.path.ancestors().skip(1)).collect();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        if checkout.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        let at = checkout.folder.join(&folder);
        for item in fs::read_dir(&at).doing("listing", &at)? {
            let item = item.doing("listing", &at)?;
            let path = folder.join(item.file_name());
            let is_folder = item.file_type().doing("reading", &item.path())?.is_dir();
            if is_folder && folders.contains(path.as_path()) {
                open.push(path);
            } else if let Some(entry) = by_path.get(path.as_path()) {
                present.push(entry);
            } else {
                file::remove(&item.path())?;
            }
        }
    }
    Ok(())
}

/// Whether what lies at a path is what the tree says.
fn matches(path: &Path, entry: &Entry) -> Result<bool, BuildError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if file::is_absent(&error) => return Ok(false),
        other => other.doing("reading", path)?,
    };
    let hash = |content: &[u8]| Oid::hash_object(ObjectType::Blob, content).ok() == Some(entry.id);
    Ok(match Kind::of(entry.mode) {
        Kind::File { executable } => {
            metadata.is_file()
                && metadata.permissions().mode() & 0o777 == file::permissions(executable)
                && hash(&fs::read(path).doing("reading", path)?)
        }
        Kind::Link => {
            metadata.is_symlink()
                && hash(fs::read_link(path).doing("reading", path)?.as_os_str().as_bytes())
        }
        Kind::Submodule => {
            metadata.is_dir() && fs::read_dir(path).doing("listing", path)?.next().is_none()
        }
    })
}
