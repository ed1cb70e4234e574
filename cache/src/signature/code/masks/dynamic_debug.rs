//! `__dyndbg`: the places of `pr_debug`, which can be switched on one by one.

use crate::signature::relocatable::{Blank, Extents, Relocatable};

use super::{named, relocation_at};

/// `struct _ddebug` (Linux, include/linux/dynamic_debug.h) begins with four pointers: module,
/// function, file, format. Then come 18 bits of line, and class and flags in the same word.
const POINTERS: [u64; 4] = [0, 8, 16, 24];
const WORD: u64 = 32;
const LINE_BITS: u32 = 18;

/// What: the 18 bits of `lineno`. Why: they are only printed and listed. How: in every data symbol
/// of the section, behind its four pointers.
pub(super) fn locate(object: &Relocatable<'_>, extents: &Extents, found: &mut [Vec<Blank>]) {
    for section in named(object, b"__dyndbg") {
        for extent in extents.all.iter().filter(|it| it.section == section) {
            let word = extent.start + WORD;
            let pointers = POINTERS
                .iter()
                .all(|it| relocation_at(object, section, extent.start + it).is_some());
            if pointers && word + 4 <= extent.end {
                let keep = u64::MAX << LINE_BITS;
                found[section].push(Blank { tag: "dyndbg-line", range: word..word + 4, keep });
            }
        }
    }
}
