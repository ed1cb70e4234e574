//! A part of `image` that is a module: a `.ko`.
//!
//! What counts is what the loader of modules reads (Linux, kernel/module/main.c). It is the BLAKE3
//! hash of
//!
//! 1. the text `kiln.signature.image.module`;
//! 2. whether the file ends as a signed one does, and whether there is a signature before that end (0
//!    or 1 each);
//! 3. machine and flags of the ELF header;
//! 4. of each allocated section, and of the type information that the loader reads all the same
//!    (`.BTF`, `.BTF.base`), in file order: name, type, flags, size, alignment; its masks and the hash
//!    of its bytes; its relocations by offset: offset, type, addend, and as target the number of a
//!    section among these and the offset there, or the name of a symbol elsewhere;
//! 5. the symbols of these sections, which traces print: section, offset, size, type, binding, name.
//!
//! Masked are the build id, CONFIG_BUILD_SALT, and the release in the text `vermagic=` of `.modinfo`
//! as long as it is that of the `vmlinux` beside it: a kernel does not load modules that say another
//! one. The bytes of the signature behind the file are no part of it: they are as random as the key.
//! So a signature that is wrong, or made with a key that the kernel does not know, is not told from a
//! right one; that there is none is. Debug information does not count.
//!
//! A module of a machine whose relocations are not known here counts byte by byte, but for those of the
//! signature behind it: the hash of the text `kiln.signature.image.module-bytes`, the two numbers of 2,
//! and the BLAKE3 hash of the other bytes.

use object::elf as abi;

use crate::signature::ElfError;
use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;
use crate::signature::masks::{Mask, MaskKind, identity_notes, settle};
use crate::signature::relocatable::{Place, Relocatable, Relocation};
use crate::signature::writer::Writer;

use super::masked;

const DOMAIN: &[u8] = b"kiln.signature.image.module";
const BYTES: &[u8] = b"kiln.signature.image.module-bytes";

/// Type information, which the loader finds by name and whether it is allocated or not
/// (`any_section_objs`). Of two sections of one name it takes the first.
const TYPES: [&[u8]; 2] = [b".BTF", b".BTF.base"];

/// The end of a signed module (Linux, include/linux/module_signature.h).
const MAGIC: &[u8] = b"~Module signature appended~\n";
/// `struct module_signature`, which is before the magic; its last four bytes are the length of the
/// signature before it, big-endian.
const INFO: usize = 12;

/// The hash of a module beside a kernel of a release, and what it was read as.
pub(super) fn hash(file: &dyn ByteSource, release: Option<&[u8]>) -> (&'static str, blake3::Hash) {
    match hash_of(file, release) {
        Ok(hash) => ("module", hash),
        Err(_) => {
            let mut manifest = Writer::new(BYTES);
            let bytes = signing(&mut manifest, file.bytes());
            manifest.hash(&blake3::hash(bytes));
            ("module-bytes", manifest.finish())
        }
    }
}

/// Writes whether a module is signed, and gives it without its signature. One that ends as if it were
/// signed, and is not, is loaded by no kernel that checks signatures (kernel/module/signing.c).
fn signing<'bytes>(manifest: &mut Writer, bytes: &'bytes [u8]) -> &'bytes [u8] {
    let rest = without_signature(bytes);
    manifest.number(bytes.ends_with(MAGIC).into());
    manifest.number((rest.len() != bytes.len()).into());
    rest
}

/// A module without the signature behind it.
pub(crate) fn without_signature(bytes: &[u8]) -> &[u8] {
    let stripped = bytes.strip_suffix(MAGIC).and_then(|signed| {
        let info = signed.last_chunk::<INFO>()?;
        let length = u32::from_be_bytes(*info.last_chunk()?) as usize;
        signed.get(..signed.len().checked_sub(INFO + length)?)
    });
    stripped.unwrap_or(bytes)
}

fn hash_of(file: &dyn ByteSource, release: Option<&[u8]>) -> Result<blake3::Hash, ElfError> {
    let mut manifest = Writer::new(DOMAIN);
    let bytes = signing(&mut manifest, file.bytes());
    let elf = Elf::parse(bytes)?;
    let object = Relocatable::read(&elf)?;
    let read = read_by_loader(&elf);
    let mut numbers = vec![None; elf.sections.len()];
    for (number, &index) in (0..).zip(&read) {
        numbers[index] = Some(number);
    }
    let masks = masks(&elf, release);
    manifest.number(elf.machine.into());
    manifest.number(elf.flags.into());
    manifest.number(read.len() as u64);
    for index in read {
        let section = &elf.sections[index];
        manifest.text(section.name);
        manifest.number(section.kind.into());
        manifest.number(section.flags);
        manifest.number(section.size);
        manifest.number(section.align);
        match &section.bytes {
            None => manifest.number(0),
            Some(range) => {
                manifest.number(1);
                masked::write(&mut manifest, file, range, &masks);
            }
        }
        let relocations = &object.relocations[index];
        manifest.number(relocations.len() as u64);
        for it in relocations {
            relocation(&mut manifest, &object, it, &numbers);
        }
    }
    symbols(&mut manifest, &object, &numbers);
    Ok(manifest.finish())
}

/// The sections that count, in file order.
fn read_by_loader(elf: &Elf<'_>) -> Vec<usize> {
    let named = |name: &&[u8]| elf.sections.iter().position(|it| it.name == *name);
    let types: Vec<usize> = TYPES.iter().filter_map(named).collect();
    let is_read = |index: &usize| elf.sections[*index].is_allocated() || types.contains(index);
    (0..elf.sections.len()).filter(is_read).collect()
}

/// What is masked in a module beside a kernel of a release; nothing of one that counts byte by byte.
pub(crate) fn masks_of(file: &dyn ByteSource, release: Option<&[u8]>) -> Vec<Mask> {
    let read = Elf::parse(without_signature(file.bytes())).and_then(|elf| {
        Relocatable::read(&elf)?;
        Ok(masks(&elf, release))
    });
    read.unwrap_or_default()
}

fn masks(elf: &Elf<'_>, release: Option<&[u8]>) -> Vec<Mask> {
    let mut masks = identity_notes(elf);
    masks.extend(vermagic(elf, release));
    settle(masks)
}

/// The release in the text `vermagic=` of `.modinfo`, if there is exactly one, of this release.
fn vermagic(elf: &Elf<'_>, release: Option<&[u8]>) -> Option<Mask> {
    const KEY: &[u8] = b"vermagic=";
    let section = elf.sections.iter().find(|it| it.is_allocated() && it.name == b".modinfo")?;
    let range = section.bytes.clone()?;
    let mut found = None;
    let mut start = range.start;
    for text in elf.data[range].split(|&byte| byte == 0) {
        if let Some(value) = text.strip_prefix(KEY) {
            if found.is_some() {
                return None;
            }
            let length = value.iter().position(|&byte| byte == b' ')?;
            if release != Some(&value[..length]) {
                return None;
            }
            let value = start + KEY.len();
            found = Some(Mask { kind: MaskKind::Vermagic, range: value..value + length });
        }
        start += text.len() + 1;
    }
    found
}

fn relocation(
    manifest: &mut Writer,
    object: &Relocatable<'_>,
    relocation: &Relocation,
    numbers: &[Option<u64>],
) {
    manifest.number(relocation.offset);
    manifest.number(relocation.kind.into());
    manifest.number(relocation.implicit.into());
    let addend = relocation.addend as u64;
    let Some(symbol) = object.symbol_of(relocation) else {
        manifest.number(0);
        manifest.number(addend);
        return;
    };
    match symbol.place {
        Place::Section(section) => {
            manifest.number(1);
            match numbers[section] {
                Some(number) => manifest.number(number + 1),
                None => {
                    manifest.number(0);
                    manifest.text(object.elf.sections[section].name);
                }
            }
            manifest.number(symbol.value.wrapping_add(addend));
        }
        Place::Absolute => {
            manifest.number(2);
            manifest.number(symbol.value.wrapping_add(addend));
        }
        Place::Undefined | Place::Common => {
            manifest.number(3);
            manifest.number(symbol.binding.into());
            manifest.text(symbol.name);
            manifest.number(addend);
        }
    }
}

fn symbols(manifest: &mut Writer, object: &Relocatable<'_>, numbers: &[Option<u64>]) {
    let mut named = Vec::new();
    for symbol in &object.symbols {
        let Place::Section(section) = symbol.place else { continue };
        let Some(number) = numbers[section] else { continue };
        if symbol.kind != abi::STT_SECTION.0 && !symbol.name.is_empty() {
            let place = (number, symbol.value, symbol.size);
            named.push((place, symbol.kind, symbol.binding, symbol.name));
        }
    }
    // The order of a symbol table is the linker's choice.
    named.sort_unstable();
    manifest.number(named.len() as u64);
    for ((number, value, size), kind, binding, name) in named {
        manifest.number(number);
        manifest.number(value);
        manifest.number(size);
        manifest.number(kind.into());
        manifest.number(binding.into());
        manifest.text(name);
    }
}
