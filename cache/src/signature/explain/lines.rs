//! Line numbers that differ between two objects, and of which files nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::signature::ElfError;
use crate::signature::code::locate;
use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::relocatable::{Extents, Relocatable, Target};
use crate::signature::symbols::{SymbolChange, SymbolKind};

use super::{Cause, CauseKind};

/// How names of source files end.
const SOURCES: [&str; 4] = [".h", ".c", ".S", ".rs"];
/// How far the pointer to its file's name is from a line number, in bytes: half a record.
const REACH: u64 = 32;
/// How many files a cause names.
const NAMED_FILES: usize = 6;

/// Line numbers that differ.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where they are in the first object, by name of the section.
    places: BTreeMap<Vec<u8>, Places>,
    files: Files,
}

/// The lines of one section.
#[derive(Debug)]
struct Places {
    /// Of the section, in bytes.
    size: u64,
    /// Sorted, in bytes from its start.
    ranges: Vec<Range<u64>>,
}

/// Source files with such lines, by how many; the empty name where it isn't known.
#[derive(Debug, Default, PartialEq, Eq)]
struct Files {
    /// Nothing else of them changed.
    only: BTreeMap<String, u64>,
    /// More of them changed.
    with_code: BTreeMap<String, u64>,
    /// Whether more of them changed can't be told.
    perhaps: BTreeMap<String, u64>,
}

impl Lines {
    /// Whether a section of this name holds some.
    pub(super) fn are_in(&self, section: &[u8]) -> bool {
        self.places.contains_key(section)
    }

    /// Where in a linked kernel's section some are, given that it is the object's whole section: that
    /// is so when it has its name and size.
    pub(super) fn within(&self, section: &[u8], size: u64) -> Option<&[Range<u64>]> {
        self.places.get(section).filter(|it| it.size == size).map(|it| &it.ranges[..])
    }

    /// How many bytes they are.
    pub(super) fn bytes(&self) -> u64 {
        self.places.values().flat_map(|it| &it.ranges).map(|it| it.end - it.start).sum()
    }

    /// The cause, if line numbers differ and of no file with some anything else does.
    pub(super) fn only(&self) -> Option<Cause> {
        let rest = self.files.with_code.len() + self.files.perhaps.len();
        (rest == 0).then(|| self.causes().pop()).flatten()
    }

    /// The causes that they are, none if no line differs.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let Files { only, with_code, perhaps } = &self.files;
        let mut causes = Vec::new();
        if !only.is_empty() {
            causes.push(Cause::new(CauseKind::LineNumbers, text("in", only)));
        }
        if !with_code.is_empty() || !perhaps.is_empty() {
            let texts = [text("in", with_code), text("perhaps in", perhaps)];
            let texts: Vec<String> = texts.into_iter().filter(|it| !it.is_empty()).collect();
            causes.push(Cause::new(CauseKind::LinesBesideCode, texts.join("; ")));
        }
        causes
    }
}

/// "in mm/mmap.c, mm/vma.c", those with the most first.
fn text(word: &str, files: &BTreeMap<String, u64>) -> String {
    let mut named: Vec<(&String, &u64)> = files.iter().filter(|it| !it.0.is_empty()).collect();
    named.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let shown: Vec<&str> = named.iter().take(NAMED_FILES).map(|it| it.0.as_str()).collect();
    let more = match named.len().saturating_sub(NAMED_FILES) {
        0 => String::new(),
        more => format!(" and {more} more files"),
    };
    if shown.is_empty() { String::new() } else { format!("{word} {}{more}", shown.join(", ")) }
}

impl Files {
    /// `counts`: differing lines by file. `uneven`: files of which one object has more lines, so that
    /// code with some came or went. `compiled`: names, without folders, of the files that symbols are
    /// said to be of. `changes`: what else differs.
    fn sorted(
        counts: BTreeMap<String, u64>,
        uneven: &BTreeSet<String>,
        compiled: &BTreeSet<String>,
        changes: &[SymbolChange],
    ) -> Self {
        let changed: Vec<&SymbolChange> =
            changes.iter().filter(|it| it.kind != SymbolKind::Table).collect();
        // A symbol's file may be known without its folders: then any file of that name is meant.
        let names: BTreeSet<&str> =
            changed.iter().filter_map(|it| it.file.as_deref()).map(file_name).collect();
        let unknown = changed.iter().any(|it| it.file.is_none());
        let mut files = Self::default();
        for (file, count) in counts {
            // Functions of a header, or of a file that is included like one, are compiled as part of
            // another file, and a change of them is told as that one's.
            let elsewhere = unknown || !compiled.contains(file_name(&file));
            let list = if uneven.contains(&file) || names.contains(file_name(&file)) {
                &mut files.with_code
            } else if elsewhere && !changed.is_empty() {
                &mut files.perhaps
            } else {
                &mut files.only
            };
            list.insert(file, count);
        }
        files
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A list of line numbers in the order of the object: by section, kind, and file.
type Lists = BTreeMap<(Vec<u8>, &'static str, String), Vec<Line>>;

/// A line number in an object.
struct Line {
    range: Range<u64>,
    value: Vec<u8>,
}

/// Compares the line numbers of two objects: those of one kind, section and source file in their
/// order, so that code elsewhere that came or went plays no part. Where one object has more of them,
/// none of them is told to differ.
pub(super) fn compare(maps: &[Mapping; 2], changes: &[SymbolChange]) -> Result<Lines, ElfError> {
    let elves = [Elf::parse(maps[0].bytes())?, Elf::parse(maps[1].bytes())?];
    let ((before, mut compiled), (after, others)) =
        (lists(&elves[0], &maps[0])?, lists(&elves[1], &maps[1])?);
    compiled.retain(|file| others.contains(file));
    let mut lines = Lines::default();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut uneven: BTreeSet<String> = BTreeSet::new();
    for (key, old) in &before {
        let (section, _, file) = key;
        let Some(new) = after.get(key).filter(|new| new.len() == old.len()) else {
            uneven.insert(file.clone());
            continue;
        };
        for (old, _) in old.iter().zip(new).filter(|(old, new)| old.value != new.value) {
            *counts.entry(file.clone()).or_default() += 1;
            let sections = elves[0].sections.iter().filter(|it| it.name == section);
            // Of several sections of one name none is the linked kernel's whole one.
            let size = sections.map(|it| it.size).reduce(|_, _| u64::MAX).unwrap_or(u64::MAX);
            let places = lines.places.entry(section.clone());
            places.or_insert(Places { size, ranges: Vec::new() }).ranges.push(old.range.clone());
        }
    }
    uneven.extend(after.into_keys().filter(|key| !before.contains_key(key)).map(|key| key.2));
    for places in lines.places.values_mut() {
        places.ranges.sort_by_key(|it| it.start);
    }
    lines.files = Files::sorted(counts, &uneven, &compiled, changes);
    Ok(lines)
}

/// The lines of an object, and the names of the files that its symbols are of.
fn lists(elf: &Elf<'_>, source: &Mapping) -> Result<(Lists, BTreeSet<String>), ElfError> {
    let object = Relocatable::read(elf)?;
    let masks = locate(&object, &Extents::of(&object), source)?;
    let mut lists = Lists::new();
    for (index, masks) in masks.iter().enumerate() {
        let section = &elf.sections[index];
        let Some(bytes) = section.bytes.clone().map(|range| &elf.data[range]) else { continue };
        for mask in masks.iter().filter(|it| is_line(it.tag)) {
            let range = mask.range.start as usize..mask.range.end as usize;
            let Some(bytes) = bytes.get(range) else { continue };
            let keep = mask.keep.to_le_bytes();
            let value = bytes.iter().zip(keep.into_iter().chain(std::iter::repeat(0)));
            let line = Line {
                range: mask.range.clone(),
                value: value.map(|(byte, keep)| byte & !keep).collect(),
            };
            let file = file_of(&object, index, mask.range.start).unwrap_or_default();
            lists.entry((section.name.to_vec(), mask.tag, file)).or_default().push(line);
        }
    }
    let files = object.symbols.iter().filter(|it| it.is_file());
    let files = files.map(|it| file_name(&String::from_utf8_lossy(it.name)).to_owned()).collect();
    Ok((lists, files))
}

fn is_line(tag: &str) -> bool {
    tag.ends_with("-line") || tag == "source-location"
}

/// The name of the source file that a record around a line number points to.
fn file_of(object: &Relocatable<'_>, section: usize, at: u64) -> Option<String> {
    let all = &object.relocations[section];
    let first = all.partition_point(|it| it.offset < at.saturating_sub(REACH));
    let behind = all.partition_point(|it| it.offset <= at);
    // The nearest pointer before the line that leads to such a name.
    all[first..behind].iter().rev().find_map(|relocation| {
        // Of a relative pointer the addend counts from the field itself, as it is no instruction.
        let Target::Inside { section, offset } = object.target(section, relocation) else {
            return None;
        };
        let range = object.elf.sections.get(section)?.bytes.clone()?;
        let rest = object.elf.data[range].get(usize::try_from(offset).ok()?..)?;
        let text = rest.split(|&byte| byte == 0).next()?;
        let text = std::str::from_utf8(text).ok()?;
        SOURCES.iter().any(|it| text.ends_with(it)).then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, file: Option<&str>, kind: SymbolKind) -> SymbolChange {
        let file = file.map(str::to_owned);
        SymbolChange { file, kind, name: name.to_owned(), before: Some(1), after: Some(2) }
    }

    fn told(uneven: &[&str], changes: &[SymbolChange]) -> Vec<String> {
        let counts = ["mm/mmap.c", "fs/pipe.c", "include/linux/fs.h", "kernel/sched/rt.c"];
        let counts = counts.map(|file| (file.to_owned(), 1)).into();
        // (kernel/sched/rt.c is included by another file.)
        let compiled = ["mmap.c", "pipe.c", "build_policy.c"].map(str::to_owned).into();
        let uneven = uneven.iter().map(|it| (*it).to_owned()).collect();
        let files = Files::sorted(counts, &uneven, &compiled, changes);
        let lines = Lines { places: BTreeMap::new(), files };
        lines.causes().iter().map(Cause::text).collect()
    }

    #[test]
    fn only_is_said_only_where_it_is_known() {
        assert_eq!(
            told(&[], &[change("__bug_table", None, SymbolKind::Table)]),
            ["line numbers only: in fs/pipe.c, include/linux/fs.h, kernel/sched/rt.c, mm/mmap.c"]
        );
        assert_eq!(
            told(&[], &[change("pipe_write", Some("pipe.c"), SymbolKind::Function)]),
            [
                "line numbers only: in mm/mmap.c",
                "line numbers, beside changed code: in fs/pipe.c; perhaps in \
                 include/linux/fs.h, kernel/sched/rt.c"
            ]
        );
        assert_eq!(
            told(&["fs/pipe.c"], &[change("x", None, SymbolKind::Data)]),
            ["line numbers, beside changed code: in fs/pipe.c; perhaps in \
                 include/linux/fs.h, kernel/sched/rt.c, mm/mmap.c"]
        );
        assert_eq!(
            told(&[], &[change("dequeue", Some("build_policy.c"), SymbolKind::Function)]),
            [
                "line numbers only: in fs/pipe.c, mm/mmap.c",
                "line numbers, beside changed code: perhaps in include/linux/fs.h, kernel/sched/rt.c"
            ]
        );
    }
}
