//! The part of `image` that is a flat image: arm64's `Image`, and others that `objcopy -O binary`
//! makes of `vmlinux`.
//!
//! Every byte is either one of the `vmlinux` of the same build, at the place that its physical
//! address gives it, or lies between two sections. The former count in the part that is `vmlinux`,
//! with its masks; the latter count here. If any byte of the `vmlinux` is another one, or is not
//! there, it is another kernel's image, and every byte counts.

use std::ops::Range;

use object::elf as abi;

use crate::signature::elf::{Elf, Section};
use crate::signature::mapping::{ByteSource, stream};
use crate::signature::writer::Writer;

const DOMAIN: &[u8] = b"kiln.signature.image.flat";

/// The hash of a flat image of this `vmlinux`; `None` if it is none.
pub(super) fn hash(
    file: &dyn ByteSource,
    vmlinux: &Elf<'_>,
    source: &dyn ByteSource,
) -> Option<blake3::Hash> {
    let mut sections: Vec<(u64, Range<usize>)> = vmlinux
        .sections
        .iter()
        .filter(|it| it.is_allocated())
        .filter_map(|it| {
            let bytes = it.bytes.clone().filter(|bytes| !bytes.is_empty())?;
            Some((physical_address(vmlinux, it, &bytes), bytes))
        })
        .collect();
    sections.sort_by_key(|(address, _)| *address);
    let base = sections.first()?.0;
    let mut manifest = Writer::new(DOMAIN);
    manifest.number(file.bytes().len() as u64);
    let mut at = 0;
    for (address, bytes) in sections {
        let start = usize::try_from(address - base).ok()?;
        let here = start..start.checked_add(bytes.len())?;
        gap(&mut manifest, file, at..here.start)?;
        if !equal(file, here.clone(), source, bytes) {
            return None;
        }
        at = here.end;
    }
    gap(&mut manifest, file, at..file.bytes().len())?;
    Some(manifest.finish())
}

/// Where `objcopy` puts a section: its address in the segment that holds its bytes.
fn physical_address(vmlinux: &Elf<'_>, section: &Section<'_>, bytes: &Range<usize>) -> u64 {
    let holds = |it: &Range<usize>| it.start <= bytes.start && bytes.end <= it.end;
    let mut loads = vmlinux.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0);
    match loads.find(|it| holds(&it.bytes())) {
        Some(load) => load.physical_address.wrapping_add((bytes.start - load.bytes().start) as u64),
        None => section.address,
    }
}

/// Bytes between sections; `None` if there is no such place.
fn gap(manifest: &mut Writer, file: &dyn ByteSource, range: Range<usize>) -> Option<()> {
    let bytes = file.bytes().get(range.clone())?;
    manifest.number(range.start as u64);
    manifest.text(bytes);
    Some(())
}

/// Whether two ranges of one length hold the same, read in windows.
fn equal(
    file: &dyn ByteSource,
    here: Range<usize>,
    source: &dyn ByteSource,
    there: Range<usize>,
) -> bool {
    if file.bytes().get(here.clone()).is_none() {
        return false;
    }
    let mut equal = true;
    let mut at = here.start;
    stream(source, there, |bytes| {
        equal = equal && file.bytes()[at..at + bytes.len()] == *bytes;
        file.done(at..at + bytes.len());
        at += bytes.len();
    });
    equal
}
