//! Bytes that a kernel loads although no section has them.
//!
//! A loader goes by segments, and a segment may hold more than its sections: padding, which linkers
//! make of zeroes, or whatever somebody put there.

use std::ops::Range;

use object::elf as abi;

use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, stream};

use super::writer::Writer;

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

/// Writes their number, and address, length and hash of each; nothing if there is none.
pub(super) fn write(manifest: &mut Writer, elf: &Elf<'_>, source: &dyn ByteSource) {
    let gaps = gaps(elf);
    if gaps.is_empty() {
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
}
