//! The symbols of a linked kernel: names and sizes.
//!
//! In a linked file every reference to something that moved has other bytes, and no relocation says
//! which bytes those are. So only what has another size, or another name, is told: a change that
//! keeps a function's size is not.

use object::elf as abi;

use crate::digest::Digest;
use crate::signature::ElfError;
use crate::signature::elf::Elf;
use crate::signature::relocatable::{Place, Symbol, symbol_table};

use super::SymbolKind;
use super::map::{SymbolEntry, SymbolKey, SymbolMap};
use super::names::base;

/// The map of a linked file, whose hashes are of sizes.
pub(super) fn read(elf: &Elf<'_>) -> Result<SymbolMap, ElfError> {
    if !elf.is_64 || elf.big_endian {
        return Err(ElfError::Machine(elf.machine));
    }
    let mut map = SymbolMap::default();
    let mut file: Option<String> = None;
    for symbol in symbol_table(elf)? {
        if symbol.is_file() {
            file = text(symbol.name);
            map.files.push(file.clone().unwrap_or_default());
            continue;
        }
        let Some(kind) = kind(elf, &symbol) else { continue };
        let own = symbol.is_local().then(|| file.clone()).flatten();
        let key = SymbolKey {
            kind,
            file: own.clone().unwrap_or_default(),
            name: String::from_utf8_lossy(&base(&symbol)).into_owned(),
        };
        let hash = Digest::of(&symbol.size.to_le_bytes());
        let unit = own.as_ref().and_then(|_| map.files.len().checked_sub(1));
        map.entries.entry(key).or_default().push(SymbolEntry {
            size: symbol.size,
            hash,
            file: own,
            unit,
        });
    }
    Ok(map)
}

fn kind(elf: &Elf<'_>, symbol: &Symbol<'_>) -> Option<SymbolKind> {
    let Place::Section(section) = symbol.place else { return None };
    if symbol.size == 0 || !elf.sections[section].is_allocated() {
        return None;
    }
    match symbol.kind {
        kind if kind == abi::STT_FUNC.0 => Some(SymbolKind::Function),
        kind if kind == abi::STT_OBJECT.0 => Some(SymbolKind::Data),
        _ => None,
    }
}

fn text(name: &[u8]) -> Option<String> {
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}
