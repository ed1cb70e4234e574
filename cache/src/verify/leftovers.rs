//! Staged files of interrupted writes. The local object store writes `name#1`, `name#2`, … beside
//! the object and renames or links it at the end; uploads, transfers and copies go to a file or a
//! folder `.tmp…` or `.transfer-…` first. A killed process leaves them. Readers and listings never
//! see them.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Younger files may belong to a write that is under way.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Files and folders that stay.
    pub(crate) kept: u64,
    /// What they take, in bytes.
    pub(crate) bytes: u64,
    /// Files and folders that were removed.
    pub(crate) removed: u64,
}

/// Counts what is staged below a folder, and removes what nobody has written to for a day; with
/// `dry_run` it only counts what would be. Blocks.
pub(crate) fn sweep(folder: &Path, now: SystemTime, dry_run: bool) -> io::Result<Leftovers> {
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
            let path = entry.path();
            if !is_staged(&entry.file_name().to_string_lossy(), meta.is_dir()) {
                folders.extend(meta.is_dir().then_some(path));
                continue;
            }
            let (bytes, newest) = extent(&path, &meta);
            let age = newest.and_then(|at| now.duration_since(at).ok());
            let remove = if meta.is_dir() { std::fs::remove_dir_all } else { std::fs::remove_file };
            let is_old = age.is_some_and(|age| age > DAY);
            if is_old && (dry_run || remove(path.as_path()).is_ok()) {
                found.removed += 1;
            } else {
                found.kept += 1;
                found.bytes += bytes;
            }
        }
    }
    Ok(found)
}

fn is_staged(name: &str, is_folder: bool) -> bool {
    let is_numbered = name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_numbered && !is_folder || name.starts_with(".tmp") || name.starts_with(".transfer-")
}

/// What a file, or all in a folder, takes, and when somebody wrote to it last.
fn extent(path: &Path, meta: &Metadata) -> (u64, Option<SystemTime>) {
    let own = (meta.len(), meta.modified().ok());
    if !meta.is_dir() {
        return own;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let inner = entries.filter_map(|entry| Some(extent(&entry.path(), &entry.metadata().ok()?)));
    inner.fold((0, own.1), |all, one| (all.0 + one.0, all.1.max(one.1)))
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
        // An upload, and a transfer of several files.
        std::fs::write(folder.path().join(".tmpAbC123"), "12345").unwrap();
        let transfer = folder.path().join(".transfer-x");
        std::fs::create_dir(&transfer).unwrap();
        std::fs::write(transfer.join("0"), "123").unwrap();
        let found = sweep(folder.path(), SystemTime::now(), false).unwrap();
        assert_eq!(found, Leftovers { kept: 3, bytes: 9, removed: 0 });
        let tomorrow = SystemTime::now() + DAY + Duration::from_secs(60);
        for dry_run in [true, false] {
            assert!(transfer.exists());
            let found = sweep(folder.path(), tomorrow, dry_run).unwrap();
            assert_eq!(found, Leftovers { kept: 0, bytes: 0, removed: 3 });
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 3);
        let none = sweep(&folder.path().join("none"), tomorrow, false).unwrap();
        assert_eq!(none, Leftovers::default());
    }
}
