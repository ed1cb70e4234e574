//! What has not been used for long goes from the work folder: all of it is made again when it is
//! asked for. Kernels under test, which are large, go at once (see [`super::running`]), and warm
//! pairs by the rules of the builder.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::running::Running;

/// How long things stay after they were last used. No bisection runs for so long.
pub(super) const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Removes what was last used before then: programs and archives for test machines, repositories
/// with undone commits, and the locks of bisections.
pub(super) fn sweep(work: &Path, before: SystemTime) -> io::Result<()> {
    for folder in ["boot/initramfs", "boot/programs"] {
        for entry in entries(&work.join(folder))? {
            let path = entry.path();
            if is_older(&path, before)? {
                remove(&path)?;
            }
        }
    }
    for entry in entries(&work.join("reverts"))? {
        // This file is touched whenever the repository is used (`builder`'s `Repository::revert`);
        // one without it was never finished.
        let mark = entry.path().join("objects/info/alternates");
        let mark = if mark.exists() { mark } else { entry.path() };
        if is_older(&mark, before)? {
            remove(&entry.path())?;
        }
    }
    for entry in entries(&work.join("bisections"))? {
        let path = entry.path();
        let id = path.file_stem().and_then(|id| id.to_str());
        let Some(id) = id.filter(|_| path.extension().is_some_and(|it| it == "lock")) else {
            continue;
        };
        if is_older(&path, before)?
            && let Ok(running) = Running::claim(work, id)
        {
            running.forget()?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

/// False for what has gone meanwhile: another bisection sweeps, too.
fn is_older(path: &Path, before: SystemTime) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.modified()? < before),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::boot::used::use_kept;

    fn age(path: &Path) {
        let long_ago = SystemTime::now() - 2 * KEPT;
        File::open(path).unwrap().set_modified(long_ago).unwrap();
    }

    #[test]
    fn what_was_used_lately_or_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path();
        let before = SystemTime::now() - KEPT;
        sweep(work, before).unwrap();
        for name in ["boot/initramfs", "boot/programs", "bisections"] {
            fs::create_dir_all(work.join(name)).unwrap();
        }
        let running = Running::claim(work, "running").unwrap();
        for id in ["old", "new"] {
            drop(Running::claim(work, id).unwrap());
            fs::write(work.join(format!("boot/initramfs/{id}.cpio")), "x").unwrap();
            fs::write(work.join(format!("boot/programs/{id}")), "x").unwrap();
            let repository = work.join(format!("reverts/{id}.git/objects/info"));
            fs::create_dir_all(&repository).unwrap();
            fs::write(repository.join("alternates"), "x").unwrap();
            // Only the mark of its use counts.
            age(&work.join(format!("reverts/{id}.git")));
        }
        let old = [
            "bisections/old.lock",
            "bisections/running.lock",
            "boot/initramfs/old.cpio",
            "boot/programs/old",
            "reverts/old.git/objects/info/alternates",
        ];
        old.iter().for_each(|name| age(&work.join(name)));
        age(&work.join("boot/programs/new"));
        assert!(use_kept(&work.join("boot/programs/new")).unwrap());

        sweep(work, before).unwrap();
        let mut left: Vec<String> = ["bisections", "boot/initramfs", "boot/programs", "reverts"]
            .iter()
            .flat_map(|name| entries(&work.join(name)).unwrap())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["new", "new.cpio", "new.git", "new.lock", "running.lock"]);
        drop(running);
        Running::claim(work, "old").unwrap();
    }
}
