//! What a relocation refers to.

use object::elf as abi;

use super::immediates::behind_field;
use super::{Machine, Place, Relocatable, Relocation, Symbol};

/// What a relocation refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'data> {
    /// Nothing: the addend is all.
    Number(i64),
    /// A name of the whole kernel, and bytes behind it. The symbol may be defined here or not.
    Name(&'data [u8], i64),
    /// A place in a section of this file: what no other file can refer to.
    Inside { section: usize, offset: i64 },
}

impl<'data> Relocatable<'data> {
    /// The symbol of a relocation, if there is one.
    pub(crate) fn symbol_of(&self, relocation: &Relocation) -> Option<&Symbol<'data>> {
        self.symbols.get(relocation.symbol as usize).filter(|_| relocation.symbol != 0)
    }

    /// What a relocation in the bytes of `section` refers to.
    pub(crate) fn target(&self, section: usize, relocation: &Relocation) -> Target<'data> {
        let Some(symbol) = self.symbol_of(relocation) else {
            return Target::Number(relocation.addend);
        };
        let addend = relocation.addend.wrapping_add(self.to_end(section, relocation));
        match symbol.place {
            Place::Section(section) if symbol.is_local() => {
                Target::Inside { section, offset: (symbol.value as i64).wrapping_add(addend) }
            }
            Place::Absolute => Target::Number((symbol.value as i64).wrapping_add(addend)),
            _ => Target::Name(symbol.name, addend),
        }
    }

    /// Bytes from a field to the end of its instruction, when the field counts from there.
    fn to_end(&self, section: usize, relocation: &Relocation) -> i64 {
        let section = &self.elf.sections[section];
        // PC32, PLT32, GOTPCREL, GOTPCRELX, REX_GOTPCRELX.
        let counts = self.machine == Machine::X86_64
            && matches!(relocation.kind, 2 | 4 | 9 | 41 | 42)
            && section.flags & abi::SHF_EXECINSTR.0 != 0;
        let bytes = section.bytes.clone().map_or(&[][..], |range| &self.elf.data[range]);
        let before = usize::try_from(relocation.offset).ok().and_then(|offset| bytes.get(..offset));
        match before {
            Some(before) if counts => 4 + behind_field(&before[before.len().saturating_sub(4)..]),
            _ => 0,
        }
    }
}
