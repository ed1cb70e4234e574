//! Files that are written only where they are not there yet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{BuildError, Doing};

/// Writes a file with these permissions unless it has this content already; what is there keeps its
/// time. Never leaves a part of it.
pub(crate) fn place(path: &Path, content: &[u8], mode: u32) -> Result<(), BuildError> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let new = path.with_extension("kiln-new");
    fs::write(&new, content).doing("writing", &new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).doing("writing", &new)?;
    fs::rename(&new, path).doing("writing", path)
}
