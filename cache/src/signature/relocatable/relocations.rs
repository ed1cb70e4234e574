//! Relocations: where a file's bytes depend on what is elsewhere.
//!
//! Format: System V ABI, "Relocation": `Elf64_Rela` of 24 bytes (offset, symbol and type, addend)
//! and `Elf64_Rel` of 16, whose addend is in the bytes that it changes.

use object::elf as abi;

use crate::signature::ElfError;
use crate::signature::elf::Elf;

use super::symbols::number_at;

/// One relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relocation {
    /// Of the field, in bytes from the start of the section.
    pub(crate) offset: u64,
    /// Added to the address of the symbol.
    pub(crate) addend: i64,
    /// Index into the symbol table.
    pub(crate) symbol: u32,
    /// `R_X86_64_…` or `R_AARCH64_…`.
    pub(crate) kind: u32,
    /// Whether the addend is in the field, as only SHT_REL has it.
    pub(crate) implicit: bool,
}

/// For each section its relocations, by offset. Those of one offset keep their order.
pub(super) fn read(elf: &Elf<'_>) -> Result<Vec<Vec<Relocation>>, ElfError> {
    let mut all: Vec<Vec<Relocation>> = elf.sections.iter().map(|_| Vec::new()).collect();
    // Tables that overlap could make a small file cost hours.
    let mut claimed = 0_u64;
    for table in &elf.sections {
        let (implicit, size) = match table.kind {
            kind if kind == abi::SHT_RELA.0 => (false, 24),
            kind if kind == abi::SHT_REL.0 => (true, 16),
            _ => continue,
        };
        let target = table.info as usize;
        if !elf.sections.get(target).is_some_and(|it| it.is_allocated()) {
            continue;
        }
        claimed = claimed.saturating_add(table.size);
        let length = elf.data.len() as u64;
        if claimed > length {
            return Err(ElfError::Overlap { what: "relocations", claimed, length });
        }
        let bytes = table.bytes.clone().map_or(&[][..], |range| &elf.data[range]);
        all[target].extend(bytes.chunks_exact(size).map(|entry| {
            let info = number_at(entry, 8);
            Relocation {
                offset: number_at(entry, 0),
                addend: if implicit { 0 } else { number_at(entry, 16) as i64 },
                symbol: (info >> 32) as u32,
                kind: info as u32,
                implicit,
            }
        }));
    }
    for relocations in &mut all {
        if !relocations.is_sorted_by_key(|it| it.offset) {
            relocations.sort_by_key(|it| it.offset);
        }
    }
    Ok(all)
}
