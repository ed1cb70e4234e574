//! How code is unwound, where that alone differs: hints to objtool, beside the code.
//!
//! Format: arrays of `struct orc_entry`, 6 bytes, and of where each begins to hold, 4 bytes with a
//! relocation (Linux, arch/x86/include/asm/orc_types.h).

use crate::signature::ElfError;
use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::relocatable::{Place, Relocatable};

const ENTRIES: &[u8] = b".orc_unwind";
const PLACES: &[u8] = b".orc_unwind_ip";
const ENTRY: usize = 6;
const PLACE: u64 = 4;

/// What is unwound otherwise in the second object than in the first: the code that shows it first, by
/// the label before it, where it can be told. `None` if nothing is, or one has no such entries.
pub(super) fn first_other(maps: &[Mapping; 2]) -> Result<Option<String>, ElfError> {
    let elves = [Elf::parse(maps[0].bytes())?, Elf::parse(maps[1].bytes())?];
    let bytes = |side: usize, name: &[u8]| {
        let section = elves[side].sections.iter().find(|it| it.name == name)?;
        elves[side].data.get(section.bytes.clone()?)
    };
    let (Some(old), Some(new)) = (bytes(0, ENTRIES), bytes(1, ENTRIES)) else { return Ok(None) };
    if old == new {
        return Ok(None);
    }
    let at = old.chunks(ENTRY).zip(new.chunks(ENTRY)).position(|(a, b)| a != b);
    let name = match at {
        Some(at) => label(&Relocatable::read(&elves[0])?, at as u64 * PLACE),
        None => None,
    };
    Ok(Some(name.unwrap_or_default()))
}

/// The label before the code that a place leads to.
fn label(object: &Relocatable<'_>, place: u64) -> Option<String> {
    let index = object.elf.sections.iter().position(|it| it.name == PLACES)?;
    let relocation = object.relocations[index].iter().find(|it| it.offset == place)?;
    let symbol = object.symbol_of(relocation)?;
    let Place::Section(section) = symbol.place else { return None };
    let offset = symbol.value.wrapping_add(relocation.addend as u64);
    let in_section = object.symbols.iter().filter(|it| it.place == Place::Section(section));
    let named = in_section.filter(|it| !it.name.is_empty() && !it.name.starts_with(b".L"));
    let before = named.filter(|it| !it.is_section() && !it.is_file() && it.value <= offset);
    let last = before.max_by_key(|it| it.value)?;
    Some(String::from_utf8_lossy(last.name).into_owned())
}
