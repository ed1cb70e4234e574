//! What a killed build may have left unfinished.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};

/// Files and links below a folder that were modified at or after a time (nanoseconds since 1970),
/// by their paths from it. Nothing is followed out of the folder.
pub(super) fn since(folder: &Path, time: i64) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let at = folder.join(&inner);
        for item in fs::read_dir(&at).doing("listing", &at)? {
            let item = item.doing("listing", &at)?;
            let path = inner.join(item.file_name());
            let metadata = item.metadata().doing("reading", &item.path())?;
            let modified = metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec();
            if metadata.is_dir() {
                open.push(path);
            } else if modified >= time {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether a file of the objects decides, by its time, what Kbuild takes for changed options.
pub(super) fn is_configuration(path: &Path) -> bool {
    path == Path::new(".config") || path.starts_with("include/config")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn finds_what_was_written_since() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mm")).unwrap();
        for (name, second) in [("old.o", 10), ("mm/same.o", 20), ("mm/new.o", 30)] {
            let file = File::create(folder.path().join(name)).unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(second);
            file.set_times(FileTimes::new().set_modified(at)).unwrap();
        }
        let mut found = since(folder.path(), 20_000_000_000).unwrap();
        found.sort();
        assert_eq!(found, [Path::new("mm/new.o"), Path::new("mm/same.o")]);
    }

    #[test]
    fn knows_the_configuration() {
        for path in [".config", "include/config/auto.conf", "include/config/KASAN"] {
            assert!(is_configuration(Path::new(path)));
        }
        for path in ["mm/.config", "include/generated/utsrelease.h", "mm/mmap.o"] {
            assert!(!is_configuration(Path::new(path)));
        }
    }
}
