//! Writes "newc" cpio archives, the format in which Linux takes an initramfs.
//!
//! Format: `Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel. Written
//! here, because device nodes can then be made without being root, and because the bytes depend
//! on the content alone: entries sorted by name, owner root, time zero.

use std::collections::BTreeMap;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// An archive that is being put together.
#[derive(Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    data: Vec<u8>,
}

/// What an archive cannot hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArchiveError {
    /// A name that is absolute, empty, or has `.`, `..` or NUL in it.
    #[error("'{0}' cannot be a name in an initramfs: give a relative path without '..'")]
    Name(String),
    /// A file of 4 GiB or more.
    #[error("'{0}' has {1} bytes: an initramfs holds files below 4 GiB only")]
    TooLarge(String, usize),
    /// A name that is already taken by something that is not a directory.
    #[error("'{0}' is in the initramfs already")]
    Taken(String),
}

impl Archive {
    /// An archive with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory (mode 0755), and those above it.
    pub fn directory(&mut self, name: &str) -> Result<(), ArchiveError> {
        self.check(name)?;
        self.parents(name)?;
        match self.entries.get(name) {
            Some(entry) if entry.mode & 0o170_000 == DIRECTORY => Ok(()),
            Some(_) => Err(ArchiveError::Taken(name.to_owned())),
            None => self.insert(name, DIRECTORY | 0o755, (0, 0), Vec::new()),
        }
    }

    /// Adds a file with the given permissions, and the directories above it.
    pub fn file(&mut self, name: &str, mode: u32, data: Vec<u8>) -> Result<(), ArchiveError> {
        if u32::try_from(data.len()).is_err() {
            return Err(ArchiveError::TooLarge(name.to_owned(), data.len()));
        }
        self.insert(name, REGULAR | (mode & 0o7777), (0, 0), data)
    }

    /// Adds a symbolic link, and the directories above it.
    pub fn symlink(&mut self, name: &str, target: &str) -> Result<(), ArchiveError> {
        self.insert(name, SYMLINK | 0o777, (0, 0), target.as_bytes().to_vec())
    }

    /// Adds a character device (mode 0600), and the directories above it.
    pub fn character_device(
        &mut self,
        name: &str,
        major: u32,
        minor: u32,
    ) -> Result<(), ArchiveError> {
        self.insert(name, CHARACTER | 0o600, (major, minor), Vec::new())
    }

    /// The archive's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size: usize = self.entries.iter().map(|(n, e)| n.len() + e.data.len() + 120).sum();
        let mut out = Vec::with_capacity(size + 640);
        // Inode numbers must differ, or files of the same number are taken for hard links.
        for (number, (name, entry)) in (1u32..).zip(&self.entries) {
            write_entry(&mut out, number, name, entry);
        }
        let trailer = Entry { mode: 0, device: (0, 0), data: Vec::new() };
        write_entry(&mut out, 0, "TRAILER!!!", &trailer);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn insert(
        &mut self,
        name: &str,
        mode: u32,
        device: (u32, u32),
        data: Vec<u8>,
    ) -> Result<(), ArchiveError> {
        self.check(name)?;
        self.parents(name)?;
        if self.entries.contains_key(name) {
            return Err(ArchiveError::Taken(name.to_owned()));
        }
        self.entries.insert(name.to_owned(), Entry { mode, device, data });
        Ok(())
    }

    fn parents(&mut self, name: &str) -> Result<(), ArchiveError> {
        match name.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }

    fn check(&self, name: &str) -> Result<(), ArchiveError> {
        let bad =
            |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if name.split('/').any(bad) {
            return Err(ArchiveError::Name(name.to_owned()));
        }
        Ok(())
    }
}

fn write_entry(out: &mut Vec<u8>, number: u32, name: &str, entry: &Entry) {
    let links = if entry.mode & 0o170_000 == DIRECTORY { 2 } else { 1 };
    let fields = [
        number,
        entry.mode,
        0, // uid
        0, // gid
        links,
        0, // mtime
        entry.data.len() as u32,
        0, // device of the file system, major and minor
        0,
        entry.device.0,
        entry.device.1,
        name.len() as u32 + 1,
        0, // checksum, unused in this flavour
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(&entry.data);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample(reverse: bool) -> Archive {
        let mut archive = Archive::new();
        let mut steps: Vec<fn(&mut Archive)> = vec![
            |a| a.file("init", 0o755, b"#!".to_vec()).unwrap(),
            |a| a.character_device("dev/console", 5, 1).unwrap(),
            |a| a.symlink("bin/sh", "busybox").unwrap(),
            |a| a.directory("proc").unwrap(),
            |a| a.file("a/b/c", 0o640, vec![7; 4097]).unwrap(),
        ];
        if reverse {
            steps.reverse();
        }
        for step in steps {
            step(&mut archive);
        }
        archive
    }

    #[test]
    fn same_content_same_bytes() {
        assert_eq!(sample(false).to_bytes(), sample(true).to_bytes());
    }

    #[test]
    fn refuses_names_and_collisions() {
        let mut archive = sample(false);
        for name in ["", "/init", "a/../b", "a//b", "x\0y", "."] {
            assert!(matches!(archive.directory(name), Err(ArchiveError::Name(_))), "{name:?}");
        }
        assert_eq!(archive.symlink("init", "x"), Err(ArchiveError::Taken("init".into())));
        assert_eq!(archive.directory("init/x"), Err(ArchiveError::Taken("init".into())));
        assert_eq!(archive.directory("proc"), Ok(()));
    }

    #[test]
    fn cpio_lists_it() {
        let child = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            kiln_skip::skip(kiln_skip::Lack::Program, "cpio is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample(false).to_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let modes: Vec<(&str, String)> = words
            .iter()
            .map(|w| (w[0], w.iter().skip_while(|x| **x != "1970").skip(1).copied().collect()))
            .collect();
        let expected = [
            ("drwxr-xr-x", "a"),
            ("drwxr-xr-x", "a/b"),
            ("-rw-r-----", "a/b/c"),
            ("drwxr-xr-x", "bin"),
            ("lrwxrwxrwx", "bin/sh->busybox"),
            ("drwxr-xr-x", "dev"),
            ("crw-------", "dev/console"),
            ("-rwxr-xr-x", "init"),
            ("drwxr-xr-x", "proc"),
        ];
        let expected: Vec<(&str, String)> =
            expected.iter().map(|(mode, name)| (*mode, (*name).to_owned())).collect();
        assert_eq!(modes, expected);
    }
}
