//! ccache between Kbuild and the compiler, where it is installed.
//!
//! Working pairs keep objects of one revision and configuration; ccache keeps those of all, so a
//! unit that came out before is not compiled again when the pair has moved on or has gone.
//!
//! It runs the preprocessor for each unit (`CCACHE_NODIRECT`, ccache's manual, "The preprocessor
//! mode"), and only then asks its cache. The faster mode compares headers with those of the unit
//! that it knows; then nobody looks for a header in the folders where it might have appeared, and
//! the closure, which is what was looked for, would not be complete. Audits go without it.
//!
//! What a compiler reads beyond that, its key must hold. The kernel has two such things that ccache
//! does not know of: files that inline assembly includes (`.include`, on s390 only), and the macros
//! that Linux 4.20 gave to the assembler (`-Wa,arch/x86/kernel/macros.s`); with `.incbin` it steps
//! aside by itself. For precompiled headers see `closure::touches`.
//!
//! It stands in front of the compiler by a link of the compiler's name in the first folder of the
//! path (the same manual, "Run modes"), so the commands that Kbuild writes down, and compares, are
//! those that it would write without it.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};
use crate::recipe;
use crate::request::host_arch;
use crate::sandbox::{Bind, Confinement};
use crate::toolchain::{Programs, look_up};
use crate::tree::KernelVersion;

/// Where a build finds it.
const INSIDE: &str = "/mnt/kiln/ccache";

/// A folder with ccache's links and what it keeps.
#[derive(Clone, Debug)]
pub(crate) struct Ccache {
    folder: PathBuf,
}

impl Ccache {
    /// Makes ready what builds of such kernels with these programs need, below a folder of working
    /// files. `None` where ccache is not installed, or could give a wrong object, and for a compiler
    /// that is named by its path.
    pub(crate) fn below(
        work: &Path,
        programs: &Programs,
        kernel: KernelVersion,
    ) -> Result<Option<Self>, BuildError> {
        if programs.compiler().contains('/') || !sees_all(host_arch(), kernel) {
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
            match fs::remove_file(&link) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).doing("removing", &link);
                }
                _ => {}
            }
            match symlink(&program, &link) {
                // Another build was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other.doing("making", &link)?,
            }
        }
        Ok(Some(Self { folder }))
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
            ("CCACHE_COMPILERCHECK".into(), "content".into()),
        ]);
    }
}

/// Whether ccache's key holds all that a compiler of such a kernel reads: see above.
fn sees_all(arch: &str, kernel: KernelVersion) -> bool {
    arch != "s390" && (kernel.version, kernel.patchlevel) != (4, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_whose_assembler_reads_more_do_without() {
        let kernel = |version, patchlevel| KernelVersion { version, patchlevel };
        assert!(sees_all("x86_64", kernel(6, 1)));
        assert!(!sees_all("x86_64", kernel(4, 20)));
        assert!(!sees_all("s390", kernel(6, 1)));
    }
}
