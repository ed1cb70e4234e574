//! The `code` signature, version 3: what a kernel's sources compile to, wherever it is placed.
//!
//! It is made from `vmlinux.o`, the kernel before linking, and stays the same when comments or
//! blank lines move code to other line numbers. Two builds with one `code` do the same; they may
//! differ in line numbers that are printed, and in what is listed below as not seen.
//!
//! It is the BLAKE3 hash of
//!
//! 1. the text `kiln.signature.code` and the version;
//! 2. machine and flags of the ELF header;
//! 3. of each section that counts, in file order: name, type, flags, size, alignment, its masks
//!    (kind, offset, length), and two BLAKE3 hashes:
//!    - of its bytes, fields of relocations and masks counted as zero. A field is only the bits
//!      that the linker writes: of an arm64 branch, its 26 bits;
//!    - of its relocations by offset: offset, type, addend and target. A target in this file is
//!      the number of its section among those that count and the offset there; one elsewhere is its
//!      name. So a call of `fa` differs from one of `fb` although the bytes are equal;
//! 4. of each function, data object and global symbol in these sections, by place: section,
//!    offset, size, type, binding, name. Names are in crash titles, so a function's new name is a
//!    change.
//!
//! Numbers are little-endian, 64 bits; texts are preceded by their length.
//!
//! Sections that count are those that the kernel loads, but for what is computed from the others
//! (`left_out`). Digits in the names of local data, and of the labels of initcalls, do not count:
//! they are `__LINE__` and `__COUNTER__` (`names`). Masked are (`masks`): the line of each
//! `__bug_table` entry, of each dynamic debug entry, of each printk index entry, and line and column
//! of the sanitizers' source locations, where code is seen to give them to a sanitizer; and what
//! `image` masks, in so far as `vmlinux.o` has it.
//!
//! Not masked, because it is an operand of an instruction or part of a text: `__LINE__` given to a
//! function (`might_sleep` with its debugging on) or printed. Such a line still makes a difference.
//!
//! Not seen, because it is not in `vmlinux.o`: the linker script, what is compiled after it (the
//! banner, exported symbols' table, kallsyms), the boot stub, modules.
//!
//! Version 1 did not see how the code is unwound (ORC), of which hints to objtool decide a part.
//! Version 2 did not see the two numbers of any record `{ "name.c", number, number }` without a name of
//! its own, such as an initial value of a local array, in a kernel with a sanitizer.

mod left_out;
mod masks;
mod names;

use std::ops::Range;

use crate::digest::Digest;

use super::ElfError;
use super::elf::Elf;
use super::mapping::ByteSource;
use super::relocatable::{Contents, Extents, Place, Relocatable, Relocation};
use super::side_by_side::side_by_side;
use super::writer::Writer;

pub(super) use left_out::{counts, is_told};
pub(super) use masks::locate;
pub(super) use names::without_lines;

/// Version of the definition of [`SignatureKind::Code`](super::SignatureKind::Code).
pub const VERSION: u32 = 3;

const DOMAIN: &[u8] = b"kiln.signature.code";

/// How a target is told from one of another sort.
mod tag {
    pub(super) const NUMBER: u64 = 0;
    pub(super) const ELSEWHERE: u64 = 1;
    pub(super) const COUNTED: u64 = 2;
    pub(super) const LEFT_OUT: u64 = 3;
}

/// The signature of a relocatable file that `elf` was read from.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Digest, ElfError> {
    let object = Relocatable::read(elf)?;
    let masks = locate(&object, &Extents::of(&object), source)?;
    let contents = Contents::new(&object, masks);
    let sections = &object.elf.sections;
    let counted: Vec<usize> =
        (0..sections.len()).filter(|&it| counts(object.elf, &sections[it])).collect();
    let mut numbers = vec![None; sections.len()];
    for (number, &section) in counted.iter().enumerate() {
        numbers[section] = Some(number as u64);
    }
    let weight = |index: usize| sections[counted[index]].size;
    let hashes = side_by_side(counted.len(), weight, |index| {
        let section = counted[index];
        (bytes_hash(&contents, section, sections[section].size), {
            relocations_hash(&object, section, &numbers)
        })
    });

    let mut all = Writer::new(DOMAIN);
    all.number(VERSION.into());
    all.number(object.elf.machine.into());
    all.number(object.elf.flags.into());
    all.number(counted.len() as u64);
    for (&index, (bytes, relocations)) in counted.iter().zip(&hashes) {
        let section = &sections[index];
        all.text(section.name);
        all.number(section.kind.into());
        all.number(section.flags);
        all.number(section.size);
        all.number(section.align);
        let masks = contents.masks(index);
        all.number(masks.len() as u64);
        for mask in masks {
            all.text(mask.tag.as_bytes());
            all.number(mask.range.start);
            all.number(mask.range.end - mask.range.start);
        }
        all.hash(bytes);
        all.hash(relocations);
    }
    all.hash(&names::hash(&object, &numbers));
    Ok(Digest::from(all.finish()))
}

/// What is masked in a relocatable file that `elf` was read from: kind, and place in the file.
pub(crate) fn masked(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
) -> Result<Vec<(&'static str, Range<usize>)>, ElfError> {
    let object = Relocatable::read(elf)?;
    let masks = locate(&object, &Extents::of(&object), source)?;
    let with_bytes = elf.sections.iter().zip(masks);
    let with_bytes = with_bytes.filter_map(|(it, masks)| Some((it.bytes.clone()?.start, masks)));
    let placed = with_bytes.flat_map(|(start, masks)| {
        let place =
            move |range: Range<u64>| start + range.start as usize..start + range.end as usize;
        masks.into_iter().map(move |it| (it.tag, place(it.range)))
    });
    Ok(placed.collect())
}

fn bytes_hash(contents: &Contents<'_>, section: usize, size: u64) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    contents.read(section, 0..size, |bytes| _ = hasher.update(bytes));
    hasher.finalize()
}

fn relocations_hash(
    object: &Relocatable<'_>,
    section: usize,
    numbers: &[Option<u64>],
) -> blake3::Hash {
    let mut all = Writer::part();
    let relocations = &object.relocations[section];
    all.number(relocations.len() as u64);
    for relocation in relocations {
        all.number(relocation.offset);
        all.number(relocation.kind.into());
        all.number(relocation.implicit.into());
        target(&mut all, object, relocation, numbers);
    }
    all.finish()
}

/// Symbol and addend: a place here, or a name and what is added to it.
fn target(
    all: &mut Writer,
    object: &Relocatable<'_>,
    relocation: &Relocation,
    numbers: &[Option<u64>],
) {
    let addend = relocation.addend as u64;
    let Some(symbol) = object.symbol_of(relocation) else {
        all.number(tag::NUMBER);
        all.number(addend);
        return;
    };
    match symbol.place {
        Place::Absolute => {
            all.number(tag::NUMBER);
            all.number(symbol.value.wrapping_add(addend));
        }
        Place::Undefined | Place::Common => {
            all.number(tag::ELSEWHERE);
            all.text(symbol.name);
            all.number(addend);
        }
        Place::Section(section) => {
            match numbers[section] {
                Some(number) => {
                    all.number(tag::COUNTED);
                    all.number(number);
                }
                None => {
                    all.number(tag::LEFT_OUT);
                    all.text(object.elf.sections[section].name);
                }
            }
            all.number(symbol.value.wrapping_add(addend));
        }
    }
}
