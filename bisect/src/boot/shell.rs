//! The guest's shell: the host's static busybox.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::arch::Arch;

/// Why scripts cannot run in the guest.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No busybox.
    #[error(
        "a script needs a shell in the guest, and there is no static busybox: install the Debian \
         package busybox-static"
    )]
    Missing,
    /// A busybox that needs shared libraries, which the guest lacks.
    #[error("{0} is not static: install the Debian package busybox-static in its place")]
    Dynamic(PathBuf),
    /// A busybox for the host, and a guest of another architecture.
    #[error("{path} does not run on {arch}: use a C reproducer there, or a busybox-static:{arch}")]
    OtherArch {
        /// The busybox found.
        path: PathBuf,
        /// The guest's architecture.
        arch: Arch,
    },
    /// It cannot be read or asked.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The busybox found.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A shell for the guest: the program, and the commands it offers.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) program: Vec<u8>,
    pub(crate) commands: Vec<String>,
}

/// Finds the host's busybox and checks that it can run in the guest.
pub(crate) async fn find(arch: Arch) -> Result<Shell, ShellError> {
    const PLACES: [&str; 4] =
        ["/usr/bin/busybox", "/bin/busybox", "/usr/sbin/busybox", "/usr/local/bin/busybox"];
    let path = PLACES.iter().map(Path::new).find(|p| p.is_file()).ok_or(ShellError::Missing)?;
    let failed = |source| ShellError::Io { path: path.to_owned(), source };
    let program = tokio::fs::read(path).await.map_err(failed)?;
    check(&program, path, arch)?;
    let list =
        Command::new(path).arg("--list").kill_on_drop(true).output().await.map_err(failed)?;
    let commands = String::from_utf8_lossy(&list.stdout)
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty() && *name != "busybox" && !name.contains('/'))
        .map(str::to_owned)
        .collect();
    Ok(Shell { program, commands })
}

fn check(program: &[u8], path: &Path, arch: Arch) -> Result<(), ShellError> {
    match elf_summary(program) {
        None => Err(ShellError::Missing),
        Some((machine, _)) if machine != arch.traits().elf_machine => {
            Err(ShellError::OtherArch { path: path.to_owned(), arch })
        }
        Some((_, true)) => Err(ShellError::Dynamic(path.to_owned())),
        Some((_, false)) => Ok(()),
    }
}

/// (`e_machine`, has an interpreter) of a little-endian 64-bit ELF file.
fn elf_summary(bytes: &[u8]) -> Option<(u16, bool)> {
    const INTERPRETER: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(32)?).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    let dynamic = (0..count).any(|i| {
        let at = table.saturating_add(i * size);
        bytes.get(at..at.saturating_add(4)) == Some(&INTERPRETER.to_le_bytes())
    });
    Some((u16_at(18)?, dynamic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_static_from_dynamic() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let (machine, dynamic) = elf_summary(&own).unwrap();
        let host: Arch = std::env::consts::ARCH.parse().unwrap();
        assert_eq!((machine, dynamic), (host.traits().elf_machine, true));
        assert!(matches!(check(&own, Path::new("x"), host), Err(ShellError::Dynamic(_))));
        assert_eq!(elf_summary(b"#!/bin/sh"), None);
        assert_eq!(elf_summary(&own[..40]), None);
    }
}
