//! Compiles one C file into a static program for the guest, once for each content.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kiln_cache::digest::Digest;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::arch::Arch;
use super::used::use_kept;

const FLAGS: [&str; 5] = ["-static", "-O1", "-pthread", "-w", "-std=gnu11"];

/// Compiled into every program: what it prints leaves it line by line. To a pipe a program writes
/// in large pieces else, and a kernel that dies would take the last one with it.
const BY_LINES: &str = "#include <stdio.h>\n\
    __attribute__((constructor)) static void by_lines(void)\n\
    { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }\n";

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No compiler, or no C library to link with.
    #[error("{what} is missing: install the Debian package {package}")]
    Missing {
        /// What was looked for.
        what: String,
        /// The package that holds it.
        package: &'static str,
    },
    /// The compiler refused the source.
    #[error("{name} does not compile:\n{messages}")]
    Refused {
        /// The file, as it should be shown.
        name: String,
        /// What the compiler said.
        messages: String,
    },
    /// Reading or writing failed.
    #[error("cannot compile {name} in {dir}: {source}")]
    Io {
        /// The file.
        name: String,
        /// The folder of compiled programs.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The static program of `source`, compiled now or found in `dir`.
///
/// `name` is what messages call the source. It is compiled from its text alone: a local
/// `#include "..."` is refused by the compiler, so that the text's digest says all.
pub(crate) async fn compile_static(
    name: &str,
    source: &[u8],
    arch: Arch,
    dir: &Path,
) -> Result<PathBuf, CompileError> {
    let failed = |source| CompileError::Io { name: name.to_owned(), dir: dir.to_owned(), source };
    let (compiler, compiler_package, libc_package) = arch.compiler();
    let mut identity = format!("{compiler} {}\n", FLAGS.join(" ")).into_bytes();
    identity.extend_from_slice(BY_LINES.as_bytes());
    identity.extend_from_slice(source);
    let output = dir.join(Digest::of(&identity).to_hex());
    if use_kept(&output).map_err(failed)? {
        return Ok(output);
    }
    tokio::fs::create_dir_all(dir).await.map_err(failed)?;
    let scratch = tempfile::tempdir_in(dir).map_err(failed)?;
    let program = scratch.path().join("program");
    let by_lines = scratch.path().join("by_lines.c");
    tokio::fs::write(&by_lines, BY_LINES).await.map_err(failed)?;
    let mut child = match Command::new(compiler)
        .args(FLAGS)
        .arg("-o")
        .arg(&program)
        .args(["-x", "c", "-"])
        .arg(&by_lines)
        .env("LC_ALL", "C")
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
    {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let what = format!("the C compiler {compiler}");
            return Err(CompileError::Missing { what, package: compiler_package });
        }
        Err(e) => return Err(failed(e)),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // The line directive makes messages name the file. A compiler that gave up early closes
        // the pipe; its messages say why, so that error is not looked at.
        let line = format!("#line 1 \"{}\"\n", name.replace(['\\', '"', '\n'], "_"));
        let _ = stdin.write_all(line.as_bytes()).await;
        let _ = stdin.write_all(source).await;
    }
    let result = child.wait_with_output().await.map_err(failed)?;
    if !result.status.success() {
        let messages = String::from_utf8_lossy(&result.stderr).trim_end().to_owned();
        return Err(match missing_library(&messages) {
            Some(what) => CompileError::Missing { what, package: libc_package },
            None => CompileError::Refused { name: name.to_owned(), messages },
        });
    }
    // Its name tells its source, not its bytes: a power cut must not leave half of it there.
    tokio::fs::File::open(&program).await.map_err(failed)?.sync_all().await.map_err(failed)?;
    tokio::fs::rename(&program, &output).await.map_err(failed)?;
    Ok(output)
}

/// Tells a host without the C library's headers or static archive from a bad source.
fn missing_library(messages: &str) -> Option<String> {
    const HEADERS: [&str; 6] =
        ["stdio.h", "stdlib.h", "string.h", "unistd.h", "stdint.h", "errno.h"];
    for line in messages.lines() {
        if line.contains("cannot find -lc") || line.contains("cannot find -lpthread") {
            return Some("the static C library".to_owned());
        }
        let header =
            HEADERS.iter().find(|h| line.contains(&format!("{h}: No such file or directory")));
        if let Some(header) = header {
            return Some(format!("the C library's header {header}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shows_the_compilers_errors() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            compile_static("repro.c", b"int main(void) { retrun 0; }", Arch::X86_64, dir.path())
                .await
                .unwrap_err();
        match error {
            CompileError::Refused { messages, .. } => {
                assert!(messages.contains("repro.c:1:"), "{messages}");
                assert!(messages.contains("retrun"), "{messages}");
            }
            CompileError::Missing { .. } => kiln_skip::skip(kiln_skip::Lack::Program, error),
            CompileError::Io { .. } => panic!("{error}"),
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing half-made is left");
    }

    #[test]
    fn knows_a_missing_library_from_a_bad_source() {
        assert!(missing_library("/usr/bin/ld: cannot find -lc: No such file").is_some());
        let header = "a.c:1:10: fatal error: stdio.h: No such file or directory";
        assert!(missing_library(header).unwrap().contains("stdio.h"));
        assert_eq!(missing_library("a.c:1: fatal error: my.h: No such file or directory"), None);
    }
}
