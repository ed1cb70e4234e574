//! The `symbols` map, version 1: every function and data object of a `vmlinux.o` by name, with its
//! size and a hash of what it is, wherever it is placed. Two maps compared say which functions
//! changed.
//!
//! **Name.** Kind, source file (as the compiler names it, without folders; none for a global
//! symbol, whose name is enough), and the name without what compilers append (`.constprop.0`,
//! `.isra.0`, `.part.0`, `.cold`, numbers of static variables) and without line numbers of macros.
//! The parts of one function are one entry: sizes added, hashes combined. Several entries of one
//! name (static variables of several functions, files of one name in several folders) are numbered
//! by their order in the file: the index in the list.
//!
//! **Hash.** BLAKE3 of the section's name, the bytes with relocated fields and line numbers as zero
//! (the masks of `code`), and each relocation by offset: type and target. The target is
//! - of a call or jump to a local function, which the assembler may have filled in without leaving a
//!   relocation, that function's name;
//! - of a global symbol its name, and bytes behind it;
//! - of a local one the same; for a numbered name, as static variables have, its bytes too;
//! - of a text the text;
//! - of anything else without a name (jump tables, constants, replacement instructions) its bytes
//!   and what these refer to in turn, three levels deep.
//!
//! **Tables.** Sections in which nothing has a name (exception tables, alternatives, initcalls, bug
//! tables) are one entry each, by the section's name. In them a target in a function counts by the
//! function's name alone, so a function that grew does not change them.
//!
//! A short jump (x86-64, 8 bits) from one function into another counts by its distance.
//!
//! Not seen: how functions are unwound (ORC, `.eh_frame`), which changes with each of them; and data
//! without a name that nothing refers to, in a section that has named data as well.
//! The `code` signature sees everything; a difference there with none here is such data, or only
//! the order of things.

mod attribute;
mod diff;
mod hashes;
mod linked;
mod map;
mod names;
mod pieces;
mod sources;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::elf::Elf;
use super::mapping::{ByteSource, Mapping};
use super::{ElfError, SignatureError};

pub use diff::{SymbolChange, diff};
pub use map::{SymbolEntry, SymbolKey, SymbolMap};
pub(crate) use names::base;

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SymbolKind {
    /// Code with a name.
    Function,
    /// Data with a name.
    Data,
    /// A section in which nothing has a name.
    Table,
}

/// The map of a relocatable kernel (`vmlinux.o`). Blocks; takes memory in the number of symbols and
/// relocations. Nobody may write to or truncate the file meanwhile.
pub fn symbols_of(path: &Path) -> Result<SymbolMap, SignatureError> {
    let mapping = Mapping::open(path)?;
    symbols_of_bytes(&mapping)
        .map_err(|source| SignatureError::Elf { path: path.to_owned(), source })
}

/// Whether a file is linked, so that its map holds names and sizes only (see [`linked_symbols_of`]).
pub fn is_linked(path: &Path) -> Result<bool, SignatureError> {
    let mapping = Mapping::open(path)?;
    let elf = Elf::parse(mapping.bytes())
        .map_err(|source| SignatureError::Elf { path: path.to_owned(), source })?;
    Ok(elf.file_type != object::elf::ET_REL.0)
}

/// The map of a linked kernel (`vmlinux`) of 64 bits, little-endian: two such maps compared say what
/// is new, gone or of another size. What changed and kept its size is not seen. As [`symbols_of`].
pub fn linked_symbols_of(path: &Path) -> Result<SymbolMap, SignatureError> {
    let mapping = Mapping::open(path)?;
    Elf::parse(mapping.bytes())
        .and_then(|elf| linked::read(&elf))
        .map_err(|source| SignatureError::Elf { path: path.to_owned(), source })
}

/// Whether a linked kernel may have been linked from an object, so far as sizes of functions tell: none
/// that is in both by one name has another size. Blocks, as [`symbols_of`].
pub fn may_be_linked_from(vmlinux: &Path, object: &Path) -> Result<bool, SignatureError> {
    let (linked, object) = (linked_symbols_of(vmlinux)?, linked_symbols_of(object)?);
    let functions = object.entries.iter().filter(|(key, _)| key.kind == SymbolKind::Function);
    let differs = |(key, entries): (&SymbolKey, &Vec<SymbolEntry>)| match (
        &entries[..],
        linked.entries.get(key).map(Vec::as_slice),
    ) {
        ([one], Some([other])) => one.size != other.size,
        _ => false,
    };
    Ok(!functions.into_iter().any(differs))
}

/// The map of a file in memory.
pub(crate) fn symbols_of_bytes(source: &dyn ByteSource) -> Result<SymbolMap, ElfError> {
    map::read(&Elf::parse(source.bytes())?, source, None)
}

/// The same, as if texts named files without a folder: so it is the same wherever the sources were.
pub(crate) fn symbols_without_folder(
    source: &dyn ByteSource,
    folder: &str,
) -> Result<SymbolMap, ElfError> {
    map::read(&Elf::parse(source.bytes())?, source, Some(folder.as_bytes()))
}
