//! What a kernel loads otherwise than its sections say.
//!
//! A loader goes by segments. A segment may hold more than its sections: padding, which linkers make
//! of zeroes, or whatever somebody put there. And it may take its bytes from elsewhere in the file
//! than the sections at its addresses do, which no linker does.

use std::ops::Range;

use object::elf as abi;

use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, stream};

use crate::signature::writer::Writer;

/// A part of a PT_LOAD that lies in no allocated section, with a byte that is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Virtual address of its first byte.
    pub(crate) address: u64,
    /// Where it is in the file.
    pub(crate) bytes: Range<usize>,
}

/// All of them, by segment and place. The file's own headers, where a segment spans them, are none:
/// they count by their fields.
pub(crate) fn gaps(elf: &Elf<'_>) -> Vec<Gap> {
    let sections = elf.sections.iter().filter(|it| it.is_allocated());
    let mut known: Vec<Range<usize>> = sections.filter_map(|it| it.bytes.clone()).collect();
    known.extend(elf.headers.iter().cloned());
    known.retain(|it| !it.is_empty());
    known.sort_by_key(|it| it.start);
    let mut gaps = Vec::new();
    for segment in elf.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0) {
        let whole = segment.bytes();
        let mut at = whole.start;
        // The end of the segment closes the last gap.
        let ends = whole.end..whole.end;
        for next in known.iter().chain([&ends]) {
            let bytes = at..next.start.min(whole.end);
            if !bytes.is_empty() && elf.data[bytes.clone()].iter().any(|&byte| byte != 0) {
                let offset = (bytes.start - whole.start) as u64;
                let address = segment.virtual_address.wrapping_add(offset);
                gaps.push(Gap { address, bytes });
            }
            at = at.max(next.end);
        }
    }
    gaps
}

/// A section that a PT_LOAD meets, in memory or in the file, and would put elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Displaced {
    /// Which PT_LOAD, in file order.
    segment: u64,
    /// Where the section says that it is.
    address: u64,
    /// Where the segment puts its bytes.
    loaded: u64,
}

/// All of them, by segment. In a file that was made for it there are too many to be kept.
fn displaced(elf: &Elf<'_>) -> impl Iterator<Item = Displaced> {
    let loads = elf.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0);
    loads.enumerate().flat_map(move |(number, segment)| {
        let whole = segment.bytes();
        let sections = elf.sections.iter().filter(|it| it.is_allocated());
        sections.filter_map(move |section| {
            let bytes = section.bytes.as_ref().filter(|it| !it.is_empty())?;
            let in_memory = section.address.wrapping_sub(segment.virtual_address);
            let shares_memory = in_memory < segment.file_size;
            let shares_bytes = bytes.start < whole.end && whole.start < bytes.end;
            let loaded = segment
                .virtual_address
                .wrapping_add((bytes.start as u64).wrapping_sub(whole.start as u64));
            let is_one = (shares_memory || shares_bytes) && loaded != section.address;
            let (segment, address) = (number as u64, section.address);
            is_one.then_some(Displaced { segment, address, loaded })
        })
    })
}

/// Writes the number of gaps, and address, length and hash of each; then the same of displaced
/// sections, if there are any: segment, address, and the address that the segment puts them at.
/// Nothing if there are neither.
pub(super) fn write(manifest: &mut Writer, elf: &Elf<'_>, source: &dyn ByteSource) {
    let (gaps, count) = (gaps(elf), displaced(elf).count());
    if gaps.is_empty() && count == 0 {
        return;
    }
    manifest.number(gaps.len() as u64);
    for gap in gaps {
        let mut hasher = blake3::Hasher::new();
        manifest.number(gap.address);
        manifest.number(gap.bytes.len() as u64);
        stream(source, gap.bytes, |bytes| _ = hasher.update(bytes));
        manifest.hash(&hasher.finalize());
    }
    if count == 0 {
        return;
    }
    manifest.number(count as u64);
    for Displaced { segment, address, loaded } in displaced(elf) {
        manifest.number(segment);
        manifest.number(address);
        manifest.number(loaded);
    }
}
