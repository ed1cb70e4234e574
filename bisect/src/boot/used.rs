//! When a file that is kept was used last.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Whether a file is there. If so, it is used now: what is not for long gets swept from the work
/// folder.
pub(crate) fn use_kept(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    // Best effort: one that another user made is as good, and made again should it go.
    let _ = file.set_modified(SystemTime::now());
    Ok(true)
}
