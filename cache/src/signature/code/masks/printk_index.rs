//! The printk index: every format that the kernel may print, with its place.

use crate::signature::relocatable::{Blank, Extents, Relocatable, Target};

use super::{is_plain, named, relocation_at};

/// `struct pi_entry` (Linux, include/linux/printk.h), packed: pointers to format, function and
/// file, the line, pointers to level and prefix.
const POINTERS: [u64; 3] = [0, 8, 16];
const LINE: u64 = 24;
const SIZE: u64 = 44;

/// What: the 32 bits of `line`. Why: they are only listed. How: `.printk_index` points to the
/// entries; each is a data symbol of the struct's size, with its first three pointers and none
/// where the line is.
pub(super) fn locate(object: &Relocatable<'_>, extents: &Extents, found: &mut [Vec<Blank>]) {
    for index in named(object, b".printk_index") {
        for pointer in &object.relocations[index] {
            let Target::Inside { section, offset } = object.target(index, pointer) else {
                continue;
            };
            let Ok(start) = u64::try_from(offset) else { continue };
            let Some(extent) = extents.holding(section, start).map(|it| &extents.all[it]) else {
                continue;
            };
            let line = start..start.saturating_add(LINE);
            let pointers = POINTERS
                .iter()
                .all(|it| relocation_at(object, section, start.saturating_add(*it)).is_some());
            let whole = extent.start == start && extent.end - extent.start == SIZE;
            if whole && pointers && is_plain(object, section, line.end..line.end + 4) {
                let range = line.end..line.end + 4;
                found[section].push(Blank { tag: "printk-line", range, keep: 0 });
            }
        }
    }
}
