//! Relocatable kernel objects: `vmlinux.o`, the kernel before addresses are given to anything.
//!
//! What such a file calls or points to is not in its bytes but in its relocations, so everything
//! here is about reading both together. ELF64, little-endian, x86-64 and arm64.

mod branches;
mod contents;
mod extents;
mod fields;
mod immediates;
mod relocations;
mod symbols;
mod targets;

use object::elf as abi;

use super::ElfError;
use super::elf::Elf;

pub(crate) use branches::Branches;
pub(crate) use contents::{Blank, Contents};
pub(crate) use extents::Extents;
pub(crate) use relocations::Relocation;
pub(crate) use symbols::{Place, Symbol, read as symbol_table};
pub(crate) use targets::Target;

/// The machines whose relocations are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    X86_64,
    Arm64,
}

/// A relocatable file, its symbols and relocations decoded.
#[derive(Debug)]
pub(crate) struct Relocatable<'data> {
    pub(crate) elf: &'data Elf<'data>,
    pub(crate) machine: Machine,
    /// The static symbol table, in its order, the null symbol included.
    pub(crate) symbols: Vec<Symbol<'data>>,
    /// For each section, the relocations of its bytes by offset. Sections that the kernel does not
    /// load have none here.
    pub(crate) relocations: Vec<Vec<Relocation>>,
}

impl<'data> Relocatable<'data> {
    /// Decodes a file. Costs time and memory in the number of its symbols and relocations.
    pub(crate) fn read(elf: &'data Elf<'data>) -> Result<Self, ElfError> {
        if elf.file_type != abi::ET_REL.0 {
            return Err(ElfError::Linked);
        }
        let machine = match elf.machine {
            62 => Machine::X86_64,
            183 => Machine::Arm64,
            _ => return Err(ElfError::Machine(elf.machine)),
        };
        if !elf.is_64 || elf.big_endian {
            return Err(ElfError::Machine(elf.machine));
        }
        let symbols = symbols::read(elf)?;
        let relocations = relocations::read(elf)?;
        if !elf.sections.iter().any(|it| it.is_allocated() && it.size > 0) {
            return Err(ElfError::NothingAllocated);
        }
        Ok(Self { elf, machine, symbols, relocations })
    }
}
