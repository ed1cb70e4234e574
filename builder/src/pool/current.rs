//! Objects that are right for other sources than they were made from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::leftovers;
use super::state::now;
use crate::error::{BuildError, Doing};
use crate::kconfig::SCRATCH;

/// Files of one file system get times from a clock that ticks this seldom at most (jiffies at
/// 100 Hz, doubled).
pub(super) const CLOCK_TICK: i64 = 20_000_000;

/// What a run of make writes though there is nothing to do, as seen with Linux 6.1: its own copy of
/// the top makefile, a link to the sources, what `syncconfig` makes of a configuration that is the
/// same, the list of headers that `scripts/checksyscalls.sh` leaves behind (a check whose only result
/// is warnings), and x86's second name for the image, a link.
const ALWAYS_WRITTEN: &[&str] = &[
    "Makefile",
    "source",
    ".gitignore",
    "include/generated/autoconf.h",
    "include/generated/rustc_cfg",
    ".missing-syscalls.d",
    "arch/x86_64/boot/bzImage",
];

/// Gives every file that make made the same time, now, so that make finds none older than what it
/// was made from. Left out is what Kconfig's own rules compare with the Kconfig files. Returns the
/// time from which [`changed_since`] tells what make did afterwards.
pub(super) fn mark(objects: &Path) -> Result<i64, BuildError> {
    let at = TimeSpec::from_duration(Duration::from_nanos(now().unsigned_abs()));
    for path in files(objects)? {
        if is_kconfigs(&path) {
            continue;
        }
        let path = objects.join(path);
        utimensat(AT_FDCWD, &path, &at, &at, UtimensatFlags::NoFollowSymlink)
            .map_err(io::Error::from)
            .doing("setting the time of", &path)?;
    }
    Ok(settled())
}

/// Waits until what is written from here on can be told from what was written before, and returns
/// the time that parts them.
pub(super) fn settled() -> i64 {
    let at = now();
    std::thread::sleep(Duration::from_nanos(CLOCK_TICK as u64));
    at + CLOCK_TICK / 2
}

/// Files that make made, or made anew, at or after a time, but for those that it always writes.
pub(super) fn changed_since(objects: &Path, time: i64) -> Result<Vec<PathBuf>, BuildError> {
    let mut changed = leftovers::since(objects, time)?;
    changed.retain(|path| {
        !is_kconfigs(path) && !ALWAYS_WRITTEN.iter().any(|name| path == Path::new(name))
    });
    Ok(changed)
}

fn is_kconfigs(path: &Path) -> bool {
    leftovers::is_configuration(path)
        || path.starts_with(SCRATCH)
        || path == Path::new("include/generated/autoconf.h")
        || path == Path::new(".config.old")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        let at = folder.join(&inner);
        for item in fs::read_dir(&at).doing("listing", &at)? {
            let item = item.doing("listing", &at)?;
            let path = inner.join(item.file_name());
            let kind = item.file_type().doing("reading", &item.path())?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn marked_files_are_of_one_time_and_later_ones_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["include/config", "include/generated", "mm"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let old = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(9));
        let names = ["mm/a.o", "vmlinux", "include/config/X", ".config", "include/generated/b.h"];
        for name in names {
            let file = fs::File::create(path(name)).unwrap();
            file.set_times(old).unwrap();
        }
        let since = mark(folder.path()).unwrap();
        let time = |name: &str| path(name).metadata().unwrap().modified().unwrap();
        assert!(time("mm/a.o") == time("vmlinux") && time("vmlinux") > time(".config"));
        assert_eq!(time("include/config/X"), time(".config"));
        assert!(changed_since(folder.path(), since).unwrap().is_empty());
        // As when a Kconfig file has changed, and the configuration has not.
        for name in ["Makefile", "include/config/X", "include/generated/rustc_cfg"] {
            fs::write(path(name), "x").unwrap();
        }
        assert!(changed_since(folder.path(), since).unwrap().is_empty());
        fs::write(path("mm/a.o"), "x").unwrap();
        assert_eq!(changed_since(folder.path(), since).unwrap(), [Path::new("mm/a.o")]);
    }
}
