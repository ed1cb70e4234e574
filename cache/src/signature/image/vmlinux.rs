//! The part of `image` that is the `vmlinux`: everything that it loads into memory.
//!
//! It is the BLAKE3 hash of a manifest:
//!
//! 1. the text `kiln.signature.image.vmlinux`;
//! 2. class, byte order, type, machine, flags and entry of the ELF header;
//! 3. of each PT_LOAD, in file order: virtual and physical address, size in the file and in memory,
//!    flags, alignment;
//! 4. of each allocated section, by address: name, type, flags, address, size, alignment; for one
//!    with bytes its masks (kind, offset in the section, length) and the BLAKE3 hash of its bytes,
//!    masked ones counted as zero;
//! 5. if a PT_LOAD has bytes that are not zero outside of every allocated section: how many such
//!    ranges there are (perhaps none, before 6), and of each the virtual address, length, and BLAKE3
//!    hash;
//! 6. if a PT_LOAD meets a section, in memory or in the file, and takes the bytes of its address from
//!    elsewhere in the file: how many such pairs there are, and of each the number of the PT_LOAD, the
//!    section's address, and the one that the PT_LOAD puts its bytes at.
//!
//! Ranges of zeroes in 5 count by what surrounds them: with equal segments and sections, one that is
//! gone can only have got other bytes, or come from elsewhere, and so is told in 5 or 6. Linkers make
//! neither, so names from before those were there are the names still, and the version is too. The
//! tables that come before 5 say their lengths; nothing can be taken for it.
//!
//! The masks are those of the module `masks`. Sections in the file but not in memory (debug
//! information, symbols, relocations kept by `--emit-relocs`) do not count, nor does any offset in
//! the file. What it keeps apart without need: builds that differ in how long a masked text is, or
//! in a mask that could not be located, as in a stripped file.

use object::elf as abi;

use crate::signature::ElfError;
use crate::signature::elf::{Elf, Section};
use crate::signature::mapping::ByteSource;
use crate::signature::masks::{self, Mask};
use crate::signature::writer::Writer;

use super::gaps;
use super::masked;

const DOMAIN: &[u8] = b"kiln.signature.image.vmlinux";
const LAYOUT: &[u8] = b"kiln.signature.image.vmlinux.layout";

/// The hash of a file that `elf` was read from.
pub(super) fn hash(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<blake3::Hash, ElfError> {
    if elf.file_type == abi::ET_REL.0 {
        return Err(ElfError::NotLinked);
    }
    let sections = allocated(elf);
    if !sections.iter().any(|it| it.bytes.as_ref().is_some_and(|bytes| !bytes.is_empty())) {
        return Err(ElfError::NothingAllocated);
    }
    let masks = masks::locate(elf, source)?;

    let mut manifest = Writer::new(DOMAIN);
    header(&mut manifest, elf);
    manifest.number(sections.len() as u64);
    for it in sections {
        section(&mut manifest, it, &masks, source);
    }
    gaps::write(&mut manifest, elf, source);
    Ok(manifest.finish())
}

/// How the names of sections begin that describe types (`.BTF`, `.BTF_ids`). They are made of debug
/// information once `vmlinux.o` is linked (Linux, scripts/link-vmlinux.sh), and decide what the BPF
/// verifier lets pass.
const TYPES: &[u8] = b".BTF";

/// The same without the bytes of what is linked: what is where, and how large; and types.
pub(crate) fn layout(elf: &Elf<'_>, source: &dyn ByteSource) -> blake3::Hash {
    let mut manifest = Writer::new(LAYOUT);
    header(&mut manifest, elf);
    for it in allocated(elf) {
        match it.name.starts_with(TYPES) {
            true => section(&mut manifest, it, &[], source),
            false => place(&mut manifest, it),
        }
    }
    manifest.finish()
}

/// The allocated sections by address.
fn allocated<'elf, 'data>(elf: &'elf Elf<'data>) -> Vec<&'elf Section<'data>> {
    let mut sections: Vec<_> = elf.sections.iter().filter(|it| it.is_allocated()).collect();
    // Empty sections share their address with a neighbour; the order of headers breaks the tie.
    sections.sort_by_key(|it| (it.address, it.size));
    sections
}

/// What the ELF header says, and each PT_LOAD.
fn header(manifest: &mut Writer, elf: &Elf<'_>) {
    manifest.number(elf.is_64.into());
    manifest.number(elf.big_endian.into());
    manifest.number(elf.file_type.into());
    manifest.number(elf.machine.into());
    manifest.number(elf.flags.into());
    manifest.number(elf.entry);
    let loads = || elf.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0);
    manifest.number(loads().count() as u64);
    for load in loads() {
        for number in load.tuple() {
            manifest.number(number);
        }
    }
}

fn section(manifest: &mut Writer, section: &Section<'_>, masks: &[Mask], source: &dyn ByteSource) {
    place(manifest, section);
    match &section.bytes {
        None => manifest.number(0),
        Some(bytes) => {
            manifest.number(1);
            masked::write(manifest, source, bytes, masks);
        }
    }
}

/// All that is said of a section but its bytes.
fn place(manifest: &mut Writer, section: &Section<'_>) {
    manifest.text(section.name);
    manifest.number(section.kind.into());
    manifest.number(section.flags);
    manifest.number(section.address);
    manifest.number(section.size);
    manifest.number(section.align);
}
