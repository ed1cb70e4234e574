//! What only a linker script decides: where what is compiled is put.
//!
//! With one `code` the linker is given the same sections to place. When a symbol lies elsewhere and the
//! one before it does not, something was put between the two: by the script, unless what lies there
//! comes from a file that the linker is given beside `vmlinux.o` (the tables of symbols and types), or
//! is no more than what an alignment fills.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use object::elf as abi;

use crate::build_draft::VMLINUX;
use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::relocatable::{Place, symbol_table};
use crate::signature::{ElfError, SignatureError};

use super::kernel::Elves;
use super::{Cause, CauseKind, Difference};

/// Tables that are made of the linked kernel, by how names of their symbols and sections begin (Linux,
/// scripts/kallsyms.c, scripts/link-vmlinux.sh).
const MADE: [&[u8]; 2] = [b"kallsyms_", b".BTF"];

/// A place in a linked kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anchor<'data> {
    address: u64,
    /// Its end, as far as it is known.
    end: u64,
    /// The section it is in; `None` outside of all.
    section: Option<&'data [u8]>,
    /// Whether `vmlinux.o` has it, or refers to it as to what the script sets.
    is_known: bool,
}

/// Symbols by name, of those that are there once.
type Anchors<'data> = HashMap<&'data [u8], Anchor<'data>>;

/// What `vmlinux.o` has, and what it refers to.
struct Names<'data> {
    defined: HashSet<&'data [u8]>,
    undefined: HashSet<&'data [u8]>,
}

impl<'data> Names<'data> {
    fn of(object: &Elf<'data>) -> Result<Self, ElfError> {
        let (mut defined, mut undefined) = (HashSet::new(), HashSet::new());
        for it in symbol_table(object)? {
            match it.place {
                Place::Section(_) => defined.insert(it.name),
                _ => undefined.insert(it.name),
            };
        }
        Ok(Self { defined, undefined })
    }
}

/// The row of what a script puts elsewhere, given the two objects, which have one `code`. Names the
/// first thing that shows it.
pub(super) fn difference(
    elves: &Elves<'_>,
    objects: [&Path; 2],
) -> Result<Option<Difference>, SignatureError> {
    let files = [Mapping::open(objects[0])?, Mapping::open(objects[1])?];
    let anchors = |side: usize, elf| {
        let object = Elf::parse(files[side].bytes())?;
        anchors(elf, &Names::of(&object)?)
    };
    let fail = |source| SignatureError::Elf { path: objects[0].to_owned(), source };
    let before = anchors(0, &elves.before.elf).map_err(fail)?;
    let after = anchors(1, &elves.after.elf).map_err(fail)?;
    let Some((symbol, detail, bytes)) = shown(&before, &after) else { return Ok(None) };
    Ok(Some(Difference {
        file: VMLINUX.to_owned(),
        place: "where things are put".to_owned(),
        symbols: vec![symbol],
        symbol_count: 1,
        bytes,
        masked: false,
        causes: vec![Cause::new(CauseKind::LinkerScript, detail)],
    }))
}

fn anchors<'data>(elf: &Elf<'data>, names: &Names<'_>) -> Result<Anchors<'data>, ElfError> {
    let mut found: HashMap<&[u8], Option<Anchor<'_>>> = HashMap::new();
    for it in symbol_table(elf)? {
        let section = match it.place {
            Place::Section(section) => Some(section),
            Place::Absolute if it.kind == abi::STT_NOTYPE.0 => None,
            _ => continue,
        };
        if it.name.is_empty() || it.is_file() || it.is_section() {
            continue;
        }
        let section = section.map(|it| &elf.sections[it]);
        if section.is_some_and(|it| !it.is_allocated()) {
            continue;
        }
        let section = section.map(|it| it.name);
        let is_made = MADE.iter().any(|made| {
            it.name.starts_with(made) || section.is_some_and(|name| name.starts_with(made))
        });
        // What a script sets has no type and no size, and `vmlinux.o` can only refer to it.
        let is_set =
            it.kind == abi::STT_NOTYPE.0 && it.size == 0 && names.undefined.contains(it.name);
        let is_known = !is_made && (names.defined.contains(it.name) || is_set);
        let end = it.value.saturating_add(it.size);
        let anchor = Anchor { address: it.value, end, section, is_known };
        found.entry(it.name).and_modify(|it| *it = None).or_insert(Some(anchor));
    }
    Ok(found.into_iter().filter_map(|(name, anchor)| Some((name, anchor?))).collect())
}

/// The first symbol that shows another script: its name, how, and by how many bytes.
fn shown(before: &Anchors<'_>, after: &Anchors<'_>) -> Option<(String, String, u64)> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut all: Vec<(&[u8], Anchor<'_>)> = before.iter().map(|(name, it)| (*name, *it)).collect();
    all.sort_by_key(|(name, it)| (it.address, it.end, *name));
    let mut foreign: Vec<u64> =
        after.values().filter(|it| !it.is_known).map(|it| it.address).collect();
    foreign.sort_unstable();
    let is_between = |start: u64, end: u64| {
        let first = foreign.partition_point(|it| *it < start);
        foreign.get(first).is_some_and(|it| *it < end)
    };
    // The last known symbol, if nothing of another file came after it.
    let mut last: Option<(&[u8], Anchor<'_>, Anchor<'_>)> = None;
    for (name, old) in all {
        let Some(new) = after.get(name).filter(|it| it.is_known && old.is_known) else {
            if !old.is_known {
                last = None;
            }
            continue;
        };
        if let (Some(a), Some(b)) = (old.section, new.section)
            && a != b
        {
            return Some((text(name), format!("'{}' against '{}'", text(a), text(b)), 0));
        }
        if let Some((name_before, old_before, new_before)) = last
            && old_before.address == new_before.address
            && old.address != new.address
            && new.address >= new_before.address
            && !is_between(new_before.address, new.address)
        {
            let by = new.address.abs_diff(old.address);
            let far = if new.address > old.address { "further from" } else { "closer to" };
            let detail = format!("{} is {by} bytes {far} {}", text(name), text(name_before));
            return Some((text(name), detail, by));
        }
        last = Some((name, old, *new));
    }
    None
}
