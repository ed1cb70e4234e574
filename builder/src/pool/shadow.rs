//! Files that were added where a compiler looks before it finds what it found last time, for pairs
//! whose builds were not watched. (Where they were, their closure tells; see `closure::stale`.)
//!
//! Kbuild records which files an object included, not which it looked for in vain. When a tree
//! gains `drivers/a/limits.h`, an object that included `include/limits.h` may have to include the
//! new file, and make does not see it. So every object that included *any* file of that name is
//! made again.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing, remove_file};

/// Removes the objects below a folder that included a file with the name of one of `added`.
pub(super) fn forget(objects: &Path, added: &[PathBuf]) -> Result<(), BuildError> {
    let names: HashSet<&OsStr> = added.iter().filter_map(|path| path.file_name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut open = vec![objects.to_path_buf()];
    while let Some(folder) = open.pop() {
        for item in fs::read_dir(&folder).doing("listing", &folder)? {
            let item = item.doing("listing", &folder)?;
            let path = item.path();
            if item.file_type().doing("reading", &path)?.is_dir() {
                open.push(path);
            } else if let Some(target) = target_of(&path) {
                let record = fs::read(&path).doing("reading", &path)?;
                if includes_any(&record, &names) {
                    for gone in [target, path] {
                        remove_file(&gone)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// `dir/.name.o.cmd` is the record of `dir/name.o`.
fn target_of(record: &Path) -> Option<PathBuf> {
    let name = record.file_name()?.to_str()?;
    let target = name.strip_prefix('.')?.strip_suffix(".cmd")?;
    Some(record.with_file_name(target))
}

/// Whether a record lists, among the included files, one with any of these names. They stand one a
/// line, indented, with a backslash behind.
fn includes_any(record: &[u8], names: &HashSet<&OsStr>) -> bool {
    record.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b" ")).any(|line| {
        let path = line.trim_ascii();
        let path = path.strip_suffix(b"\\").unwrap_or(path).trim_ascii_end();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        names.contains(OsStr::from_bytes(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "cmd_mm/a.o := gcc -c -o mm/a.o ../mm/a.c\n\n\
        source_mm/a.o := ../mm/a.c\n\ndeps_mm/a.o := \\\n    $(wildcard include/config/X) \\\n  \
        ../include/linux/limits.h \\\n  include/generated/y.h \\\n\nmm/a.o: $(deps_mm/a.o)\n";

    fn objects_after(added: &[&str]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let mm = folder.path().join("mm");
        fs::create_dir(&mm).unwrap();
        fs::write(mm.join("a.o"), "object").unwrap();
        fs::write(mm.join(".a.o.cmd"), RECORD).unwrap();
        let added: Vec<PathBuf> = added.iter().map(PathBuf::from).collect();
        forget(folder.path(), &added).unwrap();
        assert_eq!(mm.join("a.o").exists(), mm.join(".a.o.cmd").exists());
        mm.join("a.o").exists()
    }

    #[test]
    fn a_file_of_the_same_name_takes_the_object_away() {
        assert!(!objects_after(&["mm/limits.h"]));
        assert!(!objects_after(&["doc/x.rst", "arch/x86/include/generated/y.h"]));
    }

    #[test]
    fn other_files_do_not() {
        assert!(objects_after(&[]));
        assert!(objects_after(&["mm/other.h", "include/linux/limits.rst", "mm/a.c"]));
    }
}
