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

/// Version of this definition.
pub(crate) const VERSION: u32 = 1;

/// The signature of a file that `elf` was read from.
pub(crate) fn sign(elf: &Elf<'_>, source: &dyn ByteSource) -> Result<Digest, ElfError> {
    let mut all = Sha256::new();
    for section in elf.sections.iter().filter(|it| counts(it)) {
        if section.flags & abi::SHF_COMPRESSED.0 != 0 {
            return Err(ElfError::CompressedAlloc(section.display_name()));
        }
        let mut one = Sha256::new();
        stream(source, section.bytes.clone().unwrap_or_default(), |bytes| one.update(bytes));
        all.update(one.finalize());
    }
    let hash: [u8; 32] = all.finalize().into();
    Ok(Digest::from(hash))
}

fn counts(section: &Section<'_>) -> bool {
    section.is_allocated() && section.kind != abi::SHT_NOBITS.0 && section.kind != abi::SHT_NOTE.0
}
