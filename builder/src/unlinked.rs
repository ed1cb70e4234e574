//! `vmlinux.o`: the kernel before linking, kept for what its code is, without debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use kiln_cache::build_draft::VMLINUX_O;
use kiln_cache::signature::has_debug_sections;

use crate::error::{BuildError, Doing, remove_file};
use crate::pool::Pair;
use crate::recipe;

/// Takes the debug information out. It is most of the file, holds nothing that runs, and is in
/// `vmlinux` as well. Part of every toolchain id, as it is one of the tools of Kbuild.
const OBJCOPY: &str = "objcopy";

/// Without the second it would take the names of source files for debug information, too.
const STRIP: [&str; 2] = ["--strip-debug", "--keep-file-symbols"];

/// The `vmlinux.o` of a finished build as an artifact; `None` where the kernel makes none.
pub(crate) fn artifact(pair: &Pair) -> Result<Option<(String, PathBuf)>, BuildError> {
    Ok(kept(pair)?.map(|object| (VMLINUX_O.to_owned(), object)))
}

/// Stripped of debug information if it has any. Kbuild's own file is left as it is: make would take a
/// changed one for new.
fn kept(pair: &Pair) -> Result<Option<PathBuf>, BuildError> {
    let made = pair.objects().join("vmlinux.o");
    if !made.is_file() {
        return Ok(None);
    }
    let has_debug = has_debug_sections(&made)
        .map_err(|error| BuildError::Infra { reason: error.to_string() })?;
    if !has_debug {
        return Ok(Some(made));
    }
    let stripped = pair.root.join("vmlinux.o");
    strip(&made, &stripped)?;
    Ok(Some(stripped))
}

/// Writes a copy of an object without its debug sections. The same input gives the same output.
fn strip(from: &Path, to: &Path) -> Result<(), BuildError> {
    // What an earlier build left must not be taken for this one's.
    remove_file(to)?;
    let mut command = Command::new(OBJCOPY);
    command.env_clear().envs([("PATH", recipe::PATH), ("LC_ALL", "C")]);
    let output = command.args(STRIP).arg(from).arg(to).output();
    let output = output.doing("running objcopy on", from)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("it said nothing");
    Err(BuildError::Infra { reason: format!("objcopy --strip-debug failed: {line}") })
}

#[cfg(test)]
mod tests {
    use kiln_cache::signature::symbols::symbols_of;
    use kiln_cache::signature::{SignatureKind, sign_kind};

    use std::fs;

    use super::*;

    #[test]
    fn only_debug_information_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("kiln.c"), "static int n; int f(int x) { return n += x; }").unwrap();
        let gcc = ["-g", "-O2", "-c", "kiln.c"];
        assert!(Command::new("gcc").current_dir(&folder).args(gcc).status().unwrap().success());
        let made = path("kiln.o");
        assert!(has_debug_sections(&made).unwrap());
        for name in ["one.o", "two.o"] {
            strip(&made, &path(name)).unwrap();
        }
        assert!(!has_debug_sections(&path("one.o")).unwrap());
        assert_eq!(fs::read(path("one.o")).unwrap(), fs::read(path("two.o")).unwrap());
        let code = |path: &Path| sign_kind(path, SignatureKind::Code).unwrap();
        assert_eq!(code(&made), code(&path("one.o")));
        // The source files of static symbols are known as before.
        assert_eq!(symbols_of(&made).unwrap(), symbols_of(&path("one.o")).unwrap());
        assert!(symbols_of(&made).unwrap().entries.keys().any(|it| it.file == "kiln.c"));
    }

    #[test]
    fn what_is_no_object_is_the_machines_fault_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.o"), folder.path().join("b.o"));
        fs::write(&from, "text").unwrap();
        fs::write(&to, "of an earlier build").unwrap();
        assert!(matches!(strip(&from, &to), Err(BuildError::Infra { .. })));
        assert!(!to.exists());
    }
}
