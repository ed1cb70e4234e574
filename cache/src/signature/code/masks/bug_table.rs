//! `__bug_table`: where `BUG` and `WARN` stand.

use crate::signature::relocatable::{Blank, Relocatable};

use super::named;

/// A layout of `struct bug_entry` (Linux, include/asm-generic/bug.h, with
/// GENERIC_BUG_RELATIVE_POINTERS and DEBUG_BUGVERBOSE, as x86-64 and arm64 have them).
struct Layout {
    size: u64,
    /// Offsets of the pointers that every entry has.
    always: &'static [u64],
    /// Offsets of those that an entry may have.
    sometimes: &'static [u64],
    /// Offset of the line, 2 bytes.
    line: u64,
}

/// Address, file, line, flags; and since 6.19 a format between address and file.
const LAYOUTS: [Layout; 2] = [
    Layout { size: 12, always: &[0, 4], sometimes: &[], line: 8 },
    Layout { size: 16, always: &[0, 8], sometimes: &[4], line: 12 },
];

/// What: the 16 bits of `line`. Why: they are only printed. How: the layout is the only one in
/// which every entry has its pointers and nothing else has one.
pub(super) fn locate(object: &Relocatable<'_>, found: &mut [Vec<Blank>]) {
    for section in named(object, b"__bug_table") {
        let size = object.elf.sections[section].size;
        let layout = LAYOUTS.iter().find(|it| fits(it, object, section, size));
        let Some(layout) = layout else { continue };
        found[section].extend((0..size / layout.size).map(|entry| {
            let start = entry * layout.size + layout.line;
            Blank { tag: "bug-line", range: start..start + 2, keep: 0 }
        }));
    }
}

fn fits(layout: &Layout, object: &Relocatable<'_>, section: usize, size: u64) -> bool {
    let relocations = &object.relocations[section];
    let expected = size / layout.size * layout.always.len() as u64;
    let mut pointers = 0;
    let mut last = None;
    for it in relocations {
        let at = it.offset % layout.size;
        // A pointer that is relocated twice would be counted twice.
        if last.replace(it.offset) == Some(it.offset) {
            return false;
        }
        if layout.always.contains(&at) {
            pointers += 1;
        } else if !layout.sometimes.contains(&at) {
            return false;
        }
    }
    size.is_multiple_of(layout.size) && pointers == expected
}
