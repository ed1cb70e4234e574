//! The set-up code of a boot image, whose header says where parts of the decompressor are.
//!
//! Those fields count by the place that they name (see [`decompressor`](super::decompressor)):
//!
//! | field | what it names |
//! |---|---|
//! | `syssize` | the end of the file, in units of 16 bytes |
//! | `init_size` | the memory that unpacking needs, where the decompressor and not the kernel decides: the end of its memory, and how much more is needed than the packed and the unpacked kernel differ by |
//! | `handover_offset`, `kernel_info_offset` | an address |
//! | of the PE header, with an EFI stub | entry, sizes, and of each section address and size |
//!
//! (Linux, Documentation/x86/boot.rst and arch/x86/boot/header.S; PE format, "Optional Header" and
//! "Section Table".) One that does not lead behind the packed kernel counts by its bytes.

use std::ops::Range;

use super::decompressor::{Decompressor, Place};
use crate::signature::writer::Writer;

const SYS_SIZE: usize = 0x1f4;
const INIT_SIZE: usize = 0x260;
const HANDOVER_OFFSET: usize = 0x264;
const KERNEL_INFO_OFFSET: usize = 0x268;
/// Where the PE header is named, and what it begins with.
const PE_OFFSET: usize = 0x3c;
const PE_MAGIC: &[u8] = b"PE\0\0";
/// Number of sections and length of the optional header, from the PE header's start.
const PE_SECTIONS: usize = 6;
const PE_OPTIONAL_LENGTH: usize = 20;
const PE_OPTIONAL: usize = 24;
/// Sizes of code and data, and the entry, from the optional header's start.
const PE_CODE: usize = 4;
const PE_DATA: usize = 8;
const PE_ENTRY: usize = 16;
const PE_IMAGE_SIZE: usize = 56;
/// Of a section's header: its length; sizes in memory and in the file, addresses in both.
const SECTION: usize = 40;
const SECTION_SIZES: [usize; 2] = [8, 16];
const SECTION_ADDRESSES: [usize; 2] = [12, 20];

const PAGE: u64 = 4096;

/// The set-up code as it counts.
pub(super) struct Setup {
    /// Its bytes, masks and what names a place as zeros.
    pub(super) shown: Vec<u8>,
    /// Fields that name a place, by where they are.
    places: Vec<(usize, Place)>,
}

impl Setup {
    /// Of its bytes; `masks` are ranges of them that do not count.
    pub(super) fn new(
        setup: &[u8],
        masks: &[Range<usize>],
        decompressor: &Decompressor<'_>,
        packed: usize,
        unpacked: u32,
    ) -> Self {
        let mut shown = setup.to_vec();
        for range in masks {
            shown[range.clone()].fill(0);
        }
        let mut places = Vec::new();
        for Named { at, unit, from } in named(setup) {
            let Some(value) = word(setup, at) else { continue };
            let address = (u64::from(value) * unit).checked_sub(from as u64);
            let place = address.and_then(|it| decompressor.place(usize::try_from(it).ok()?));
            if let Some(place) = place {
                shown[at..at + 4].fill(0);
                places.push((at, place));
            }
        }
        if let Some(value) = word(setup, INIT_SIZE)
            && let Some((address, extra)) =
                end_of_memory(value.into(), packed, unpacked, decompressor)
            && let Some(place) = decompressor.place(address)
        {
            shown[INIT_SIZE..INIT_SIZE + 4].copy_from_slice(&extra.to_le_bytes());
            places.push((INIT_SIZE, place));
        }
        Self { shown, places }
    }

    /// Writes it; `masks` as above.
    pub(super) fn write(&self, manifest: &mut Writer, masks: &[Range<usize>]) {
        manifest.number(masks.len() as u64);
        for range in masks {
            manifest.number(range.start as u64);
            manifest.number(range.len() as u64);
        }
        manifest.text(&self.shown);
        self.write_places(manifest);
    }

    /// Writes which places its fields name.
    pub(super) fn write_places(&self, manifest: &mut Writer) {
        manifest.number(self.places.len() as u64);
        for (at, place) in &self.places {
            manifest.number(*at as u64);
            place.write(manifest);
        }
    }
}

/// A field that may name an address.
struct Named {
    at: usize,
    /// In how many bytes it counts.
    unit: u64,
    /// What it counts from, in bytes before the decompressor.
    from: usize,
}

fn named(setup: &[u8]) -> Vec<Named> {
    let plain = |at| Named { at, unit: 1, from: 0 };
    let in_file = |at| Named { at, unit: 1, from: setup.len() };
    let mut all = vec![
        Named { at: SYS_SIZE, unit: 16, from: 0 },
        plain(HANDOVER_OFFSET),
        plain(KERNEL_INFO_OFFSET),
    ];
    let pe = word(setup, PE_OFFSET).map_or(0, |it| it as usize);
    // It lies in front of the set-up header, which begins with the number of sectors.
    if pe == 0 || pe >= 0x1f1 || !setup[pe..].starts_with(PE_MAGIC) {
        return all;
    }
    let short = |at: usize| usize::from(u16::from_le_bytes([setup[at], setup[at + 1]]));
    let optional = pe + PE_OPTIONAL;
    all.extend([plain(optional + PE_CODE), plain(optional + PE_DATA)]);
    all.extend([in_file(optional + PE_ENTRY), in_file(optional + PE_IMAGE_SIZE)]);
    let table = optional + short(pe + PE_OPTIONAL_LENGTH);
    let headers = (0..short(pe + PE_SECTIONS)).map(|index| table + index * SECTION);
    for header in headers.take_while(|it| it + SECTION <= SYS_SIZE) {
        all.extend(SECTION_SIZES.map(|at| plain(header + at)));
        all.extend(SECTION_ADDRESSES.map(|at| in_file(header + at)));
    }
    all
}

/// What `init_size` is made of when the decompressor decides: the end of its memory, which its head
/// knows as well, and what is needed beyond the difference of the packed and the unpacked kernel
/// (header.S: it depends on the unpacked length alone, and has been computed in three ways).
fn end_of_memory(
    init_size: u64,
    packed: usize,
    unpacked: u32,
    decompressor: &Decompressor<'_>,
) -> Option<(usize, u32)> {
    let unpacked = u64::from(unpacked);
    let more = unpacked.checked_sub(packed as u64)?;
    let extras = [
        (unpacked >> 8) + (128 << 10),
        (unpacked >> 8) + (64 << 10),
        (unpacked >> 12) + (64 << 10) + 128,
    ];
    extras.into_iter().zip(1..).find_map(|(extra, way)| {
        let address = init_size.checked_sub((more + extra).next_multiple_of(PAGE))?;
        let found = decompressor.head_leads_to(address);
        found.then_some((usize::try_from(address).ok()?, way))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
