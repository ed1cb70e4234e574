//! Whether one toolchain builds kernels like a revision, as far as the tables know.

use std::path::Path;
use std::process::Command;

use super::choice::{self, Family, Range, Told};
use super::programs::Programs;
use super::table::Toolchains;
use super::{files, tools};
use crate::error::BuildError;
use crate::host_arch;
use crate::tree::{KernelVersion, Repository, Revision, TreeError};

/// Why a toolchain (by its name or path, not `auto`) does not build kernels like this revision, by the
/// user's table and Kiln's own; nothing when it does, or when nobody knows.
pub fn unsuited(
    name: &str,
    user: &Toolchains,
    repository: &Repository,
    revision: &Revision,
) -> Result<Option<String>, BuildError> {
    let kernel = match repository.kernel_version(revision) {
        Err(error @ TreeError::NotAKernel { .. }) => return Ok(Some(error.to_string())),
        kernel => kernel?,
    };
    if user.chosen(kernel) == Some(name) {
        return Ok(None);
    }
    let programs = Programs::of(name);
    let Some(family) = family(&programs) else { return Ok(None) };
    let Some(path) = tools::look_up(programs.compiler()) else { return Ok(None) };
    let told = files::output(Command::new(&path).args(family.question()), &path)?;
    let Some(release) = choice::release(&told) else { return Ok(None) };
    let range = range(family, kernel, repository, revision)?;
    Ok((!range.holds(release)).then(|| {
        format!(
            "{} {}.{} does not build Linux {}.{} ({range} does)",
            family.name(),
            release.0,
            release.1,
            kernel.version,
            kernel.patchlevel
        )
    }))
}

/// The releases that build a revision, for this machine.
pub(super) fn range(
    family: Family,
    kernel: KernelVersion,
    repository: &Repository,
    revision: &Revision,
) -> Result<Range, BuildError> {
    let least = repository.text_of(revision, choice::LEAST)?;
    let decompressor = match host_arch() {
        "x86_64" => repository.text_of(revision, choice::DECOMPRESSOR)?,
        _ => None,
    };
    let told = Told { least: least.as_deref(), decompressor: decompressor.as_deref() };
    Ok(Range::of(family, kernel, told))
}

/// Whose compiler it is, by its name.
fn family(programs: &Programs) -> Option<Family> {
    let name = Path::new(programs.compiler()).file_name()?.to_str()?;
    match (name.contains("clang"), name.contains("gcc")) {
        (true, _) => Some(Family::Llvm),
        (false, true) => Some(Family::Gcc),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::place;
    use crate::testing::Fixture;
    use crate::toolchain::AutoRow;

    #[test]
    fn a_kernel_that_wants_an_older_compiler_is_told() {
        let fixture = Fixture::new();
        let kernel = |version: &str, patchlevel: &str| {
            let makefile = format!("VERSION = {version}\nPATCHLEVEL = {patchlevel}\n");
            fixture.commit(version, &[("Makefile", &makefile), ("Kbuild", ""), ("Kconfig", "")])
        };
        let (old, new) = (kernel("4", "19"), kernel("6", "1"));
        let repository = fixture.repository();
        let folder = tempfile::tempdir().unwrap();
        let compiler = |name: &str| {
            let path = folder.path().join(name);
            place(&path, b"#!/bin/sh\necho 12.2.0\n", 0o755).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let gcc = compiler("gcc-12");
        let mut user = Toolchains::default();
        let why = unsuited(&gcc, &user, &repository, &old).unwrap().unwrap();
        assert_eq!(why, "gcc 12.2 does not build Linux 4.19 (4.6 to 9 does)");
        assert_eq!(unsuited(&gcc, &user, &repository, &new).unwrap(), None);
        // Of what is no gcc and no clang nothing is known.
        assert_eq!(unsuited(&compiler("cc"), &user, &repository, &old).unwrap(), None);
        // Who says that it builds them is believed.
        let before = Some("5.7".parse().unwrap());
        user.auto.push(AutoRow { from: None, before, toolchain: gcc.clone() });
        assert_eq!(unsuited(&gcc, &user, &repository, &old).unwrap(), None);
        let empty = fixture.edit("no kernel", &[crate::testing::Edit::Remove("Kconfig")]);
        let why = unsuited(&gcc, &user, &repository, &empty).unwrap().unwrap();
        assert!(why.contains("Kconfig"), "{why}");
    }
}
