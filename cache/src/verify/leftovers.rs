//! Staged files of interrupted writes. The local object store writes `name#1`, `name#2`, … beside
//! the object and renames or links it at the end; a killed process leaves them. Readers and
//! listings never see them.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Younger files may belong to a write that is under way.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    /// Files that stay.
    pub(super) kept: u64,
    /// Files that were removed.
    pub(super) removed: u64,
}

/// Counts the staged files below a folder, and removes those older than a day. Blocks.
pub(super) fn sweep(folder: &Path, now: SystemTime) -> io::Result<Leftovers> {
    let mut found = Leftovers::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // Files come and go while others write.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
            } else if is_staged(&entry.file_name().to_string_lossy()) {
                let age = meta.modified().ok().and_then(|at| now.duration_since(at).ok());
                if age.is_some_and(|age| age > DAY) && std::fs::remove_file(entry.path()).is_ok() {
                    found.removed += 1;
                } else {
                    found.kept += 1;
                }
            }
        }
    }
    Ok(found)
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_staged_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("aa");
        std::fs::create_dir(&inner).unwrap();
        for name in ["blob", "blob#1", "blob#x", "blob#"] {
            std::fs::write(inner.join(name), "x").unwrap();
        }
        let found = sweep(folder.path(), SystemTime::now()).unwrap();
        assert_eq!(found, Leftovers { kept: 1, removed: 0 });
        let tomorrow = SystemTime::now() + DAY + Duration::from_secs(60);
        let found = sweep(folder.path(), tomorrow).unwrap();
        assert_eq!(found, Leftovers { kept: 0, removed: 1 });
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 3);
        assert_eq!(sweep(&folder.path().join("none"), tomorrow).unwrap(), Leftovers::default());
    }
}
