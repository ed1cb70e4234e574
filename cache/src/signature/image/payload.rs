//! The compressed part of an x86 boot image: is it the `vmlinux` of the same build?
//!
//! It is `vmlinux` without symbols and debug information, an ELF file, and behind it, where the
//! kernel can be moved, the addresses to change then (Linux, arch/x86/boot/compressed/Makefile).
//! The decompressor loads the segments of that file and runs it (`parse_elf` in misc.c), so it is
//! the `vmlinux` when entry and segments are equal, the bytes of each included.

use std::io::Read;
use std::ops::Range;

use object::Endianness;
use object::elf as abi;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::signature::elf::{Elf, Segment};
use crate::signature::mapping::ByteSource;

/// The head of the unpacked file that its headers must lie in, in bytes.
const HEAD: usize = 4096;
/// How much is unpacked at a time, in bytes.
const WINDOW: usize = 1 << 20;
/// What needs more memory to unpack than this is not unpacked.
const MEMORY: u64 = 256 << 20;
/// How much more than twice the `vmlinux` may be unpacked, in bytes: what linkers leave free between
/// segments of the file. (An address to change is four bytes, and stands for four bytes at least.)
const FREE: u64 = 16 << 20;

/// What follows the `vmlinux` in a compressed part: the addresses of what to change when the
/// kernel is moved.
pub(super) struct Rest {
    pub(super) length: u64,
    pub(super) hash: blake3::Hash,
}

/// What a compressed part holds besides this `vmlinux`; `None` if it holds another one, or can't
/// be unpacked.
pub(super) fn rest(packed: &[u8], vmlinux: &Elf<'_>, source: &dyn ByteSource) -> Option<Rest> {
    // The size is there for decompressors that can't tell it beforehand.
    let size = packed.last_chunk().map(|it| u32::from_le_bytes(*it))?;
    compare(open(packed)?, size.into(), vmlinux, source)
}

/// The same of what is unpacked, of which so many bytes are promised. Not read much further than that:
/// a few bytes can be unpacked for days.
fn compare(
    mut unpacked: impl Read,
    size: u64,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Option<Rest> {
    if size > 2 * vmlinux.data.len() as u64 + FREE {
        return None;
    }
    let mut head = Vec::with_capacity(HEAD);
    unpacked.by_ref().take(HEAD as u64).read_to_end(&mut head).ok()?;
    let layout = match vmlinux.is_64 {
        true => layout::<abi::FileHeader64<Endianness>>(&head, vmlinux),
        false => layout::<abi::FileHeader32<Endianness>>(&head, vmlinux),
    }?;
    let rest = blake3::Hasher::new();
    let mut check = Check { layout, vmlinux, source, size, at: 0, rest };
    let mut window = head;
    loop {
        check.take(&window)?;
        window.clear();
        if unpacked.by_ref().take(WINDOW as u64).read_to_end(&mut window).ok()? == 0 {
            break;
        }
    }
    check.finish()
}

/// Unpacks a compressed part. Formats: Linux, lib/decompress.c.
fn open(packed: &[u8]) -> Option<Box<dyn Read + '_>> {
    Some(match packed {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::GzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::Decoder::with_buffer(packed).ok()?.single_frame())
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, 0).ok()?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        [0x5d, 0, 0, ..] => {
            let stream = liblzma::stream::Stream::new_lzma_decoder(MEMORY).ok()?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        _ => return None,
    })
}

/// Where the segments of the unpacked file are, and where the file ends.
struct Layout {
    /// In the unpacked file, in the order of the program headers.
    segments: Vec<Range<u64>>,
    end: u64,
}

/// The layout of an unpacked file that loads what `vmlinux` loads.
fn layout<H: FileHeader<Endian = Endianness>>(head: &[u8], vmlinux: &Elf<'_>) -> Option<Layout> {
    if head.len() < size_of::<H>() {
        return None;
    }
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let equal = header.is_type_64() == vmlinux.is_64
        && header.is_big_endian() == vmlinux.big_endian
        && header.e_type(endian).0 == vmlinux.file_type
        && header.e_machine(endian).0 == vmlinux.machine
        && header.e_entry(endian).into() == vmlinux.entry;
    let headers = header.program_headers(endian, head).ok()?;
    let loads = headers.iter().filter(|it| it.p_type(endian) == abi::PT_LOAD);
    let segments: Vec<Segment> = loads.map(|it| Segment::of(it, endian)).collect();
    if !equal
        || segments.is_empty()
        || !segments.iter().map(Segment::tuple).eq(loads_of(vmlinux).map(Segment::tuple))
    {
        return None;
    }
    let segments: Vec<_> =
        segments.iter().map(|it| it.offset..it.offset.saturating_add(it.file_size)).collect();
    // Section headers come last: what is behind them is not part of the file.
    let table = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let table = header.e_shoff(endian).into().saturating_add(table);
    let end = segments.iter().map(|it| it.end).chain([table]).max()?;
    Some(Layout { segments, end })
}

fn loads_of<'elf>(vmlinux: &'elf Elf<'_>) -> impl Iterator<Item = &'elf Segment> {
    vmlinux.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0)
}

/// Compares an unpacked file with a `vmlinux` as it comes.
struct Check<'a, 'data> {
    layout: Layout,
    vmlinux: &'a Elf<'data>,
    source: &'a dyn ByteSource,
    /// How much there should be, in bytes.
    size: u64,
    /// How much was taken.
    at: u64,
    rest: blake3::Hasher,
}

impl Check<'_, '_> {
    /// The next bytes; `None` when they are not those of the `vmlinux`, or too many.
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let here = self.at..self.at + bytes.len() as u64;
        if here.end > self.size {
            return None;
        }
        let within = |range: &Range<u64>| {
            let (start, end) = (range.start.max(here.start), range.end.min(here.end));
            // Positions inside `bytes`, so they fit.
            (start < end).then(|| (start - here.start) as usize..(end - here.start) as usize)
        };
        for (segment, place) in loads_of(self.vmlinux).zip(&self.layout.segments) {
            let Some(part) = within(place) else { continue };
            let skipped = (here.start + part.start as u64 - place.start) as usize;
            let start = segment.bytes().start + skipped;
            let original = start..start + part.len();
            if self.vmlinux.data.get(original.clone())? != &bytes[part] {
                return None;
            }
            self.source.done(original);
        }
        if let Some(part) = within(&(self.layout.end..u64::MAX)) {
            self.rest.update(&bytes[part]);
        }
        self.at = here.end;
        Some(())
    }

    fn finish(self) -> Option<Rest> {
        let length = self.at.checked_sub(self.layout.end)?;
        (self.at == self.size).then(|| Rest { length, hash: self.rest.finalize() })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};

    #[test]
    fn what_is_more_than_was_promised_is_not_unpacked() {
        let file = TestElf::new().section(".text", PROGBITS, ALLOC, vec![7; 5000]).build();
        let vmlinux = Elf::parse(&file).unwrap();
        let compared = |unpacked: &mut dyn Read, size: usize| {
            compare(unpacked, size as u64, &vmlinux, &&file[..]).map(|rest| rest.length)
        };
        let length = file.len();
        assert_eq!(compared(&mut &file[..], length), Some(0));
        assert_eq!(compared(&mut (&file[..]).chain(&[1_u8; 12][..]), length + 12), Some(12));
        assert_eq!(compared(&mut &file[..], length + 1), None);
        assert_eq!(compared(&mut &file[..], length - 1), None);
        // These have no end.
        assert_eq!(compared(&mut (&file[..]).chain(io::repeat(0)), length), None);
        assert_eq!(compared(&mut (&file[..]).chain(io::repeat(0)), u32::MAX as usize), None);
    }
}
