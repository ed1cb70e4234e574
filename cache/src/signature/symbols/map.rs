//! The map itself, and how it is put together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use object::elf as abi;

use crate::digest::Digest;
use crate::signature::ElfError;
use crate::signature::code::{is_told, locate};
use crate::signature::elf::Elf;
use crate::signature::mapping::ByteSource;
use crate::signature::relocatable::{Branches, Contents, Extents, Relocatable};
use crate::signature::side_by_side::side_by_side;

use super::SymbolKind;
use super::attribute::Files;
use super::hashes::{Hashes, Owner};
use super::names::{base, suffix};
use super::sources::whole_paths;

/// The name of a symbol, the same in two builds of one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolKey {
    /// What it is.
    pub kind: SymbolKind,
    /// Source file of a local symbol, without folders. Empty for a global one.
    pub file: String,
    /// Name without compilers' suffixes; of a table, the section's.
    pub name: String,
}

/// What a symbol is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolEntry {
    /// In bytes; of a function, with all its parts.
    pub size: u64,
    /// See the module's documentation.
    pub hash: Digest,
    /// Source file when it could be found out: without folders, unless [`SymbolMap::name_sources`] was
    /// asked. Not part of the identity.
    pub file: Option<String>,
    /// Which of the map's files that is.
    pub(super) unit: Option<usize>,
}

/// All symbols of a kernel; those of one name in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolMap {
    /// The symbols.
    pub entries: BTreeMap<SymbolKey, Vec<SymbolEntry>>,
    /// Source files without folders, in the order of the file's symbol table.
    pub(super) files: Vec<String>,
}

impl SymbolMap {
    /// Gives entries the whole paths of their source files, as far as they can be told from
    /// `sources`: paths of the files that the kernel is compiled of. (See the module `sources`.)
    pub fn name_sources(&mut self, sources: &BTreeSet<String>) {
        let paths = whole_paths(&self.files, sources);
        for entry in self.entries.values_mut().flatten() {
            let path = entry.unit.and_then(|unit| paths.get(unit)?.clone());
            entry.file = path.or_else(|| entry.file.take());
        }
    }
}

/// A function or a part of one, or data.
struct Part {
    extent: usize,
    suffix: Vec<u8>,
    hash: Digest,
}

/// The map of a file. `folder`: what names of files in texts count without.
pub(super) fn read(
    elf: &Elf<'_>,
    source: &dyn ByteSource,
    folder: Option<&[u8]>,
) -> Result<SymbolMap, ElfError> {
    let object = Relocatable::read(elf)?;
    let extents = Extents::of(&object);
    let contents = Contents::new(&object, locate(&object, &extents, source)?);
    check_overlap(&object, &extents)?;
    let branches = Branches::of(&object, &extents);
    let files = Files::of(&object, &extents, &branches);
    let hashes = Hashes::new(&object, &contents, &extents, &branches, folder);
    let all = &extents.all;
    let made = side_by_side(
        all.len(),
        |index| all[index].end - all[index].start,
        |index| {
            hashes.of(all[index].section, all[index].start..all[index].end, Owner::Extent(index))
        },
    );
    let mut map = SymbolMap { files: files.names(), ..SymbolMap::default() };
    for parts in things(&object, &extents, &files, made) {
        let Some((key, entry)) = describe(&object, &extents, &files, &parts) else { continue };
        map.entries.entry(key).or_default().push(entry);
    }
    add_tables(&mut map, &object, &extents, &hashes);
    Ok(map)
}

/// Symbols that share bytes are rare; many that do could make a small file cost hours.
fn check_overlap(object: &Relocatable<'_>, extents: &Extents) -> Result<(), ElfError> {
    const LIMIT: u64 = 4;
    let in_file = extents.all.iter().filter(|it| object.elf.sections[it.section].bytes.is_some());
    let claimed = in_file.map(|it| it.end - it.start).fold(0, u64::saturating_add);
    let length = object.elf.data.len() as u64;
    if claimed > length.saturating_mul(LIMIT) {
        return Err(ElfError::Overlap { what: "symbols", claimed, length });
    }
    Ok(())
}

/// Parts of one function together, everything else by itself, in the order of their first bytes.
fn things(
    object: &Relocatable<'_>,
    extents: &Extents,
    files: &Files<'_>,
    hashes: Vec<Digest>,
) -> Vec<Vec<Part>> {
    let symbol = |extent: usize| &object.symbols[extents.all[extent].symbol];
    let mut globals: HashMap<&[u8], usize> = HashMap::new();
    for index in 0..extents.all.len() {
        if symbol(index).is_function() && !symbol(index).is_local() {
            globals.insert(symbol(index).name, index);
        }
    }
    let mut things: Vec<Vec<Part>> = Vec::new();
    // Where the thing of a function is: by its file (0 for a global one) and base name.
    let mut places: HashMap<(usize, Vec<u8>), usize> = HashMap::new();
    for (extent, hash) in hashes.into_iter().enumerate() {
        if !is_told(object.elf, &object.elf.sections[extents.all[extent].section]) {
            continue;
        }
        let of = symbol(extent);
        let part = Part { extent, suffix: suffix(of), hash };
        if !of.is_function() {
            things.push(vec![part]);
            continue;
        }
        let base = base(of).into_owned();
        let global = globals.get(&base[..]).filter(|&&whole| {
            let (whole, part) = (files.number(whole), files.number(extent));
            // A file that could not be found out contradicts nothing.
            !of.is_local() || (base.len() != of.name.len() && (whole == part || whole == 0))
        });
        let file = if global.is_some() { 0 } else { files.number(extent) };
        let place = *places.entry((file, base)).or_insert(things.len());
        match things.get_mut(place) {
            Some(thing) => thing.push(part),
            None => things.push(vec![part]),
        }
    }
    things
}

fn describe(
    object: &Relocatable<'_>,
    extents: &Extents,
    files: &Files<'_>,
    parts: &[Part],
) -> Option<(SymbolKey, SymbolEntry)> {
    let symbol = |part: &Part| &object.symbols[extents.all[part.extent].symbol];
    // A global part names the whole.
    let main = parts.iter().min_by_key(|it| (symbol(it).is_local(), it.suffix.len()))?;
    let file = files.name(main.extent).map(|name| String::from_utf8_lossy(name).into_owned());
    let size = parts.iter().map(|it| extents.all[it.extent].end - extents.all[it.extent].start);
    let key = SymbolKey {
        kind: if symbol(main).is_function() { SymbolKind::Function } else { SymbolKind::Data },
        file: if symbol(main).is_local() {
            file.clone().unwrap_or_default()
        } else {
            String::new()
        },
        name: String::from_utf8_lossy(&base(symbol(main))).into_owned(),
    };
    let mut sorted: Vec<(&[u8], &Digest)> =
        parts.iter().map(|it| (&it.suffix[..], &it.hash)).collect();
    sorted.sort();
    let mut hasher = blake3::Hasher::new();
    for (suffix, hash) in sorted {
        hasher.update(&(suffix.len() as u64).to_le_bytes());
        hasher.update(suffix);
        hasher.update(hash.as_bytes());
    }
    // A part of a file that overlaps itself could add up to more than there are bytes.
    let size = size.fold(0, u64::saturating_add);
    let unit = Some(files.number(main.extent)).filter(|_| file.is_some());
    Some((key, SymbolEntry { size, hash: hasher.finalize().into(), file, unit }))
}

/// Sections in which nothing has a name. Code and constants without one are known by what refers
/// to them.
fn add_tables(
    map: &mut SymbolMap,
    object: &Relocatable<'_>,
    extents: &Extents,
    hashes: &Hashes<'_>,
) {
    for (index, section) in object.elf.sections.iter().enumerate() {
        let passive = abi::SHF_MERGE.0 | abi::SHF_EXECINSTR.0;
        let named = extents.all.partition_point(|it| it.section < index)
            != extents.all.partition_point(|it| it.section <= index);
        if !is_told(object.elf, section)
            || section.size == 0
            || section.flags & passive != 0
            || named
        {
            continue;
        }
        let key = SymbolKey {
            kind: SymbolKind::Table,
            file: String::new(),
            name: section.display_name(),
        };
        let hash = hashes.of(index, 0..section.size, Owner::Table);
        let entry = SymbolEntry { size: section.size, hash, file: None, unit: None };
        map.entries.entry(key).or_default().push(entry);
    }
}
