//! What a build gets in place of things of the machine that differ from run to run.
//!
//! Two causes of kernels that don't repeat have no option or variable of make: random bytes, which the
//! seed of structure layouts (`scripts/gen-randstruct-seed.sh`, before 5.19
//! `scripts/gcc-plugins/gen-random-seed.sh`) and the plugin of `GCC_PLUGIN_LATENT_ENTROPY` read from
//! `/dev/urandom`; and `pahole -j`, which numbers the types of BTF in the order in which its threads
//! end. So the file of random bytes is one of the same bytes for every build, and `PAHOLE` is a script
//! that calls pahole on one thread.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};
use crate::place::place;
use crate::pool::Pair;
use crate::sandbox::{Bind, Confinement};
use crate::toolchain::look_up;

/// Where a build finds the scripts.
const INSIDE: &str = "/mnt/kiln/stand-ins";
/// What is covered by a file of the same bytes for every build.
const RANDOM: &str = "/dev/urandom";
/// Bytes of that file. A compiler with the plugin reads eight for each basic block of what it
/// instruments, always from the start; a real unit has some ten thousand.
const RANDOM_BYTES: usize = 1 << 20;

/// Written beside a working pair's folders.
pub(crate) struct StandIns {
    folder: PathBuf,
    pahole: bool,
}

impl StandIns {
    /// Makes them, unless they are there as they should be.
    pub(crate) fn of(pair: &Pair) -> Result<Self, BuildError> {
        let folder = pair.root.join("stand-ins");
        fs::create_dir_all(&folder).doing("making", &folder)?;
        place(&folder.join("random"), &random(), 0o444)?;
        let pahole = look_up("pahole");
        if let Some(pahole) = &pahole {
            place(&folder.join("pahole"), on_one_thread(pahole).as_bytes(), 0o555)?;
        }
        Ok(Self { folder, pahole: pahole.is_some() })
    }

    /// What is to be bound into the build's namespace.
    pub(crate) fn binds(&self) -> [Bind; 2] {
        let random = self.folder.join("random");
        [self.scripts(), Bind { host: random, inside: RANDOM, read_only: true }]
    }

    /// Variables for make's command line. Without pahole there is none: Kconfig asks whether it is
    /// there.
    pub(crate) fn variables(&self, confinement: &Confinement) -> Option<String> {
        let seen = confinement.seen(&self.scripts()).join("pahole");
        self.pahole.then(|| format!("PAHOLE={}", seen.display()))
    }

    fn scripts(&self) -> Bind {
        Bind { host: self.folder.clone(), inside: INSIDE, read_only: true }
    }
}

fn random() -> Vec<u8> {
    let mut bytes = vec![0; RANDOM_BYTES];
    blake3::Hasher::new_derive_key("kiln random bytes of builds v1")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A script that calls pahole without `-j`, `--jobs` and their values.
fn on_one_thread(pahole: &Path) -> String {
    let pahole = pahole.display();
    format!(
        "#!/bin/sh\n\
         for word do\n\
         \tshift\n\
         \tcase $word in -j|-j[0-9]*|--jobs|--jobs=*) ;; *) set -- \"$@\" \"$word\" ;; esac\n\
         done\n\
         exec {pahole} \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn pahole_is_called_on_one_thread() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("pahole");
        place(&script, on_one_thread(Path::new("/bin/echo")).as_bytes(), 0o555).unwrap();
        let said = |words: &[&str]| {
            // Busy while another test forks with the file still open for writing.
            let output = Command::new("sh").arg(&script).args(words).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let flags =
            ["-J", "--btf_gen_floats", "-j", "--lang_exclude=rust", "a b", "-j4", "--jobs=2"];
        assert_eq!(said(&flags), "-J --btf_gen_floats --lang_exclude=rust a b\n");
    }

    #[test]
    fn what_was_cut_off_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("random");
        place(&path, &random(), 0o444).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), RANDOM_BYTES);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        place(&path, &random(), 0o444).unwrap();
        assert_eq!(fs::read(&path).unwrap(), random());
    }
}
