//! The initramfs of a test machine: our init, the payload, and the few nodes a kernel needs.

use std::io;
use std::path::{Path, PathBuf};

use kiln_cache::digest::Digest;

use super::arch::Arch;
use super::compile::{self, CompileError};
use super::cpio::{Archive, ArchiveError};
use super::shell::Shell;
use super::used::use_kept;

/// The guest's first process; see the heads of the files for what it does.
const INIT: &str = concat!(include_str!("output.c"), include_str!("init.c"));

/// What goes in beside init.
#[derive(Debug)]
pub(crate) enum Content {
    /// A static program.
    Program(Vec<u8>),
    /// A script and the shell to run it.
    Script { text: Vec<u8>, shell: Shell },
    /// Nothing: init says that it ran, and stops.
    Nothing,
}

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// Our own init does not compile: the host's compiler or C library is missing or broken.
    #[error("the guest's init: {0}")]
    Init(#[source] CompileError),
    /// The archive's format does not allow it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Reading or writing failed.
    #[error("cannot write an initramfs in {dir}: {source}")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the archive into `work_dir` under its content's name and returns its path. The same
/// content gives the same file; writers side by side don't disturb each other.
pub(crate) async fn write(
    content: Content,
    arch: Arch,
    work_dir: &Path,
) -> Result<PathBuf, InitramfsError> {
    let dir = work_dir.join("initramfs");
    let failed = |source| InitramfsError::Io { dir: dir.clone(), source };
    let programs = work_dir.join("programs");
    let init = compile::compile_static("init.c", INIT.as_bytes(), arch, &programs)
        .await
        .map_err(InitramfsError::Init)?;
    let init = tokio::fs::read(&init).await.map_err(failed)?;
    let bytes = assemble(init, content)?.to_bytes();
    let path = dir.join(format!("{}.cpio", Digest::of(&bytes)));
    // A torn file would fail every boot, and that would be counted against the kernels.
    let is_whole = tokio::fs::read(&path).await.is_ok_and(|kept| kept == bytes);
    if is_whole && use_kept(&path).map_err(failed)? {
        return Ok(path);
    }
    tokio::fs::create_dir_all(&dir).await.map_err(failed)?;
    let scratch = tempfile::NamedTempFile::new_in(&dir).map_err(failed)?;
    tokio::fs::write(scratch.path(), &bytes).await.map_err(failed)?;
    scratch.as_file().sync_all().map_err(failed)?;
    scratch.persist(&path).map_err(|e| failed(e.error))?;
    Ok(path)
}

fn assemble(init: Vec<u8>, content: Content) -> Result<Archive, ArchiveError> {
    let mut archive = Archive::new();
    for name in ["bin", "dev", "proc", "root", "sys", "tmp"] {
        archive.directory(name)?;
    }
    // Major and minor numbers: Documentation/admin-guide/devices.txt of the kernel. These serve
    // kernels without devtmpfs.
    for (name, major, minor) in [
        ("dev/console", 5, 1),
        ("dev/null", 1, 3),
        ("dev/zero", 1, 5),
        ("dev/urandom", 1, 9),
        ("dev/kmsg", 1, 11),
    ] {
        archive.character_device(name, major, minor)?;
    }
    archive.file("init", 0o755, init)?;
    match content {
        Content::Program(program) => archive.file("payload", 0o755, program)?,
        Content::Script { text, shell } => {
            archive.file("payload.sh", 0o755, text)?;
            archive.file("bin/busybox", 0o755, shell.program)?;
            for command in shell.commands {
                archive.symlink(&format!("bin/{command}"), "busybox")?;
            }
        }
        Content::Nothing => {}
    }
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_brings_its_shell() {
        let shell = Shell { program: b"elf".to_vec(), commands: vec!["ls".into(), "sh".into()] };
        let content = Content::Script { text: b"ls".to_vec(), shell };
        let bytes = assemble(b"init".to_vec(), content).unwrap().to_bytes();
        for name in ["payload.sh", "bin/busybox", "bin/ls", "bin/sh", "dev/console", "init"] {
            let wanted = format!("{name}\0");
            assert!(bytes.windows(wanted.len()).any(|w| w == wanted.as_bytes()), "{name}");
        }
    }

    #[tokio::test]
    async fn same_content_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let first = match write(Content::Nothing, Arch::X86_64, dir.path()).await {
            Ok(path) => path,
            Err(InitramfsError::Init(error @ CompileError::Missing { .. })) => {
                kiln_skip::skip(kiln_skip::Lack::Program, error);
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let again = write(Content::Nothing, Arch::X86_64, dir.path()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(std::fs::read_dir(dir.path().join("initramfs")).unwrap().count(), 1);
    }
}
