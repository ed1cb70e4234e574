//! Changes whose effect may not show in `vmlinux.o`.

use crate::closure::Edges;
use crate::tree::TreeError;

/// Whether a commit of a history may change a kernel beyond its objects: the boot image's own code,
/// linker scripts, what is done to the kernel once it is linked, archives that are packed into it.
/// Such a commit is not cleared because the code of `vmlinux.o` is that of its parent. (Modules have
/// files of their own, which can be compared.) True where that can't be told.
pub fn may_change_beyond_objects(edges: &Edges, commit: usize) -> Result<bool, TreeError> {
    let git = edges.git()?;
    let mut any = false;
    for parent in edges.parents(commit) {
        any = true;
        let changes = edges.few_changes(&git, parent, commit)?;
        if changes.is_none_or(|changes| changes.iter().any(|change| is_beyond(&change.path))) {
            return Ok(true);
        }
    }
    // A commit whose parent is not in the history: nobody knows what it changes.
    Ok(!any)
}

fn is_beyond(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    let folders = ["scripts/", "tools/", "usr/", "certs/"];
    let boot = path.starts_with("arch/") && (path.contains("/boot/") || path.contains("/tools/"));
    boot || path.contains(".lds")
        || folders.iter().any(|folder| path.starts_with(folder))
        || crate::stages::is_make_text(path.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn boot_code_and_linker_scripts_are_beyond() {
        for path in [
            "arch/x86/boot/compressed/misc.c",
            "arch/x86/kernel/vmlinux.lds.S",
            "include/asm-generic/vmlinux.lds.h",
            "scripts/sorttable.c",
            "arch/x86/tools/relocs.c",
            "mm/Makefile",
        ] {
            assert!(is_beyond(path.as_bytes()), "{path}");
        }
        for path in ["mm/mmap.c", "arch/x86/kernel/head_64.S", "include/linux/mm.h"] {
            assert!(!is_beyond(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_beyond() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("mm/a.c", "0")]).commit;
        fixture.edit("first", &[Edit::File("mm/a.c", "1")]);
        fixture.edit("code", &[Edit::File("mm/a.c", "2")]);
        fixture.edit("boot", &[Edit::File("arch/x86/boot/setup.S", "1")]);
        let repository = fixture.repository();
        let edges = Edges::new(&repository, &repository.history(&good, "HEAD").unwrap());
        let beyond = |commit| may_change_beyond_objects(&edges, commit).unwrap();
        assert_eq!((beyond(0), beyond(1), beyond(2)), (true, false, true));
    }
}
