//! Changes whose effect may show neither in `vmlinux.o` nor in what surrounds it.

use crate::closure::Edges;
use crate::tree::TreeError;

/// Whether a commit of a history may change the bytes of a kernel beyond its objects: what linker
/// scripts put where, what is done to the kernel once it is linked, archives that are packed into it,
/// what is compiled after them.
/// Such a commit is not cleared because the code of `vmlinux.o` is that of its parent. (Modules, the
/// boot image, and how the kernel is laid out can be compared, and are: see
/// [`kiln_cache::signature::unseen_by_code`].) True where that can't be told.
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

/// What is compiled after `vmlinux.o` (Linux, scripts/link-vmlinux.sh): the name of the kernel, and what
/// the table of exported symbols is written with (scripts/mod/modpost.c). The second is read by nothing
/// else. (init/version.c takes in the first, so that the code shows most edits, but what is linked is
/// another copy, compiled with other flags.)
const LATE: [&str; 2] = ["init/version-timestamp.c", "include/linux/export-internal.h"];

fn is_beyond(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    let folders = ["scripts/", "tools/", "usr/", "certs/"];
    let tools = path.starts_with("arch/") && path.contains("/tools/");
    tools
        || path.contains(".lds")
        || LATE.contains(&&*path)
        || folders.iter().any(|folder| path.starts_with(folder))
        || crate::stages::is_make_text(path.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn linker_scripts_tools_and_what_is_compiled_late_are_beyond() {
        for path in [
            "arch/x86/kernel/vmlinux.lds.S",
            "include/asm-generic/vmlinux.lds.h",
            "scripts/sorttable.c",
            "arch/x86/tools/relocs.c",
            "mm/Makefile",
            "init/version-timestamp.c",
            "include/linux/export-internal.h",
        ] {
            assert!(is_beyond(path.as_bytes()), "{path}");
        }
        let seen = ["mm/mmap.c", "arch/x86/boot/compressed/misc.c", "include/linux/export.h"];
        for path in seen {
            assert!(!is_beyond(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_beyond() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("mm/a.c", "0")]).commit;
        fixture.edit("first", &[Edit::File("mm/a.c", "1")]);
        fixture.edit("code", &[Edit::File("mm/a.c", "2")]);
        fixture.edit("script", &[Edit::File("scripts/sorttable.c", "1")]);
        let repository = fixture.repository();
        let edges = Edges::new(&repository, &repository.history(&good, "HEAD").unwrap());
        let beyond = |commit| may_change_beyond_objects(&edges, commit).unwrap();
        assert_eq!((beyond(0), beyond(1), beyond(2)), (true, false, true));
    }
}
