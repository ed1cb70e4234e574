//! ccache between Kbuild and the compiler, for who asks for it.
//!
//! Working pairs keep objects of one revision and configuration; ccache keeps those of all, so a
//! unit that came out before is not compiled again when the pair has moved on or has gone. It pays
//! where the same units are compiled under several configurations; while it is empty it costs, so
//! nobody gets it unasked.
//!
//! - It runs the preprocessor for each unit (`CCACHE_NODIRECT`, ccache's manual, "The preprocessor
//!   mode"), and only then asks its cache. The faster mode compares headers with those of the unit
//!   that it knows; then nobody looks for a header in the folders where it might have appeared, and
//!   the closure, which is what was looked for, would not be complete. Comments are kept for the
//!   comparison (`CCACHE_COMMENTS`), as warnings may read them.
//! - Its key holds the id of the toolchain: the compiler's driver, which it would look at itself, is
//!   the least part of that.
//! - What a compiler reads beyond that must not matter. It does where columns inside lines reach the
//!   image (debug information, sanitizers, coverage), and where the kernel's own tree makes a plugin of
//!   the compiler or a seed for it, which ccache looks at no more than at the compiler
//!   (`CCACHE_COMPILERCHECK`): such configurations do without. So do kernels
//!   whose assembler reads files that the preprocessor does not see (`units::preprocessor_sees_all`).
//!   With `.incbin` ccache steps aside by itself. For precompiled headers see `closure::touches`.
//! - Stages compile aside without it, and so do audits.
//!
//! It stands in front of the compiler by a link of the compiler's name in the first folder of the
//! path (the same manual, "Run modes"), so the commands that Kbuild writes down, and compares, are
//! those that it would write without it.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing, remove_file};
use crate::kconfig::is_set;
use crate::recipe;
use crate::request::host_arch;
use crate::sandbox::{Bind, Confinement};
use crate::toolchain::{Toolchain, look_up};
use crate::tree::KernelVersion;
use crate::units::preprocessor_sees_all;

/// Where a build finds it.
const INSIDE: &str = "/mnt/kiln/ccache";

/// Options under which columns inside lines reach the image.
const COLUMNS: [&str; 6] = [
    "CONFIG_DEBUG_INFO",
    "CONFIG_GCOV_KERNEL",
    "CONFIG_KASAN",
    "CONFIG_KCSAN",
    "CONFIG_KMSAN",
    "CONFIG_UBSAN",
];

/// Options under which the compiler is given what the build itself makes, beside its input: plugins, and
/// clang's `-frandomize-layout-seed-file`.
const GIVEN: [&str; 2] = ["CONFIG_GCC_PLUGINS", "CONFIG_RANDSTRUCT"];

/// A folder with ccache's links and what it keeps.
#[derive(Clone, Debug)]
pub(crate) struct Ccache {
    folder: PathBuf,
    /// The id of the toolchain.
    toolchain: String,
}

impl Ccache {
    /// Makes ready what builds of such kernels with these programs need, below a folder of working
    /// files. `None` where ccache is not installed, or could give a wrong object, and for a compiler
    /// that is named by its path.
    pub(crate) fn below(
        work: &Path,
        toolchain: &Toolchain,
        kernel: KernelVersion,
    ) -> Result<Option<Self>, BuildError> {
        let programs = &toolchain.programs;
        if programs.compiler().contains('/') || !preprocessor_sees_all(host_arch(), kernel) {
            return Ok(None);
        }
        let Some(program) = look_up("ccache") else { return Ok(None) };
        let folder = work.join("ccache");
        let (links, kept) = (folder.join("bin"), folder.join("kept"));
        for made in [&links, &kept] {
            fs::create_dir_all(made).doing("making", made)?;
        }
        // Host programs are compiled by gcc, whatever compiles the kernel.
        for name in ["gcc", programs.compiler()] {
            let link = links.join(name);
            if fs::read_link(&link).is_ok_and(|to| to == program) {
                continue;
            }
            remove_file(&link)?;
            match symlink(&program, &link) {
                // Another build was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other.doing("making", &link)?,
            }
        }
        Ok(Some(Self { folder, toolchain: toolchain.id.to_hex() }))
    }

    /// Whether objects depend on nothing that it does not see, under a configuration.
    pub(crate) fn suits(config: &str) -> bool {
        COLUMNS.iter().chain(&GIVEN).all(|option| !is_set(config, option))
    }

    /// The folder for a build to see.
    pub(crate) fn bind(&self) -> Bind {
        Bind { host: self.folder.clone(), inside: INSIDE, read_only: false }
    }

    /// Puts itself into the environment of a build.
    pub(crate) fn enter(
        &self,
        environment: &mut Vec<(OsString, OsString)>,
        confinement: &Confinement,
    ) {
        let seen = confinement.seen(&self.bind());
        let mut path = seen.join("bin").into_os_string();
        path.push(":");
        path.push(recipe::PATH);
        environment.retain(|(name, _)| name != "PATH");
        environment.extend([
            ("PATH".into(), path),
            ("CCACHE_DIR".into(), seen.join("kept").into()),
            // No file of the machine's or of the user's has a say.
            ("CCACHE_CONFIGPATH".into(), seen.join("none").into()),
            ("CCACHE_NODIRECT".into(), "1".into()),
            ("CCACHE_COMMENTS".into(), "1".into()),
            ("CCACHE_COMPILERCHECK".into(), format!("string:{}", self.toolchain).into()),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_that_record_columns_do_without() {
        assert!(Ccache::suits("CONFIG_SMP=y\n") && !Ccache::suits("CONFIG_UBSAN=y\n"));
    }

    #[test]
    fn configurations_with_plugins_of_the_compiler_do_without() {
        for option in ["CONFIG_GCC_PLUGINS", "CONFIG_RANDSTRUCT"] {
            assert!(!Ccache::suits(&format!("CONFIG_SMP=y\n{option}=y\n")), "{option}");
        }
    }
}
