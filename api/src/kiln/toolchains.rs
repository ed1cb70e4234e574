//! Which toolchain: named on the command line, by the user's file, or by the revision.

use std::path::PathBuf;

use kiln_builder::{Repository, Revision, Toolchains, choose_toolchain, unsuited};

use super::own_file;

/// Options about the toolchain; shared by whatever asks for builds.
#[derive(Debug, clap::Args)]
pub(crate) struct ToolchainArgs {
    /// The compiler: a name in the usual folders or a path; "llvm", "llvm-14" or "llvm:FOLDER" for
    /// clang with LLVM's linker and binutils; "auto" or "auto-llvm" for the first gcc or LLVM here
    /// that builds kernels like this revision; or a name of your own
    #[arg(long, value_name = "NAME", env = "KILN_TOOLCHAIN", default_value = "gcc")]
    pub(crate) toolchain: String,
    /// A TOML file of own names of toolchains ([names], old = "/opt/gcc-8/bin/gcc") and of rows for
    /// "auto" ([[auto]], from = "5.0", before = "5.7", toolchain = "old") [default: toolchains.toml
    /// in kiln's configuration directory, if it is there]
    #[arg(long, value_name = "FILE", env = "KILN_TOOLCHAINS")]
    toolchains: Option<PathBuf>,
}

impl ToolchainArgs {
    /// The toolchain for a revision.
    pub(crate) fn choose(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> anyhow::Result<String> {
        Ok(choose_toolchain(&self.toolchain, &self.user()?, repository, revision)?)
    }

    /// Why a toolchain that was chosen for one revision does not build another, by the tables.
    pub(crate) fn unsuited(
        &self,
        toolchain: &str,
        repository: &Repository,
        revision: &Revision,
    ) -> anyhow::Result<Option<String>> {
        Ok(unsuited(toolchain, &self.user()?, repository, revision)?)
    }

    /// What the user's file says.
    fn user(&self) -> anyhow::Result<Toolchains> {
        let file = own_file::read(self.toolchains.as_deref(), "toolchains.toml")?;
        Ok(file.map_or_else(Toolchains::default, |(_, user)| user))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_example_of_the_help_is_read() {
        let text = "[names]\nold = '/opt/gcc-8/bin/gcc'\n[[auto]]\nfrom = '5.0'\nbefore = '5.7'\n\
                    toolchain = 'old'\n";
        let user: Toolchains = own_file::parse(Path::new("x"), text).unwrap();
        assert_eq!(user.names.get("old").map(String::as_str), Some("/opt/gcc-8/bin/gcc"));
        assert_eq!(user.auto.len(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("[[auto]]\nfrom = '5'\ntoolchain = 'x'", "'5' is no release of Linux"),
            ("[[auto]]\nfrom = '5.0'", "toolchain"),
            ("[name]\n", "name"),
        ] {
            let error = own_file::parse::<Toolchains>(Path::new("my.toml"), text).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("my.toml") && error.contains(said), "{error}");
        }
    }
}
