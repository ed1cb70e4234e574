//! The toolchain that a name stands for.

use std::process::Command;

use super::choice::{self, AUTO, AUTO_LLVM, Family};
use super::{Programs, ToolchainError, Toolchains, files, suits, tools};
use crate::error::BuildError;
use crate::tree::{KernelVersion, Repository, Revision};

/// The toolchain that a name stands for, by a user's table: for [`AUTO`] and [`AUTO_LLVM`] the one
/// that the table has for this revision, else the first on this machine that builds kernels like it.
pub fn choose_toolchain(
    name: &str,
    user: &Toolchains,
    repository: &Repository,
    revision: &Revision,
) -> Result<String, BuildError> {
    let family = match name {
        AUTO => Family::Gcc,
        AUTO_LLVM => Family::Llvm,
        name => return Ok(user.meaning(name).to_owned()),
    };
    let version = repository.kernel_version(revision)?;
    // The user's rows are for `auto`: who names a family wants one of it.
    if let (Family::Gcc, Some(chosen)) = (family, user.chosen(version)) {
        return Ok(chosen.to_owned());
    }
    let range = suits::range(family, version, repository, revision)?;
    for candidate in family.candidates() {
        let Some(path) = tools::look_up(Programs::of(&candidate).compiler()) else { continue };
        // One that does not answer is none.
        let mut ask = Command::new(&path);
        let Ok(release) = files::output(ask.args(family.question()), &path) else { continue };
        if choice::release(&release).is_some_and(|release| range.holds(release)) {
            return Ok(candidate);
        }
    }
    let KernelVersion { version, patchlevel } = version;
    let (family, range) = (family.name(), range.to_string());
    Err(ToolchainError::NoneSuits { family, kernel: (version, patchlevel), range }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::AutoRow;

    #[test]
    fn the_revision_decides_where_nobody_did() {
        let fixture = crate::testing::Fixture::new();
        let kernel = |version: &str| {
            let makefile = format!("VERSION = {version}\nPATCHLEVEL = 1\n");
            let files = [("Makefile", makefile.as_str()), ("Kbuild", ""), ("Kconfig", "")];
            fixture.commit(version, &files)
        };
        let repository = fixture.repository();
        let mut user = Toolchains::default();
        let choose = |user: &Toolchains, name: &str, version| {
            choose_toolchain(name, user, &repository, &kernel(version))
        };
        assert_eq!(choose(&user, "gcc", "6").unwrap(), "gcc");
        // Any gcc of a machine that runs these tests builds a 6.1.
        assert_eq!(choose(&user, AUTO, "6").unwrap(), "gcc");
        match choose(&user, AUTO, "4") {
            Ok(old) => assert!(old.starts_with("gcc")),
            Err(error) => assert!(error.to_string().contains("3.2 to 9"), "{error}"),
        }
        user.names.insert("old".into(), "/opt/gcc-8/bin/gcc".into());
        let before = Some("5.7".parse().unwrap());
        user.auto.push(AutoRow { from: None, before, toolchain: "old".into() });
        assert_eq!(choose(&user, AUTO, "4").unwrap(), "/opt/gcc-8/bin/gcc");
        assert_eq!(choose(&user, "old", "6").unwrap(), "/opt/gcc-8/bin/gcc");
    }
}
