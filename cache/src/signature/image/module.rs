//! A part of `image` that is a module: a `.ko`.
//!
//! What counts is what the loader of modules puts into memory or resolves (Linux,
//! kernel/module/main.c). It is the BLAKE3 hash of
//!
//! 1. the text `kiln.signature.image.module`, machine and flags of the ELF header;
//! 2. of each allocated section, in file order: name, type, flags, size, alignment; its masks and
//!    the hash of its bytes; its relocations by offset: offset, type, addend, and as target the
//!    number of a section among these and the offset there, or the name of a symbol elsewhere;
//! 3. the symbols of these sections, which traces print: section, offset, size, type, binding, name.
//!
//! Masked are the build id, CONFIG_BUILD_SALT, and the release in the text `vermagic=` of
//! `.modinfo`. The signature behind the file is no part of it: it is as random as the key, and
//! whether it is wanted is part of `vmlinux`. Debug information does not count.
//!
//! A module of a machine whose relocations are not known here counts byte by byte, but for the
//! signature behind it.

use object::elf as abi;

use crate::signature::ElfError;
use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;
use crate::signature::masks::{Mask, MaskKind, identity_notes, settle};
use crate::signature::relocatable::{Place, Relocatable, Relocation};

use super::masked;
use super::writer::Writer;

const DOMAIN: &[u8] = b"kiln.signature.image.module";

/// The end of a signed module (Linux, include/linux/module_signature.h).
const MAGIC: &[u8] = b"~Module signature appended~\n";
/// `struct module_signature`, which is before the magic; its last four bytes are the length of the
/// signature before it, big-endian.
const INFO: usize = 12;

/// The hash of a module, and what it was read as.
pub(super) fn hash(file: &dyn ByteSource) -> (&'static str, blake3::Hash) {
    let bytes = without_signature(file.bytes());
    match hash_of(bytes, file) {
        Ok(hash) => ("module", hash),
        Err(_) => ("module-bytes", blake3::hash(bytes)),
    }
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

fn hash_of(bytes: &[u8], file: &dyn ByteSource) -> Result<blake3::Hash, ElfError> {
    let elf = Elf::parse(bytes)?;
    let object = Relocatable::read(&elf)?;
    let mut numbers = vec![None; elf.sections.len()];
    let mut count = 0;
    for (section, number) in elf.sections.iter().zip(&mut numbers) {
        if section.is_allocated() {
            *number = Some(count);
            count += 1;
        }
    }
    let masks = masks(&elf);
    let mut manifest = Writer::new(DOMAIN);
    manifest.number(elf.machine.into());
    manifest.number(elf.flags.into());
    manifest.number(count);
    for (index, section) in elf.sections.iter().enumerate().filter(|(_, it)| it.is_allocated()) {
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

/// What is masked in a module.
pub(super) fn masks_of(file: &dyn ByteSource) -> Vec<Mask> {
    let read = Elf::parse(without_signature(file.bytes()));
    read.map_or_else(|_| Vec::new(), |elf| masks(&elf))
}

fn masks(elf: &Elf<'_>) -> Vec<Mask> {
    let mut masks = identity_notes(elf);
    masks.extend(vermagic(elf));
    settle(masks)
}

/// The release in the text `vermagic=` of `.modinfo`, if there is exactly one.
fn vermagic(elf: &Elf<'_>) -> Option<Mask> {
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
            let release = value.iter().position(|&byte| byte == b' ')?;
            let value = start + KEY.len();
            found = Some(Mask { kind: MaskKind::Vermagic, range: value..value + release });
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
