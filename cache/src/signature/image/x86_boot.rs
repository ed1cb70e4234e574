//! The part of `image` that is an x86 boot image: `bzImage`.
//!
//! It is the set-up code, and behind it the decompressor with the compressed kernel inside (Linux,
//! Documentation/x86/boot.rst; arch/x86/boot/compressed/). When the compressed part unpacks to the
//! `vmlinux` of the same build, its bytes are masked; what follows the `vmlinux` in it counts. With
//! it are masked, each of exact length:
//!
//! | mask | what, and how it is found |
//! |---|---|
//! | `boot-version` | release, user, host and time as a text: by the header's pointer, up to its NUL |
//! | `boot-payload` | the compressed part, by the header, and the zeros up to what comes next |
//! | `boot-payload-length` | its length, wherever its four bytes are repeated outside it |
//! | `boot-crc` | the last four bytes, if they are the checksum of all bytes before |
//!
//! The decompressor of a 64-bit kernel then counts as the module [`decompressor`](super::decompressor)
//! sees it: wherever the compressed part pushes it. Fields of the header that say where it is or how
//! large count in the same way (see [`header`](super::header)). The decompressor of a 32-bit kernel
//! counts byte by byte.
//!
//! What lies across the end of the set-up code is none of these. When the compressed part does not
//! unpack to that `vmlinux`, or the decompressor is larger than any real one, nothing is masked and
//! every byte counts.

use std::ops::Range;

use memchr::memmem;

use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;
use crate::signature::masks::{Mask, MaskKind, settle};
use crate::signature::writer::Writer;

use super::decompressor::{Decompressor, Layout};
use super::header::Setup;
use super::masked;
use super::payload::{self, Rest};

const DOMAIN: &[u8] = b"kiln.signature.image.x86-boot";

/// Where fields of the header are (Documentation/x86/boot.rst, "The Real-Mode Kernel Header").
mod field {
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    pub(super) const BOOT_FLAG: usize = 0x1fe;
    pub(super) const MAGIC: usize = 0x202;
    pub(super) const PROTOCOL: usize = 0x206;
    pub(super) const VERSION_TEXT: usize = 0x20e;
    pub(super) const LOAD_FLAGS: usize = 0x236;
    pub(super) const PAYLOAD_OFFSET: usize = 0x248;
    pub(super) const PAYLOAD_LENGTH: usize = 0x24c;
}

/// The load flag of a kernel with a 64-bit entry.
const IS_64: u8 = 1;
const SECTOR: usize = 512;
/// The first protocol that says where the compressed part is.
const OLDEST_PROTOCOL: u16 = 0x208;
/// A longer text is none.
const LONGEST_VERSION: usize = 1024;
/// The linker aligns what follows the compressed part to a page at most.
const PAGE: usize = 4096;
/// The length is repeated in the header and once or twice in the decompressor.
const MOST_LENGTHS: usize = 8;
/// A larger decompressor is not taken apart, which takes some 30 times its size of memory. Real ones
/// have some hundred kilobytes.
const LARGEST: usize = 4 << 20;

/// The hash of a boot image of this `vmlinux`; `None` if it is no x86 boot image, or one of another
/// kernel.
pub(super) fn hash(
    file: &dyn ByteSource,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Option<blake3::Hash> {
    let bytes = file.bytes();
    let (masks, rest) = masks_of(file, vmlinux, source)?;
    let mut manifest = Writer::new(DOMAIN);
    if is_64(bytes) {
        manifest.text(b"64");
        let Apart { setup, decompressor } = apart(bytes, &masks)?;
        setup.0.write(&mut manifest, &setup.1);
        decompressor.0.write(&mut manifest, &decompressor.1);
    } else {
        manifest.number(bytes.len() as u64);
        masked::write(&mut manifest, file, &(0..bytes.len()), &masks);
    }
    manifest.number(rest.length);
    manifest.hash(&rest.hash);
    Some(manifest.finish())
}

/// The two parts of a boot image that are code, each as if it had not moved; with each what of it does
/// not count.
struct Apart<'a> {
    setup: (Setup, Vec<Range<usize>>),
    decompressor: (Decompressor<'a>, Vec<Range<usize>>),
}

/// Takes a boot image with a 64-bit entry apart.
fn apart<'a>(bytes: &'a [u8], masks: &[Mask]) -> Option<Apart<'a>> {
    let (start, layout) = layout(bytes, masks)?;
    let packed = layout.payload.clone();
    let hidden = |it: &&Mask| !matches!(it.kind, MaskKind::BootPayload | MaskKind::BootCrc);
    let hidden = masks.iter().filter(hidden).map(|it| it.range.clone());
    let (setup, rest): (Vec<_>, Vec<_>) = hidden.partition(|it| it.end <= start);
    // (None lies across: see `masks_of`.)
    let shift = |range: Range<usize>| Some(range.start.checked_sub(start)?..range.end - start);
    let rest: Vec<_> = rest.into_iter().map(shift).collect::<Option<_>>()?;
    let decompressor = Decompressor::new(&bytes[start..], layout, &rest);
    let unpacked = u32::from_le_bytes(number(bytes, start + packed.end - 4)?);
    let seen = Setup::new(&bytes[..start], &setup, &decompressor, packed.len(), unpacked);
    Some(Apart { setup: (seen, setup), decompressor: (decompressor, rest) })
}

/// What a boot image has of its own, beside the `vmlinux` that is packed in it: as `image` sees it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) setup: Code,
    pub(crate) decompressor: Code,
    /// Of the addresses in the kernel to change when it is moved.
    pub(crate) relocations: blake3::Hash,
    /// What masks hide that is said of the packed kernel: its version, and its length where that is
    /// repeated.
    pub(crate) said: Vec<u8>,
}

/// Code of a boot image.
#[derive(Debug)]
pub(crate) struct Code {
    /// Its bytes, with what does not count as zeros or ones.
    pub(crate) shown: Vec<u8>,
    /// Of where its fields lead.
    pub(crate) leads: blake3::Hash,
    /// Its bytes as they are in the file, but for those that a mask hides.
    pub(crate) bytes: Vec<u8>,
}

impl Code {
    /// Whether `image` sees the same of both, wherever each lies.
    pub(crate) fn counts_as(&self, other: &Self) -> bool {
        self.shown == other.shown && self.leads == other.leads
    }
}

/// The own code of a boot image of this `vmlinux`; `None` if it is no x86 boot image, or one of another
/// kernel. What counts as the same in both means equal hashes of [`hash`].
pub(crate) fn own_of(
    file: &dyn ByteSource,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Option<Own> {
    let bytes = file.bytes();
    let (masks, rest) = masks_of(file, vmlinux, source)?;
    let start = setup_length(bytes)?;
    let code = |range: Range<usize>, shown: Vec<u8>, write: &dyn Fn(&mut Writer)| {
        let mut leads = Writer::new(DOMAIN);
        write(&mut leads);
        Code { shown, leads: leads.finish(), bytes: between_masks(bytes, range, &masks) }
    };
    let (before, behind) = (0..start, start..bytes.len());
    let (setup, decompressor) = if is_64(bytes) {
        let Apart { setup: (setup, of_setup), decompressor: (decompressor, of_rest) } =
            apart(bytes, &masks)?;
        let borders = |leads: &mut Writer| {
            setup.write_places(leads);
            for mask in &of_setup {
                leads.number(mask.start as u64);
                leads.number(mask.end as u64);
            }
        };
        let decompressor = code(behind, decompressor.shown(&of_rest), &|leads| {
            decompressor.write_places(leads, &of_rest);
        });
        (code(before, setup.shown.clone(), &borders), decompressor)
    } else {
        let mut shown = bytes.to_vec();
        masks.iter().for_each(|it| shown[it.range.clone()].fill(0));
        let write = |mask: &Mask, leads: &mut Writer| {
            leads.number(mask.range.start as u64);
            leads.number(mask.range.end as u64);
        };
        let is_setup = |it: &&Mask| it.range.end <= start;
        let (setup, decompressor): (Vec<_>, Vec<_>) = masks.iter().partition(is_setup);
        let rest = shown.split_off(start);
        let all =
            |masks: &[&Mask], leads: &mut Writer| masks.iter().for_each(|it| write(it, leads));
        let setup = code(before, shown, &|it| all(&setup, it));
        (setup, code(behind, rest, &|it| all(&decompressor, it)))
    };
    let mut relocations = Writer::new(DOMAIN);
    relocations.number(rest.length);
    relocations.hash(&rest.hash);
    let is_said =
        |it: &&Mask| matches!(it.kind, MaskKind::BootVersion | MaskKind::BootPayloadLength);
    let said = masks.iter().filter(is_said).flat_map(|it| &bytes[it.range.clone()]);
    let said = said.copied().collect();
    Some(Own { setup, decompressor, relocations: relocations.finish(), said })
}

/// The bytes of a range that none of the masks, which are in order, hides.
fn between_masks(bytes: &[u8], range: Range<usize>, masks: &[Mask]) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut at = range.start;
    for mask in masks.iter().map(|it| &it.range) {
        seen.extend(bytes.get(at..mask.start.min(range.end)).unwrap_or(&[]));
        at = at.max(mask.end);
    }
    seen.extend(bytes.get(at..range.end).unwrap_or(&[]));
    seen
}

/// Where the decompressor begins, and its parts; `None` if it can't be taken apart.
fn layout(bytes: &[u8], masks: &[Mask]) -> Option<(usize, Layout)> {
    let payload = payload_of(bytes)?;
    let start = setup_length(bytes)?;
    let of_kind = |kind| masks.iter().find(move |it| it.kind == kind).map(|it| it.range.clone());
    let end = of_kind(MaskKind::BootCrc).map_or(bytes.len(), |it| it.start);
    let room_end = of_kind(MaskKind::BootPayload).map_or(payload.end, |it| it.end);
    let (head, rest) = (payload.start.checked_sub(start)?, end.checked_sub(room_end)?);
    let payload = head..payload.end - start;
    let layout = Layout { payload, room_end: room_end - start, end: end - start };
    (head.saturating_add(rest) <= LARGEST).then_some((start, layout))
}

/// What is masked in a boot image of this `vmlinux`, and what it holds behind the kernel.
pub(super) fn masks_of(
    file: &dyn ByteSource,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Option<(Vec<Mask>, Rest)> {
    let bytes = file.bytes();
    let payload = payload_of(bytes)?;
    let border = setup_length(bytes)?;
    let mut masks = lengths(bytes, &payload);
    masks.extend(version(bytes, border));
    masks.extend(checksum(bytes, &payload));
    masks.push(Mask { kind: MaskKind::BootPayload, range: payload.start..room(bytes, &payload) });
    masks.retain(|it| it.range.end <= border || border <= it.range.start);
    let masks = settle(masks);
    if is_64(bytes) {
        layout(bytes, &masks)?;
    }
    let rest = payload::rest(&bytes[payload], vmlinux, source)?;
    Some((masks, rest))
}

/// Whether it has a 64-bit entry.
fn is_64(bytes: &[u8]) -> bool {
    number(bytes, field::LOAD_FLAGS).is_some_and(|[flags]| flags & IS_64 != 0)
}

fn number<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Length of the set-up code in bytes: the decompressor begins behind it.
fn setup_length(bytes: &[u8]) -> Option<usize> {
    let [sectors] = number(bytes, field::SETUP_SECTORS)?;
    let sectors = if sectors == 0 { 4 } else { usize::from(sectors) };
    Some((sectors + 1) * SECTOR)
}

/// Where the compressed part is in a boot image.
pub(crate) fn payload_of(bytes: &[u8]) -> Option<Range<usize>> {
    let is_boot_image = number(bytes, field::BOOT_FLAG)? == [0x55, 0xaa]
        && number(bytes, field::MAGIC)? == *b"HdrS";
    let protocol = u16::from_le_bytes(number(bytes, field::PROTOCOL)?);
    if !is_boot_image || protocol < OLDEST_PROTOCOL {
        return None;
    }
    let offset = u32::from_le_bytes(number(bytes, field::PAYLOAD_OFFSET)?);
    let length = u32::from_le_bytes(number(bytes, field::PAYLOAD_LENGTH)?);
    let start = setup_length(bytes)?.checked_add(offset as usize)?;
    let end = start.checked_add(length as usize)?;
    (end <= bytes.len() && length > 0).then_some(start..end)
}

/// The end of the zeros behind the compressed part.
fn room(bytes: &[u8], payload: &Range<usize>) -> usize {
    let after = &bytes[payload.end..bytes.len().min(payload.end + PAGE)];
    payload.end + after.iter().position(|&byte| byte != 0).unwrap_or(0)
}

/// The text of the version, which lies in the set-up code: before `end`.
fn version(bytes: &[u8], end: usize) -> Option<Mask> {
    // The pointer does not count the first sector, which old boot loaders left out.
    let start = SECTOR + usize::from(u16::from_le_bytes(number(bytes, field::VERSION_TEXT)?));
    let text = bytes.get(start..end.min(start + LONGEST_VERSION))?;
    let length = memchr::memchr(0, text)?;
    Some(Mask { kind: MaskKind::BootVersion, range: start..start + length })
}

/// Where the length of the compressed part is repeated; none if too often to be that.
fn lengths(bytes: &[u8], payload: &Range<usize>) -> Vec<Mask> {
    let Ok(length) = u32::try_from(payload.len()) else { return Vec::new() };
    let pattern = length.to_le_bytes();
    let outside = [0..payload.start, payload.end..bytes.len()];
    let found = outside.into_iter().flat_map(|range| {
        let start = range.start;
        let places = memmem::find_iter(&bytes[range], &pattern).take(MOST_LENGTHS + 1);
        places.map(move |at| start + at).collect::<Vec<_>>()
    });
    let kind = MaskKind::BootPayloadLength;
    let masks: Vec<_> = found
        .take(MOST_LENGTHS + 1)
        .map(|at| Mask { kind, range: at..at + pattern.len() })
        .collect();
    if masks.len() > MOST_LENGTHS { Vec::new() } else { masks }
}

/// The checksum at the end: CRC-32 without the last inversion (Linux, arch/x86/boot/tools/build.c,
/// up to 6.15).
fn checksum(bytes: &[u8], payload: &Range<usize>) -> Option<Mask> {
    let (before, last) = bytes.split_last_chunk()?;
    let expected = u32::from_le_bytes(*last);
    let range = before.len()..bytes.len();
    let fits = range.start >= payload.end && !crc32fast::hash(before) == expected;
    fits.then_some(Mask { kind: MaskKind::BootCrc, range })
}
