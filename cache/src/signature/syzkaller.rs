//! The `syzkaller` signature: what syzkaller's bisection log prints as "kernel signature".
//!
//! Definition, as `pkg/build/linux.go` of syzkaller has had it since 2020: walk the section headers
//! in file order; leave out a section that lacks SHF_ALLOC or is NOBITS or SHT_NOTE; take the
//! SHA-256 of each other one's bytes; the signature is the SHA-256 of these 32-byte digests, raw,
//! one after the other. Names, addresses and segments do not count, and nothing is masked.
//!
//! Compressed sections: syzkaller's reader would unpack them. ELF forbids a section that is both
//! allocated and compressed, so such a file is refused instead. A file without such sections gets
//! the SHA-256 of nothing, as it does there.

use object::elf as abi;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

use super::ElfError;
use super::elf::{Elf, Section};
use super::mapping::{ByteSource, stream};
use super::side_by_side::side_by_side;

/// Version of this definition.
pub(crate) const VERSION: u32 = 1;

/// The signature of a file that `elf` was read from.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Digest, ElfError> {
    let sections: Vec<&Section<'_>> = elf.sections.iter().filter(|it| counts(it)).collect();
    if let Some(it) = sections.iter().find(|it| it.flags & abi::SHF_COMPRESSED.0 != 0) {
        return Err(ElfError::CompressedAlloc(it.display_name()));
    }
    let mut all = Sha256::new();
    let work = |index: usize| digest(sections[index], source);
    for digest in side_by_side(sections.len(), |index| sections[index].size, work) {
        all.update(digest);
    }
    Ok(Digest::from(<[u8; 32]>::from(all.finalize())))
}

fn counts(section: &Section<'_>) -> bool {
    section.is_allocated() && section.kind != abi::SHT_NOBITS.0 && section.kind != abi::SHT_NOTE.0
}

fn digest(section: &Section<'_>, source: &dyn ByteSource) -> [u8; 32] {
    let mut hasher = Sha256::new();
    stream(source, section.bytes.clone().unwrap_or_default(), |bytes| hasher.update(bytes));
    hasher.finalize().into()
}
