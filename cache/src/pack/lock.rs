//! One at a time: packing and collecting garbage in the same store exclude each other, so nobody
//! makes a delta to a blob that somebody else is about to remove.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::StoreError;

/// The file that is locked. Its content means nothing, and a killed process leaves it unlocked.
const LOCK: &str = ".maintenance";

/// Takes the lock, which is held until the file is dropped. [`StoreError::Busy`] when another
/// process has it. Blocks, but not for long.
pub(crate) fn claim(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let fail = |source| StoreError::file("lock", &path, source);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy),
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}
