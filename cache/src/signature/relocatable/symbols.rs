//! The whole symbol table of a relocatable file.
//!
//! Format: System V ABI, "Symbol Table" (`Elf64_Sym`, 24 bytes) and SHT_SYMTAB_SHNDX.

use object::elf as abi;

use crate::signature::ElfError;
use crate::signature::elf::{Elf, Section, malformed, name_at};

const SIZE: usize = 24;

/// Where a symbol is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In another file.
    Undefined,
    /// A plain number.
    Absolute,
    /// Memory that the linker is to make.
    Common,
    /// Index into the file's sections.
    Section(usize),
}

/// A symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'data> {
    pub(crate) name: &'data [u8],
    /// `STT_…`.
    pub(crate) kind: u8,
    /// `STB_…`.
    pub(crate) binding: u8,
    pub(crate) place: Place,
    /// Bytes from the start of its section.
    pub(crate) value: u64,
    /// In bytes; 0 when it is not known.
    pub(crate) size: u64,
}

impl Symbol<'_> {
    pub(crate) fn is_local(&self) -> bool {
        self.binding == abi::STB_LOCAL.0
    }

    pub(crate) fn is_function(&self) -> bool {
        self.kind == abi::STT_FUNC.0
    }

    pub(crate) fn is_data(&self) -> bool {
        self.kind == abi::STT_OBJECT.0
    }

    /// Stands for a whole section.
    pub(crate) fn is_section(&self) -> bool {
        self.kind == abi::STT_SECTION.0
    }

    /// Names the source of the local symbols behind it.
    pub(crate) fn is_file(&self) -> bool {
        self.kind == abi::STT_FILE.0
    }
}

/// All symbols of a file of 64 bits, little-endian. Empty if there is no table. Values are as in the
/// file: offsets in an object, addresses in a linked file.
pub(crate) fn read<'data>(elf: &Elf<'data>) -> Result<Vec<Symbol<'data>>, ElfError> {
    let find = |kind: u32| elf.sections.iter().position(|it| it.kind == kind);
    let Some(table) = find(abi::SHT_SYMTAB.0) else { return Ok(Vec::new()) };
    let bytes = |section: &Section<'data>| section.bytes.clone().map(|range| &elf.data[range]);
    let names = elf.sections.get(elf.sections[table].link as usize).and_then(bytes);
    let names = names.ok_or_else(|| malformed("the symbol table", "its names are missing"))?;
    // More sections than a symbol can number have their numbers in a table of their own.
    let numbers = elf.sections.iter().find(|it| {
        it.kind == abi::SHT_SYMTAB_SHNDX.0 && it.link as usize == table && it.bytes.is_some()
    });
    let numbers = numbers.and_then(bytes).unwrap_or_default();
    let entries = bytes(&elf.sections[table]).unwrap_or_default().chunks_exact(SIZE);
    let mut symbols = Vec::with_capacity(entries.len());
    for (index, entry) in entries.enumerate() {
        let name = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let number = u16::from_le_bytes([entry[6], entry[7]]);
        let unnamed = || malformed(&format!("the name of symbol {index}"), "no such text");
        symbols.push(Symbol {
            name: if name == 0 { b"" } else { name_at(names, name).ok_or_else(unnamed)? },
            kind: entry[4] & 0xf,
            binding: entry[4] >> 4,
            place: place(elf, number, numbers.get(index * 4..index * 4 + 4), index)?,
            value: number_at(entry, 8),
            size: number_at(entry, 16),
        });
    }
    Ok(symbols)
}

fn place(
    elf: &Elf<'_>,
    number: u16,
    extended: Option<&[u8]>,
    symbol: usize,
) -> Result<Place, ElfError> {
    let wrong = || malformed(&format!("symbol {symbol}"), "it lies in no section of the file");
    let index = match number {
        0 => return Ok(Place::Undefined),
        0xfff1 => return Ok(Place::Absolute),
        0xfff2 => return Ok(Place::Common),
        0xffff => {
            let number = extended.and_then(|it| it.try_into().ok()).ok_or_else(wrong)?;
            u32::from_le_bytes(number) as usize
        }
        0xff00.. => return Err(wrong()),
        number => number.into(),
    };
    if index < elf.sections.len() { Ok(Place::Section(index)) } else { Err(wrong()) }
}

/// The little-endian number of 64 bits at an offset that is inside.
pub(super) fn number_at(entry: &[u8], at: usize) -> u64 {
    entry[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
