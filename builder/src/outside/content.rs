//! What is at a path of the host, as a digest.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kiln_cache::Digest;

use super::names::Named;
use crate::error::BuildError;
use crate::toolchain::file_digest;

/// A folder with more files than this is not what somebody puts into a kernel: it is "/" or a home
/// by mistake, and reading it would take hours.
const MOST_FILES: usize = 50_000;
/// The same in bytes. An archive in a kernel has to be smaller than 4 GiB.
const MOST_BYTES: u64 = 4 << 30;

/// Digest of all that a build can get from a named path: see [`super::digest`].
pub(super) fn of(named: &Named) -> Result<Digest, BuildError> {
    let mut look = Look { named, hasher: blake3::Hasher::new(), files: 0, bytes: 0 };
    let is_file = look.path(&named.path)?;
    if is_file && named.packed && !is_archive(&named.path) {
        look.list()?;
    }
    Ok(look.hasher.finalize().into())
}

/// Whether `usr/gen_initramfs.sh` takes a file for an archive, by its name; others are lists of
/// what is to be packed.
fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".cpio") || name.contains(".cpio.")
}

struct Look<'a> {
    named: &'a Named,
    hasher: blake3::Hasher,
    files: usize,
    bytes: u64,
}

impl Look<'_> {
    /// Adds what is at a path, links followed. Returns whether that is a file.
    fn path(&mut self, path: &Path) -> Result<bool, BuildError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path).map(|()| false),
            Ok(found) if found.is_file() => self.file(path, &found).map(|()| true),
            Ok(found) => {
                self.field(b"special");
                self.field(&found.rdev().to_le_bytes());
                Ok(false)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                self.field(b"absent");
                Ok(false)
            }
            Err(error) => Err(self.unreadable(path, &error)),
        }
    }

    fn file(&mut self, path: &Path, found: &Metadata) -> Result<(), BuildError> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(found.len());
        if self.files > MOST_FILES || self.bytes > MOST_BYTES {
            return Err(self.named.refuse(format!(
                "its content is part of the build's key, and it holds more than {MOST_FILES} \
                 files or {} GiB: name something smaller",
                MOST_BYTES >> 30
            )));
        }
        let (digest, _) =
            file_digest(path).map_err(|error| self.named.refuse(error.to_string()))?;
        self.field(b"file");
        self.hasher.update(digest.as_bytes());
        Ok(())
    }

    /// Adds everything below a folder, in order of names. Links inside are not followed into other
    /// folders: what is packed is the link.
    fn folder(&mut self, folder: &Path) -> Result<(), BuildError> {
        self.field(b"folder");
        let mut names = Vec::new();
        for item in fs::read_dir(folder).map_err(|error| self.unreadable(folder, &error))? {
            names.push(item.map_err(|error| self.unreadable(folder, &error))?.file_name());
        }
        names.sort();
        self.field(&(names.len() as u64).to_le_bytes());
        for name in names {
            let path = folder.join(&name);
            let error = |error: io::Error| self.unreadable(&path, &error);
            let found = fs::symlink_metadata(&path).map_err(error)?;
            let target = if found.is_symlink() { fs::read_link(&path).ok() } else { None };
            self.field(name.as_bytes());
            self.attributes(&found);
            if let Some(target) = target {
                self.field(target.as_os_str().as_bytes());
            }
            if found.is_dir() {
                self.folder(&path)?;
            } else if found.is_file() || (found.is_symlink() && path.is_file()) {
                let found = fs::metadata(&path).map_err(|error| self.unreadable(&path, &error))?;
                self.file(&path, &found)?;
            } else {
                self.field(&found.rdev().to_le_bytes());
            }
        }
        Ok(())
    }

    /// Adds the files of the host that a list of files to pack names: lines "file name place …"
    /// (`usr/gen_init_cpio.c`).
    fn list(&mut self) -> Result<(), BuildError> {
        let path = &self.named.path;
        let bytes = fs::read(path).map_err(|error| self.unreadable(path, &error))?;
        for line in bytes.split(|byte| *byte == b'\n') {
            let mut words =
                line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let (Some(b"file"), Some(_), Some(place)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let place = PathBuf::from(OsStr::from_bytes(place));
            // Variables come from the environment of the build; a relative place is in its folder
            // of objects, where only the build puts files.
            if place.as_os_str().as_bytes().contains(&b'$')
                || place.components().any(|part| part == std::path::Component::ParentDir)
            {
                return Err(self.named.refuse(format!(
                    "it lists the file {}: write that as a plain absolute path",
                    place.display()
                )));
            }
            if place.is_absolute() {
                if let Ok(found) = fs::metadata(&place) {
                    self.attributes(&found);
                }
                self.path(&place)?;
            }
        }
        Ok(())
    }

    /// Mode, and what only archives keep of a file.
    fn attributes(&mut self, found: &Metadata) {
        self.field(&found.mode().to_le_bytes());
        if self.named.packed {
            self.field(&found.uid().to_le_bytes());
            self.field(&found.gid().to_le_bytes());
            if found.is_file() {
                self.field(&found.mtime().to_le_bytes());
            }
        }
    }

    fn field(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    fn unreadable(&self, path: &Path, error: &io::Error) -> BuildError {
        self.named.refuse(format!(
            "its content is part of the build's key, and {} can't be read: {error}",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn named(path: &Path, packed: bool) -> Named {
        Named { option: "CONFIG_X".into(), path: path.into(), packed }
    }

    #[test]
    fn names_modes_contents_and_links_of_a_folder_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let now = || of(&named(folder.path(), true)).unwrap();
        let mut seen = vec![now()];
        let mut differs = |what: &str| {
            let digest = now();
            assert!(!seen.contains(&digest), "{what}");
            seen.push(digest);
        };
        fs::create_dir(path("bin")).unwrap();
        differs("a folder");
        fs::write(path("bin/sh"), "one").unwrap();
        differs("a file");
        fs::write(path("bin/sh"), "two").unwrap();
        differs("content");
        fs::set_permissions(path("bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
        differs("mode");
        symlink("bin/sh", path("init")).unwrap();
        differs("a link");
        fs::remove_file(path("init")).unwrap();
        symlink("bin/nothing", path("init")).unwrap();
        differs("its target");
        fs::rename(path("bin/sh"), path("bin/ash")).unwrap();
        differs("a name");
        assert_eq!(now(), now());
    }

    #[test]
    fn a_list_leads_to_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (list, file) = (folder.path().join("list"), folder.path().join("init"));
        let line = format!("dir /dev 755 0 0\nfile /init {} 755 0 0\n", file.display());
        fs::write(&list, line).unwrap();
        fs::write(&file, "one").unwrap();
        let one = of(&named(&list, true)).unwrap();
        fs::write(&file, "two").unwrap();
        assert_ne!(of(&named(&list, true)).unwrap(), one);
        fs::write(&list, "file /init ${HOME}/init 755 0 0\n").unwrap();
        let error = of(&named(&list, true)).unwrap_err().to_string();
        assert!(error.contains("CONFIG_X") && error.contains("${HOME}/init"), "{error}");
        // An archive is no list, whatever is in it.
        let archive = folder.path().join("a.cpio");
        fs::rename(&list, &archive).unwrap();
        of(&named(&archive, true)).unwrap();
    }

    #[test]
    fn nothing_is_read_that_would_not_end() {
        let folder = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        of(&named(folder.path(), false)).unwrap();
        of(&named(&folder.path().join("pipe"), false)).unwrap();
    }
}
