//! The `image` signature, version 1: Kiln's name of a kernel image.
//!
//! It is the BLAKE3 hash of a manifest of everything that a `vmlinux` loads into memory:
//!
//! 1. the text `kiln.signature.image` and the version;
//! 2. class, byte order, type, machine, flags and entry of the ELF header;
//! 3. of each PT_LOAD, in file order: virtual and physical address, size in the file and in memory,
//!    flags, alignment;
//! 4. of each allocated section, by address: name, type, flags, address, size, alignment; for one
//!    with bytes its masks (kind, offset in the section, length) and the BLAKE3 hash of its bytes,
//!    masked ones counted as zero.
//!
//! Numbers are little-endian, 64 bits; texts are preceded by their length. So order, names and
//! sizes can't be traded for each other, and a masked byte differs from a zero that is real.
//! The masks are those of the module `masks`. Sections in the file but not in memory (debug
//! information, symbols, relocations kept by `--emit-relocs`) do not count, nor does any offset in
//! the file.
//!
//! What version 1 does not see, because `vmlinux` does not hold it: the x86 set-up code and
//! decompressor of `bzImage`, what is done to the image after linking (arm64's `Image` is a plain
//! copy, others are not), modules, and files that the boot loader adds. Two kernels that differ
//! only there get one name, so evidence is shared on `content`, which covers them too. What it keeps apart without need: builds that differ in how long a
//! masked text is, in contents without a mask (an embedded configuration, certificates, an
//! initramfs with times), or in a mask that could not be located, as in a stripped file.

use std::ops::Range;

use object::elf as abi;

use crate::digest::Digest;

use super::ElfError;
use super::elf::{Elf, Section};
use super::mapping::{ByteSource, stream};
use super::masks::{self, Mask};

/// Version of this definition.
pub(crate) const VERSION: u32 = 1;

const DOMAIN: &[u8] = b"kiln.signature.image";

/// The signature of a file that `elf` was read from.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Digest, ElfError> {
    if elf.file_type == abi::ET_REL.0 {
        return Err(ElfError::NotLinked);
    }
    let mut sections: Vec<&Section<'_>> =
        elf.sections.iter().filter(|it| it.is_allocated()).collect();
    if !sections.iter().any(|it| it.bytes.as_ref().is_some_and(|bytes| !bytes.is_empty())) {
        return Err(ElfError::NothingAllocated);
    }
    // Empty sections share their address with a neighbour; the order of headers breaks the tie.
    sections.sort_by_key(|it| (it.address, it.size));
    let masks = masks::locate(elf, source)?;

    let mut manifest = Manifest::new();
    manifest.header(elf);
    let loads = || elf.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0);
    manifest.number(loads().count() as u64);
    for load in loads() {
        manifest.number(load.virtual_address);
        manifest.number(load.physical_address);
        manifest.number(load.file_size);
        manifest.number(load.memory_size);
        manifest.number(load.flags.into());
        manifest.number(load.align);
    }
    manifest.number(sections.len() as u64);
    for section in sections {
        manifest.section(section, &masks, source);
    }
    Ok(manifest.finish())
}

/// The hash of the manifest, fed as it is written.
struct Manifest(blake3::Hasher);

impl Manifest {
    fn new() -> Self {
        let mut manifest = Self(blake3::Hasher::new());
        manifest.text(DOMAIN);
        manifest.number(VERSION.into());
        manifest
    }

    fn number(&mut self, value: u64) {
        self.0.update(&value.to_le_bytes());
    }

    fn text(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.update(value);
    }

    fn header(&mut self, elf: &Elf<'_>) {
        self.number(elf.is_64.into());
        self.number(elf.big_endian.into());
        self.number(elf.file_type.into());
        self.number(elf.machine.into());
        self.number(elf.flags.into());
        self.number(elf.entry);
    }

    fn section(&mut self, section: &Section<'_>, masks: &[Mask], source: &dyn ByteSource) {
        self.text(section.name);
        self.number(section.kind.into());
        self.number(section.flags);
        self.number(section.address);
        self.number(section.size);
        self.number(section.align);
        let Some(bytes) = &section.bytes else {
            self.number(0);
            return;
        };
        self.number(1);
        let masks = inside(masks, bytes);
        self.number(masks.len() as u64);
        for mask in masks {
            self.text(mask.kind.tag().as_bytes());
            self.number((mask.range.start - bytes.start) as u64);
            self.number(mask.range.len() as u64);
        }
        self.0.update(masked_hash(source, bytes.clone(), masks).as_bytes());
    }

    fn finish(self) -> Digest {
        Digest::from(self.0.finalize())
    }
}

/// The masks, sorted and disjoint, that lie wholly inside a range.
fn inside<'masks>(masks: &'masks [Mask], range: &Range<usize>) -> &'masks [Mask] {
    let first = masks.partition_point(|it| it.range.start < range.start);
    let end = masks.partition_point(|it| it.range.end <= range.end);
    masks.get(first..end).unwrap_or_default()
}

/// Hashes a range with its masks counted as zeros; the masks are sorted, disjoint and inside.
fn masked_hash(source: &dyn ByteSource, range: Range<usize>, masks: &[Mask]) -> blake3::Hash {
    const ZEROS: [u8; 256] = [0; 256];
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
