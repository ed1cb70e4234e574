//! The decompressor of an x86-64 boot image, seen so that it does not matter where the packed kernel
//! pushes it.
//!
//! The compressed part lies between the decompressor's head and the rest of it (Linux,
//! arch/x86/boot/compressed/vmlinux.lds.S). Where it takes other room, because another time or build
//! id packs otherwise, all that lies behind it moves: `.text` by some multiples of 16 bytes, the
//! read-only data to the next multiple of 32, and the data, which begins on a page, mostly not
//! at all. No byte of what the decompressor *does* is another one, but every field that says how far
//! it is from here to there is. So:
//!
//! 1. the fields that lead somewhere are found (see [`references`]), and count by the [`Place`] that
//!    they lead to, not by their bytes;
//! 2. zeros that a linker fills up with do not count, at the two places where there are more or fewer
//!    of them then (see [`fill`]), which count instead;
//! 3. every other byte counts: zeros of data as well, wherever they end.
//!
//! A place is how many bytes that are not zero lie before it behind the packed kernel, and how many
//! zeros from it to the next one that is not: two places of one image are never the same, and a place
//! stays the same when all of its section moves. So two images have the same form only if one is the
//! other with its parts moved and its fields brought up to date: what a linker does. Where what is
//! behind the packed kernel begins at one place in both, they are the same byte for byte but for masks
//! and the zeros of the room before it, which nothing leads to. What is not found (a field in data, a
//! section that begins with something that nothing leads to, or is aligned otherwise) is named
//! differently without need.

mod fill;
mod places;
mod references;

use std::ops::Range;

use crate::signature::writer::Writer;
use fill::{Fill, fills};
use places::Places;
use references::{References, references};

pub(super) use places::Place;

/// Memory behind the file that a field may lead to, in bytes: `.bss` with stack and heap, and the
/// page tables. (The heap is at most 192 KiB with the compressions that are unpacked here.)
const BEHIND: usize = 512 << 10;
/// What a field is in the form, beside its place. As no zero it ends a run of zeros.
const FIELD: u8 = 0xff;

/// Where the parts of a decompressor are, in bytes from its start.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The packed kernel.
    pub(super) payload: Range<usize>,
    /// The end of the zeros behind it.
    pub(super) room_end: usize,
    /// The end of what is in the file.
    pub(super) end: usize,
}

impl Layout {
    /// Whether an address is behind the packed kernel, in the file or in memory.
    fn is_behind(&self, address: u64) -> bool {
        (self.room_end as u64..(self.end + BEHIND) as u64).contains(&address)
    }
}

/// Four bytes that say where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    /// Where they are.
    at: usize,
    /// Where they lead to.
    target: usize,
    /// Whether instructions are there, because these are a distance to branch by.
    is_branch: bool,
}

/// A decompressor, taken apart.
pub(super) struct Decompressor<'a> {
    bytes: &'a [u8],
    layout: Layout,
    fields: Vec<Field>,
    fills: Vec<Fill>,
    places: Places,
}

impl<'a> Decompressor<'a> {
    /// Of its bytes; `masks` are ranges of them that do not count.
    pub(super) fn new(bytes: &'a [u8], layout: Layout, masks: &[Range<usize>]) -> Self {
        let bytes = &bytes[..layout.end];
        let References { fields, code } = references(bytes, &layout, masks);
        let mut shown = bytes[layout.room_end..].to_vec();
        let behind = layout.room_end;
        for range in fields.iter().map(|it| it.at..it.at + 4).chain(masks.iter().cloned()) {
            if range.start >= behind {
                shown[range.start - behind..range.end - behind].fill(FIELD);
            }
        }
        let fills = fills(&shown, behind, &code, &fields);
        let places = Places::new(layout.clone(), shown);
        Self { bytes, layout, fields, fills, places }
    }

    /// The place of an address from the decompressor's start.
    pub(super) fn place(&self, address: usize) -> Option<Place> {
        self.layout.is_behind(address as u64).then(|| self.places.of(address))
    }

    /// Whether a field of the head leads to an address.
    pub(super) fn head_leads_to(&self, address: u64) -> bool {
        let mut head = self.fields.iter().filter(|it| it.at < self.layout.payload.start);
        head.any(|it| it.target as u64 == address)
    }

    /// Writes the form.
    pub(super) fn write(&self, manifest: &mut Writer, masks: &[Range<usize>]) {
        manifest.text(&self.head(masks));
        self.write_places(manifest, masks);
        manifest.text(&self.without_fill());
    }

    /// The bytes of the form.
    pub(super) fn shown(&self, masks: &[Range<usize>]) -> Vec<u8> {
        [self.head(masks), self.without_fill()].concat()
    }

    /// Writes where masks and fields are, which places those lead to, and what fill leads up to.
    pub(super) fn write_places(&self, manifest: &mut Writer, masks: &[Range<usize>]) {
        manifest.number(masks.len() as u64);
        for mask in masks {
            self.places.of(mask.start).write(manifest);
            manifest.number(mask.len() as u64);
        }
        manifest.number(self.fields.len() as u64);
        for field in &self.fields {
            self.places.of(field.at).write(manifest);
            self.places.of(field.target).write(manifest);
        }
        manifest.number(self.fills.len() as u64);
        for fill in &self.fills {
            manifest.number(fill.alignment as u64);
            self.places.of(self.layout.room_end + fill.zeros.end).write(manifest);
        }
    }

    /// What is before the packed kernel, with fields and masks marked.
    fn head(&self, masks: &[Range<usize>]) -> Vec<u8> {
        let length = self.layout.payload.start;
        let mut head = self.bytes[..length].to_vec();
        let fields = self.fields.iter().map(|it| it.at..it.at + 4);
        for range in fields.chain(masks.iter().cloned()).filter(|it| it.end <= length) {
            head[range].fill(FIELD);
        }
        head
    }

    /// What is behind the packed kernel, without fill.
    fn without_fill(&self) -> Vec<u8> {
        let mut shown = self.places.shown().to_vec();
        for fill in self.fills.iter().rev() {
            shown.drain(fill.zeros.clone());
        }
        shown
    }
}
