//! One process a bisection: two that go on with the same one would both write its record.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::BisectError;
use super::old;

/// A bisection's place among the running ones of a work folder, held until this is dropped or the
/// process ends. Tells processes of one host apart, not hosts that share the folder.
#[derive(Debug)]
pub(crate) struct Running {
    /// Holds the lock.
    _file: File,
    path: PathBuf,
}

impl Running {
    /// Takes the place. Blocks only for the file system.
    ///
    /// # Errors
    /// [`BisectError::Running`] when another process (or this one) holds it.
    pub(crate) fn claim(work: &Path, id: &str) -> Result<Self, BisectError> {
        let path = lock_path(work, id);
        let fail = |source| BisectError::Io { path: path.clone(), source };
        fs::create_dir_all(work.join("bisections")).map_err(fail)?;
        let mut file = open(&path).map_err(fail)?;
        match file.try_lock() {
            // Old locks are removed, by who holds them: what was opened before that is no lock.
            Ok(()) if !is_still(&file, &path).map_err(fail)? => return Self::claim(work, id),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Best effort: the holder may not have written it yet.
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let by = match pid.trim() {
                    "" => "another process",
                    known => known,
                };
                return Err(BisectError::Running { id: id.to_owned(), by: by.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        file.set_len(0).map_err(fail)?;
        writeln!(file, "process {}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file, path })
    }

    /// Gives the place up, and leaves no trace of it.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The process of this host that a bisection runs in; none where it does not run, or where that can't be
/// seen. Only looks: a lock that is tried for a moment would refuse who claims it in that moment.
pub fn process_of(work: &Path, id: &str) -> Option<u32> {
    let path = lock_path(work, id);
    let lock = fs::metadata(&path).ok()?;
    let said = fs::read_to_string(&path).ok()?;
    let process: u32 = said.trim().strip_prefix("process ")?.parse().ok()?;
    // The number may be another process's by now: this one has the file open.
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let is_lock = |file: fs::DirEntry| {
        let found = fs::metadata(file.path());
        found.is_ok_and(|found| (found.dev(), found.ino()) == (lock.dev(), lock.ino()))
    };
    open.flatten().any(is_lock).then_some(process)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).read(true).write(true).open(path)
}

/// Whether an open file is the one that has this name.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| (found.dev(), found.ino()) == (own.dev(), own.ino())),
    }
}

fn lock_path(work: &Path, id: &str) -> PathBuf {
    work.join("bisections").join(format!("{id}.lock"))
}

/// Where the kernels under test of one bisection lie.
pub(crate) fn kernels(work: &Path, id: &str) -> PathBuf {
    work.join("kernels").join(id)
}

/// Removes what no running bisection needs: kernels under test, and what is [`old`].
pub(crate) fn sweep(work: &Path) -> io::Result<()> {
    sweep_kernels(work)?;
    old::sweep(work, SystemTime::now() - old::KEPT)
}

/// Removes kernels that no running bisection tests: those of interrupted ones, which pull theirs
/// again when they go on, and those from before each bisection had its own folder.
fn sweep_kernels(work: &Path) -> io::Result<()> {
    let folder = work.join("kernels");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str() else { continue };
        // Who has no lock file has never run; who has one runs when it is locked. The lock is held
        // while the folder goes, so that a bisection that goes on meanwhile is not robbed.
        let _held = match lock_path(work, id).exists() {
            false => None,
            true => match Running::claim(work, id) {
                Ok(held) => Some(held),
                Err(_) => continue,
            },
        };
        fs::remove_dir_all(entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bisection_runs_once_at_a_time() {
        let work = tempfile::tempdir().unwrap();
        let first = Running::claim(work.path(), "a").unwrap();
        let text = Running::claim(work.path(), "a").unwrap_err().to_string();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        Running::claim(work.path(), "b").unwrap();
        drop(first);
        Running::claim(work.path(), "a").unwrap();
    }

    #[test]
    fn who_only_asks_is_told_and_claims_nothing() {
        let work = tempfile::tempdir().unwrap();
        assert_eq!(process_of(work.path(), "a"), None);
        assert!(!work.path().join("bisections").exists());
        let running = Running::claim(work.path(), "a").unwrap();
        assert_eq!(process_of(work.path(), "a"), Some(std::process::id()));
        drop(running);
        assert_eq!(process_of(work.path(), "a"), None);
    }

    #[test]
    fn only_the_kernels_of_running_bisections_stay() {
        let work = tempfile::tempdir().unwrap();
        sweep(work.path()).unwrap();
        let _running = Running::claim(work.path(), "running").unwrap();
        drop(Running::claim(work.path(), "killed").unwrap());
        for id in ["running", "killed", "older"] {
            fs::create_dir_all(kernels(work.path(), id).join("image")).unwrap();
        }
        sweep(work.path()).unwrap();
        let left: Vec<_> = fs::read_dir(work.path().join("kernels"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["running"]);
    }
}
