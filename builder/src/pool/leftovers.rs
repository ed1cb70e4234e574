//! What a killed build may have left unfinished.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};

/// Files and links below a folder that were modified, or made, moved or changed otherwise, at or
/// after a time (nanoseconds since 1970), by their paths from it. Nothing is followed out of the
/// folder.
///
/// A file's own times can be set to any past (`touch -r`, `cp -p`, an archive unpacked); the time
/// of its last change can't.
pub(super) fn since(folder: &Path, time: i64) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let at = folder.join(&inner);
        for item in fs::read_dir(&at).doing("listing", &at)? {
            let item = item.doing("listing", &at)?;
            let path = inner.join(item.file_name());
            let metadata = item.metadata().doing("reading", &item.path())?;
            let time_of = |seconds: i64, nanos: i64| {
                seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
            };
            let modified = time_of(metadata.mtime(), metadata.mtime_nsec());
            let changed = time_of(metadata.ctime(), metadata.ctime_nsec());
            if metadata.is_dir() {
                open.push(path);
            } else if modified.max(changed) >= time {
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

    /// A file whose own time is that many seconds after 1970.
    fn write(folder: &Path, name: &str, second: u64) {
        let file = File::create(folder.join(name)).unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(second);
        file.set_times(FileTimes::new().set_modified(at)).unwrap();
    }

    #[test]
    fn finds_what_was_written_since_whatever_time_it_bears() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("mm")).unwrap();
        write(folder, "old.o", 10);
        // Longer than the ticks of a file's clock.
        std::thread::sleep(Duration::from_millis(60));
        let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        write(folder, "mm/new.o", now.as_secs() + 100);
        write(folder, "mm/copied.o", 10);
        let mut found = since(folder, i64::try_from(now.as_nanos()).unwrap()).unwrap();
        found.sort();
        assert_eq!(found, [Path::new("mm/copied.o"), Path::new("mm/new.o")]);
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
