//! Hashes of bytes some of which are masked.

use std::ops::Range;

use crate::signature::mapping::{ByteSource, stream};
use crate::signature::masks::Mask;

use crate::signature::writer::Writer;

/// Writes the masks that lie wholly inside a range (kind, offset in the range, length), and the
/// hash of the range with masked bytes counted as zeros. `masks` are sorted and disjoint.
pub(super) fn write(
    writer: &mut Writer,
    source: &dyn ByteSource,
    range: &Range<usize>,
    masks: &[Mask],
) {
    let masks = inside(masks, range);
    writer.number(masks.len() as u64);
    for mask in masks {
        writer.text(mask.kind.tag().as_bytes());
        writer.number((mask.range.start - range.start) as u64);
        writer.number(mask.range.len() as u64);
    }
    writer.hash(&hash(source, range.clone(), masks));
}

/// The masks, sorted and disjoint, that lie wholly inside a range.
fn inside<'masks>(masks: &'masks [Mask], range: &Range<usize>) -> &'masks [Mask] {
    let first = masks.partition_point(|it| it.range.start < range.start);
    let end = masks.partition_point(|it| it.range.end <= range.end);
    masks.get(first..end).unwrap_or_default()
}

/// Hashes a range with its masks counted as zeros; the masks are sorted, disjoint and inside.
fn hash(source: &dyn ByteSource, range: Range<usize>, masks: &[Mask]) -> blake3::Hash {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut hasher = blake3::Hasher::new();
    let mut at = range.start;
    for mask in masks {
        stream(source, at..mask.range.start, |bytes| _ = hasher.update_rayon(bytes));
        let mut hidden = mask.range.len();
        while hidden > 0 {
            let now = hidden.min(ZEROS.len());
            hasher.update(&ZEROS[..now]);
            hidden -= now;
        }
        at = mask.range.end;
    }
    stream(source, at..range.end, |bytes| _ = hasher.update_rayon(bytes));
    hasher.finalize()
}
