//! Removing pairs that were unused longest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::VIEW;
use super::state::State;
use super::{RECORD, try_lock};
use crate::trace;

/// Removes free pairs, those unused longest first, until at most `most` are left. What can't be
/// removed stays: this is housekeeping, and no reason to fail a build. Nor to wait for it: a kernel's tree
/// takes a busy disk a minute, so it is only moved aside here, and [`sweep`] removes it.
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
            match set_aside(pool, &root) {
                Ok(()) => excess -= 1,
                Err(error) => {
                    tracing::warn!(path = %root.display(), %error, "an old working pair stays")
                }
            }
        }
    }
    sweep(pool);
}

/// Removes what was moved aside, in a thread of its own. What a process that ends leaves of it goes with the
/// next that takes a pair.
pub(super) fn sweep(pool: &Path) {
    static AT_WORK: Mutex<()> = Mutex::new(());
    let aside = aside(pool);
    if folders(&aside).is_empty() {
        return;
    }
    // Without a thread it waits for the next sweep.
    let _ = std::thread::Builder::new().spawn(move || {
        let _one = AT_WORK.lock().unwrap_or_else(PoisonError::into_inner);
        for left in folders(&aside) {
            // Another process may be at the same.
            if let Err(error) = fs::remove_dir_all(&left)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %left.display(), %error, "an old working pair stays");
            }
        }
    });
}

/// Where pairs lie that are being removed: on the same file system, and under no key.
pub(super) fn aside(pool: &Path) -> PathBuf {
    pool.join(".old")
}

/// Moves a pair whose lock is held out of the pool.
fn set_aside(pool: &Path, root: &Path) -> io::Result<()> {
    disown(root)?;
    let aside = aside(pool);
    fs::create_dir_all(&aside)?;
    let moved = fs::rename(root, aside.join(uuid::Uuid::now_v7().simple().to_string()));
    moved.or_else(|_| fs::remove_dir_all(root))
}

/// Removes a pair whose lock is held, and the mount that a killed Kiln may have left in it.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    disown(root)?;
    fs::remove_dir_all(root)
}

/// What is known of a pair goes first, and for good: of a removal that is cut off nothing is believed.
fn disown(root: &Path) -> io::Result<()> {
    trace::clear(&root.join(VIEW)).map_err(io::Error::other)?;
    match fs::remove_file(root.join(RECORD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(root)?.sync_all(),
    }
}

/// The folders in one, but for hidden ones.
pub(super) fn folders(of: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(of).into_iter().flatten().flatten();
    let items = items.filter(|item| !item.file_name().as_encoded_bytes().starts_with(b"."));
    items.map(|item| item.path()).filter(|path| path.is_dir()).collect()
}
