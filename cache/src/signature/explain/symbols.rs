//! Which symbol of a linked kernel holds a byte.

use std::collections::HashMap;

use crate::signature::ElfError;
use crate::signature::elf::{Elf, Symbol};

/// Symbols by section and address, labels without a size included.
pub(super) struct Symbols<'data> {
    all: Vec<Symbol<'data>>,
}

impl<'data> Symbols<'data> {
    pub(super) fn read(elf: &Elf<'data>) -> Result<Self, ElfError> {
        let mut all = elf.symbols(|name| !name.is_empty() && !is_label(name))?;
        all.sort_by_key(|it| (it.section, it.address, std::cmp::Reverse(it.size)));
        Ok(Self { all })
    }

    /// The last symbol that begins at or before an address of a section; of several that begin
    /// there, the longest.
    pub(super) fn before(&self, section: usize, address: u64) -> Option<&Symbol<'data>> {
        let place = |it: &Symbol<'_>| (it.section, it.address);
        let behind = self.all.partition_point(|it| place(it) <= (section, address));
        let found = self.all[..behind].last().filter(|it| it.section == section)?;
        self.all.get(self.all.partition_point(|it| place(it) < place(found)))
    }

    /// The same, unless it ends before the address. A label without a size reaches to the next
    /// symbol.
    pub(super) fn holding(&self, section: usize, address: u64) -> Option<&Symbol<'data>> {
        let holds = |it: &&Symbol<'_>| it.size == 0 || address - it.address < it.size;
        self.before(section, address).filter(holds)
    }

    /// Where it ends that an address of a section is held by the same symbol, or by none: at the end of
    /// that symbol, or where the next one begins.
    pub(super) fn reach(&self, section: usize, address: u64) -> u64 {
        let behind = self.all.partition_point(|it| (it.section, it.address) <= (section, address));
        let next = self.all.get(behind).filter(|it| it.section == section).map(|it| it.address);
        let end = self.before(section, address).map(|it| it.address.saturating_add(it.size));
        let end = end.filter(|end| *end > address);
        next.into_iter().chain(end).min().unwrap_or(u64::MAX)
    }

    /// The symbol of a name, if there is exactly one.
    pub(super) fn only(&self, name: &str) -> Option<&Symbol<'data>> {
        let mut named = self.all.iter().filter(|it| it.name == name.as_bytes());
        let first = named.next()?;
        named.next().is_none().then_some(first)
    }

    /// Whether any symbol that both have once lies elsewhere in the other kernel.
    pub(super) fn moved(&self, other: &Self) -> bool {
        let places = |symbols: &Self| {
            let mut places: HashMap<&[u8], Option<u64>> = HashMap::new();
            for it in &symbols.all {
                let place = places.entry(it.name).or_insert(Some(it.address));
                *place = place.filter(|address| *address == it.address);
            }
            places
        };
        let others = places(other);
        places(self).into_iter().any(|(name, address)| {
            let there = others.get(name).copied().flatten();
            address.zip(there).is_some_and(|(a, b)| a != b)
        })
    }
}

/// Labels that assembler macros make, which say nothing.
fn is_label(name: &[u8]) -> bool {
    name.starts_with(b".L") || name.starts_with(b"__UNIQUE_ID")
}
