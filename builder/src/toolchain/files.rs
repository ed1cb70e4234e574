//! Contents of a toolchain: hashing files, and finding the libraries that programs load.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use kiln_cache::Digest;

use super::ToolchainError;
use crate::recipe;

/// What tells a file from a changed one without reading it: its place, size, node, and times of
/// modification and of change. The last can't be set back by a program that replaces files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    path: PathBuf,
    size: u64,
    node: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file or folder that a path leads to. A folder's changes when a name comes or goes.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            size: found.len(),
            node: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether it is of a tool of this name.
    #[cfg(test)]
    pub(super) fn is_of(&self, tool: &str) -> bool {
        self.path.file_name().is_some_and(|name| name == tool)
    }

    /// Whether the file is still the same.
    pub(super) fn is_current(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}

/// Digests of files read by this process: a toolchain is some 200 MB, and asked for often.
static KNOWN: LazyLock<Mutex<HashMap<Stamp, Digest>>> = LazyLock::new(Mutex::default);

/// Digest of a file's content, with the file's stamp; read once for each stamp.
pub(crate) fn digest(path: &Path) -> Result<(Digest, Stamp), ToolchainError> {
    let read = |source| ToolchainError::Read { path: path.to_owned(), source };
    let stamp = Stamp::of(path).map_err(read)?;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&stamp) {
        return Ok((*digest, stamp));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path).map_err(read)?;
    let digest = Digest::from(hasher.finalize());
    known().insert(stamp.clone(), digest);
    Ok((digest, stamp))
}

/// What tools are asked with: nothing of the caller's, which a build does not see either
/// (`LD_LIBRARY_PATH`, `COMPILER_PATH`, …).
const ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("PATH", recipe::PATH)];

/// Regular files below a folder, by their path from it. What can't be listed is left out.
pub(super) fn below(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for item in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() {
                // A link could lead back up.
                if !path.is_symlink() {
                    open.push(path);
                }
            } else if let Ok(name) = path.strip_prefix(folder) {
                files.push((name.to_string_lossy().into_owned(), path.clone()));
            }
        }
    }
    files
}

/// Shared libraries that programs load, as the dynamic loader resolves them here, and libelf.
pub(super) fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>, ToolchainError> {
    let mut command = Command::new("ldd");
    // Fails as a whole for scripts and static programs among them, after answering for the others.
    let output = command
        .args(programs)
        .env_clear()
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ToolchainError::Ask { tool: "ldd".into(), source })?;
    let mut found = parse_ldd(&String::from_utf8_lossy(&output.stdout));
    for folder in ["/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/lib64"] {
        found.extend(libelf_in(Path::new(folder)));
        let multiarch = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_one = |name: &std::ffi::OsStr| name.to_string_lossy().contains("-linux-");
        for item in multiarch.filter(|item| is_one(&item.file_name())) {
            found.extend(libelf_in(&item.path()));
        }
    }
    Ok(found)
}

/// The library that objtool reads and writes object files with. It is linked to when objtool is
/// built, so no installed program tells of it.
fn libelf_in(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("libelf.so.1");
    library.exists().then_some(library)
}

/// Paths in the output of `ldd`: "\tname => /path (0x…)" or "\t/path (0x…)".
fn parse_ldd(text: &str) -> BTreeSet<PathBuf> {
    text.lines()
        .filter(|line| line.starts_with('\t'))
        .filter_map(|line| {
            let line = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
            let path = line.split_once(" (0x").map_or(line, |(path, _)| path);
            path.starts_with('/').then(|| path.into())
        })
        .collect()
}

/// A place that decides by what it has, or by not being there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    stamp: Option<Stamp>,
}

impl Place {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { stamp: Stamp::of(&path).ok(), path }
    }

    /// Whether nothing came or went there.
    pub(super) fn is_current(&self) -> bool {
        Stamp::of(&self.path).ok() == self.stamp
    }
}

/// Runs a tool and returns what it prints.
pub(super) fn output(command: &mut Command, tool: &Path) -> Result<String, ToolchainError> {
    Ok(String::from_utf8_lossy(&run(command, tool)?.stdout).into_owned())
}

/// Runs a tool and returns what it says of its work (on standard error).
pub(super) fn words(command: &mut Command, tool: &Path) -> Result<String, ToolchainError> {
    Ok(String::from_utf8_lossy(&run(command, tool)?.stderr).into_owned())
}

fn run(command: &mut Command, tool: &Path) -> Result<Output, ToolchainError> {
    let ask = |source| ToolchainError::Ask { tool: tool.to_owned(), source };
    command.env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
    let output = command.output().map_err(ask)?;
    if !output.status.success() {
        return Err(ask(std::io::Error::other(format!(
            "it ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_output_of_ldd() {
        let text = "/usr/bin/as:\n\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f9b)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f9c)\n\
                    /usr/bin/ldd:\n\tnot a dynamic executable\n\tlibq.so => not found\n";
        let expected = ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_ldd(text), expected.iter().map(PathBuf::from).collect());
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        std::fs::write(&path, "one").unwrap();
        let (first, stamp) = digest(&path).unwrap();
        assert_eq!(first, Digest::of(b"one"));
        assert!(stamp.is_current());
        std::fs::write(&path, "other").unwrap();
        assert!(!stamp.is_current());
        assert_eq!(digest(&path).unwrap().0, Digest::of(b"other"));
        std::fs::remove_file(&path).unwrap();
        assert!(!stamp.is_current());
    }
}
