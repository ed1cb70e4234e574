//! What runs in the guest, and the initramfs that carries it.

use std::io;
use std::path::{Path, PathBuf};

use kiln_cache::digest::Digest;

use super::arch::Arch;
use super::compile::CompileError;
use super::initramfs::{self, Content, InitramfsError};
use super::{compile, shell};

/// How a reproducer is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// A C file, compiled statically.
    C,
    /// A script for `busybox sh`.
    Script,
    /// Nothing: the machine boots and stops.
    Nothing,
}

impl PayloadKind {
    /// The kind that a file's name says: `.c` is C, anything else a script.
    pub fn of_file(path: &Path) -> Self {
        if path.extension().is_some_and(|e| e == "c") { Self::C } else { Self::Script }
    }

    fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Script => "script",
            Self::Nothing => "nothing",
        }
    }
}

/// A payload ready to be booted any number of times, side by side.
#[derive(Clone, Debug)]
pub struct PreparedPayload {
    /// What it is.
    pub kind: PayloadKind,
    /// Identity of kind and source text; equal on every host.
    pub digest: Digest,
    /// Architecture it was made for.
    pub arch: Arch,
    /// The initramfs: init and payload.
    pub initramfs: PathBuf,
}

/// Why a payload cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The reproducer's file cannot be read.
    #[error("cannot read the reproducer {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The reproducer does not compile, or a compiler is missing.
    #[error("reproducer: {0}")]
    Compile(#[source] CompileError),
    /// A compiled program, or anything else that no shell can read.
    #[error(
        "the reproducer {0} is neither C (a name that ends in .c) nor a shell script: it holds \
         zero bytes; give its C source, or a script"
    )]
    NotText(String),
    /// No shell for a script.
    #[error(transparent)]
    Shell(#[from] shell::ShellError),
    /// The initramfs cannot be made.
    #[error(transparent)]
    Initramfs(#[from] InitramfsError),
}

/// Makes a file ready to run in guests of `arch`. Compiled programs and archives are kept in
/// `work_dir` and reused.
pub async fn prepare(
    path: &Path,
    kind: PayloadKind,
    arch: Arch,
    work_dir: &Path,
) -> Result<PreparedPayload, PayloadError> {
    let source = tokio::fs::read(path)
        .await
        .map_err(|source| PayloadError::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    prepare_bytes(&name, &source, kind, arch, work_dir).await
}

/// As [`prepare`], from text in memory; `name` is what messages call it.
pub async fn prepare_bytes(
    name: &str,
    source: &[u8],
    kind: PayloadKind,
    arch: Arch,
    work_dir: &Path,
) -> Result<PreparedPayload, PayloadError> {
    let content = match kind {
        PayloadKind::C => {
            let dir = work_dir.join("programs");
            let program = compile::compile_static(name, source, arch, &dir)
                .await
                .map_err(PayloadError::Compile)?;
            let bytes = tokio::fs::read(&program)
                .await
                .map_err(|source| PayloadError::Read { path: program, source })?;
            Content::Program(bytes)
        }
        PayloadKind::Script if source.contains(&0) => {
            return Err(PayloadError::NotText(name.to_owned()));
        }
        PayloadKind::Script => {
            Content::Script { text: source.to_vec(), shell: shell::find(arch).await? }
        }
        PayloadKind::Nothing => Content::Nothing,
    };
    let initramfs = initramfs::write(content, arch, work_dir).await?;
    Ok(PreparedPayload { kind, digest: identity(kind, source), arch, initramfs })
}

/// The digest of a payload: its kind and its text, not what a compiler made of it.
fn identity(kind: PayloadKind, source: &[u8]) -> Digest {
    let mut text = format!("payload {}\n", kind.name()).into_bytes();
    text.extend_from_slice(source);
    Digest::of(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_text_are_the_identity() {
        assert_eq!(PayloadKind::of_file(Path::new("a/repro.c")), PayloadKind::C);
        assert_eq!(PayloadKind::of_file(Path::new("a/repro")), PayloadKind::Script);
        assert_ne!(identity(PayloadKind::C, b"x"), identity(PayloadKind::Script, b"x"));
        assert_ne!(identity(PayloadKind::C, b"x"), identity(PayloadKind::C, b"y"));
    }

    #[tokio::test]
    async fn unreadable_and_uncompilable_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.c");
        let error = prepare(&missing, PayloadKind::C, Arch::X86_64, dir.path()).await.unwrap_err();
        assert!(error.to_string().contains("none.c"), "{error}");
        let error = prepare_bytes("r.c", b"int x = ;", PayloadKind::C, Arch::X86_64, dir.path())
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("reproducer: "), "{error}");
    }

    #[tokio::test]
    async fn a_compiled_program_is_no_script() {
        let folder = tempfile::tempdir().unwrap();
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let kind = PayloadKind::of_file(Path::new("reproducer"));
        let made = prepare_bytes("reproducer", &program, kind, Arch::X86_64, folder.path()).await;
        assert!(matches!(made, Err(PayloadError::NotText(_))), "{made:?}");
    }
}
