//! Removing pairs that were unused longest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::VIEW;
use super::state::State;
use super::{RECORD, try_lock};
use crate::trace;

/// Removes free pairs, those unused longest first, until at most `most` are left. What can't be
/// removed stays: this is housekeeping, and no reason to fail a build.
pub(super) fn make_room(pool: &Path, most: usize) {
    let mut pairs: Vec<(i64, PathBuf)> = folders(pool)
        .iter()
        .flat_map(|key| folders(key))
        .map(|root| (State::load(&root.join(RECORD)).map_or(0, |state| state.last_used), root))
        .collect();
    pairs.sort();
    let mut excess = pairs.len().saturating_sub(most);
    for (_, root) in pairs {
        if excess == 0 {
            break;
        }
        if let Ok(Some(_lock)) = try_lock(&root.with_extension("lock")) {
            match remove(&root) {
                Ok(()) => excess -= 1,
                Err(error) => {
                    tracing::warn!(path = %root.display(), %error, "an old working pair stays")
                }
            }
        }
    }
}

/// Removes a pair whose lock is held, and the mount that a killed Kiln may have left in it. What is
/// known of it goes first, and for good: of a removal that is cut off nothing is believed.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    trace::clear(&root.join(VIEW)).map_err(io::Error::other)?;
    match fs::remove_file(root.join(RECORD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => File::open(root)?.sync_all()?,
    }
    fs::remove_dir_all(root)
}

pub(super) fn folders(of: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(of).into_iter().flatten().flatten();
    items.map(|item| item.path()).filter(|path| path.is_dir()).collect()
}
