//! Masks of `code`: line numbers, each at an exact place that relocations confirm.
//!
//! A mask that can't be located so stays visible: then builds differ without need, but are never
//! equal without right.

mod bug_table;
mod dynamic_debug;
mod first_arguments;
mod printk_index;
mod source_locations;

use crate::signature::ElfError;
use crate::signature::elf::Section;
use crate::signature::mapping::ByteSource;
use crate::signature::masks as image_masks;
use crate::signature::relocatable::{Blank, Extents, Relocatable, Relocation};

use super::counts;

/// All masks of a file: for each section a list by offset, without overlaps.
pub(in crate::signature) fn locate(
    object: &Relocatable<'_>,
    extents: &Extents,
    source: &dyn ByteSource,
) -> Result<Vec<Vec<Blank>>, ElfError> {
    let mut found = vec![Vec::new(); object.elf.sections.len()];
    for mask in image_masks::locate(object.elf, source)? {
        let holds = |section: &Section<'_>| {
            let bytes = section.bytes.as_ref().filter(|_| section.is_allocated())?;
            let inside = bytes.start <= mask.range.start && mask.range.end <= bytes.end;
            inside.then(|| (mask.range.start - bytes.start) as u64)
        };
        let place = object.elf.sections.iter().enumerate();
        if let Some((section, start)) =
            place.filter_map(|(index, it)| Some((index, holds(it)?))).next()
        {
            let range = start..start + mask.range.len() as u64;
            found[section].push(Blank { tag: mask.kind.tag(), range, keep: 0 });
        }
    }
    bug_table::locate(object, &mut found);
    dynamic_debug::locate(object, extents, &mut found);
    printk_index::locate(object, extents, &mut found);
    source_locations::locate(object, extents, &mut found);
    Ok(found.into_iter().map(settle).collect())
}

/// Masks of a section as one list.
fn settle(masks: Vec<Blank>) -> Vec<Blank> {
    image_masks::apart(masks, |it| (it.range.start, it.range.end, it.tag))
}

/// The sections of a name that count.
fn named<'a>(object: &'a Relocatable<'_>, name: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let sections = object.elf.sections.iter().enumerate();
    let named = sections.filter(move |(_, it)| it.name == name && counts(object.elf, it));
    named.map(|(index, _)| index)
}

/// The first relocation of a section at an offset.
fn relocation_at<'a>(
    object: &'a Relocatable<'_>,
    section: usize,
    offset: u64,
) -> Option<&'a Relocation> {
    let all = object.relocations.get(section)?;
    all.get(all.partition_point(|it| it.offset < offset)).filter(|it| it.offset == offset)
}

/// Whether no relocation begins in a range of a section.
fn is_plain(object: &Relocatable<'_>, section: usize, range: std::ops::Range<u64>) -> bool {
    let all = &object.relocations[section];
    all.get(all.partition_point(|it| it.offset < range.start))
        .is_none_or(|it| it.offset >= range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_that_overlap_are_all_dropped() {
        let blank = |start, end| Blank { tag: "x", range: start..end, keep: 0 };
        let masks = vec![blank(9, 12), blank(0, 4), blank(3, 6), blank(5, 8), blank(0, 4)];
        assert_eq!(settle(masks), [blank(9, 12)]);
        assert_eq!(settle(vec![blank(4, 8), blank(0, 4)]), [blank(0, 4), blank(4, 8)]);
    }
}
