//! The bytes of a section without what the linker fills in and without what is masked.

use std::ops::Range;

use super::Relocatable;
use super::fields::field;

/// The longest field of a relocation, in bytes.
const LONGEST: u64 = 8;
/// How much is copied at a time when a section is read whole, in bytes.
const WINDOW: u64 = 1 << 20;

/// Bytes of a section, at most 8 of them when not all of their bits are hidden, that count as zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blank {
    /// What is hidden, as it goes into the signature.
    pub(crate) tag: &'static str,
    /// In bytes from the start of the section.
    pub(crate) range: Range<u64>,
    /// Bits that stay, of the bytes as a little-endian number.
    pub(crate) keep: u64,
}

/// Reads sections of a file with relocated fields and masks as zero.
#[derive(Debug)]
pub(crate) struct Contents<'a> {
    object: &'a Relocatable<'a>,
    /// By section; sorted, not overlapping.
    masks: Vec<Vec<Blank>>,
}

impl<'a> Contents<'a> {
    /// `masks` has one list for each section; each list is sorted and has no overlaps.
    pub(crate) fn new(object: &'a Relocatable<'a>, masks: Vec<Vec<Blank>>) -> Self {
        Self { object, masks }
    }

    /// The masks of a section.
    pub(crate) fn masks(&self, section: usize) -> &[Blank] {
        self.masks.get(section).map_or(&[], Vec::as_slice)
    }

    /// Feeds a range of a section to `take` in pieces. Nothing for NOBITS and beyond the end.
    pub(crate) fn read(&self, section: usize, range: Range<u64>, mut take: impl FnMut(&[u8])) {
        let Some(bytes) =
            self.object.elf.sections.get(section).and_then(|section| section.bytes.clone())
        else {
            return;
        };
        let end = range.end.min(bytes.len() as u64);
        let mut start = range.start;
        let mut copy = Vec::new();
        while start < end {
            let stop = end.min(start + WINDOW);
            copy.clear();
            // Both fit: they are not past the end of a slice.
            let window = &self.object.elf.data[bytes.clone()][start as usize..stop as usize];
            copy.extend_from_slice(window);
            self.blank(section, start, &mut copy);
            take(&copy);
            start = stop;
        }
    }

    /// Zeroes what is hidden in a copy of the bytes from `start` on.
    fn blank(&self, section: usize, start: u64, copy: &mut [u8]) {
        let end = start + copy.len() as u64;
        let relocations = self.object.relocations.get(section).map_or(&[][..], Vec::as_slice);
        let first = relocations.partition_point(|it| it.offset.saturating_add(LONGEST) <= start);
        for it in relocations[first..].iter().take_while(|it| it.offset < end) {
            let field = field(self.object.machine, it.kind).filter(|_| !it.implicit);
            if let Some(field) = field {
                hide(copy, start, it.offset, field.length as u64, field.keep);
            }
        }
        let masks = self.masks(section);
        let first = masks.partition_point(|it| it.range.end <= start);
        for it in masks[first..].iter().take_while(|it| it.range.start < end) {
            hide(copy, start, it.range.start, it.range.end - it.range.start, it.keep);
        }
    }
}

/// Clears `length` bytes at `at`, as far as they are in `copy`, which begins at `start`.
fn hide(copy: &mut [u8], start: u64, at: u64, length: u64, keep: u64) {
    let end = at.saturating_add(length).min(start + copy.len() as u64);
    for position in at.max(start)..end {
        let shift = (position - at) * 8;
        let kept = if shift < 64 { (keep >> shift) as u8 } else { 0 };
        copy[(position - start) as usize] &= kept;
    }
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn hides_bits_and_what_reaches_over_an_edge() {
        let mut copy = [0xff; 4];
        hide(&mut copy, 10, 8, 4, 0xf0f0_f0f0);
        assert_eq!(copy, [0xf0, 0xf0, 0xff, 0xff]);
        let mut copy = [0xff; 4];
        hide(&mut copy, 10, 12, 8, 0);
        assert_eq!(copy, [0xff, 0xff, 0, 0]);
        hide(&mut copy, 10, u64::MAX - 1, 8, 0);
        hide(&mut copy, 10, 0, 10, 0);
        assert_eq!(copy, [0xff, 0xff, 0, 0]);
    }
}
