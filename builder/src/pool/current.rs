//! Whether make has made anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::leftovers;
use super::state::now;
use crate::error::BuildError;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_made_is_told_from_what_is_always_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["include/config", "include/generated", "mm"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in ["mm/a.o", "vmlinux", "include/config/X", ".config", "include/generated/b.h"] {
            fs::write(path(name), "").unwrap();
        }
        std::thread::sleep(Duration::from_nanos(CLOCK_TICK as u64));
        let since = settled();
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
