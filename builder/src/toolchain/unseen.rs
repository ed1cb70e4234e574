//! Whose answers rest on what nobody stamps: scripts and launchers, which run whatever they like, and
//! compilers whose search is not known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln_cache::signature::is_elf;
use memchr::memmem;

/// What every driver of gcc has in it to tell `collect2` of its options (gcc/gcc.cc, where compilers
/// may inline the first sixteen bytes of it). Launchers (ccache, distcc) have not.
const GCC: &[u8] = b"COLLECT_GCC_OPTI";

/// What is asked besides the drivers, or runs when they are.
const ASKED: [&str; 9] = [
    "cc1",
    "collect2",
    "lto1",
    "lto-wrapper",
    "host cc1",
    "host cc1plus",
    "ld",
    "bison",
    "pkg-config",
];

/// Whether all that was asked answers by what has stamps. The driver of clang does not: it looks around
/// the machine for a gcc and for names of distributions, and reads configuration files that include others,
/// without saying so.
pub(super) fn answers_by_what_is_seen(
    driver: &Path,
    host_driver: &Path,
    linker: &Path,
    parts: &BTreeMap<String, Option<PathBuf>>,
) -> bool {
    let part = |role: &str| parts.get(role).and_then(Option::as_deref);
    let drivers = [Some(driver), Some(host_driver), part("g++")];
    let asked = ASKED.into_iter().map(part).chain([Some(linker)]);
    // By a relative path, the folder that Kiln was started in decides.
    driver.is_absolute()
        && drivers.into_iter().flatten().all(is_gcc)
        && asked.flatten().all(is_program)
}

fn is_gcc(program: &Path) -> bool {
    is_program(program)
        && std::fs::read(program).is_ok_and(|content| memmem::find(&content, GCC).is_some())
}

/// Whether the system runs it by itself; of what can't be read nobody knows.
fn is_program(file: &Path) -> bool {
    is_elf(file).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::look_up;

    #[test]
    fn scripts_and_launchers_run_what_they_like() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "#!/bin/sh\nexec gcc \"$@\"\n").unwrap();
        let gcc = look_up("gcc").unwrap();
        let is_seen = |driver: &Path, bison: &Path| {
            let parts = BTreeMap::from([("bison".to_owned(), Some(bison.to_owned()))]);
            answers_by_what_is_seen(driver, &gcc, Path::new("/usr/bin/ld"), &parts)
        };
        let bison = look_up("bison").unwrap();
        assert!(is_seen(&gcc, &bison));
        assert!(!is_seen(&script, &bison) && !is_seen(&gcc, &script));
        // An ELF file, which is no driver: it might run any.
        assert!(!is_seen(Path::new("/usr/bin/env"), &bison));
        assert!(!is_seen(Path::new("no/such/gcc"), &bison));
    }
}
