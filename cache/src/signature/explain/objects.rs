//! Two kernels before linking: which functions and data changed, and which lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::build_draft::VMLINUX_O;
use crate::signature::code::locate;
use crate::signature::elf::Elf;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::relocatable::{Extents, Relocatable, Target};
use crate::signature::symbols::{SymbolChange, diff, symbols_of_bytes};
use crate::signature::{ElfError, SignatureError};

use super::{Difference, Known, MOST_SYMBOLS};

/// How names of source files end.
const SOURCES: [&str; 4] = [".c", ".h", ".S", ".rs"];
/// How far the pointer to its file's name is from a line number, in bytes: half a record.
const REACH: u64 = 32;
/// How many files a cause names.
const NAMED_FILES: usize = 6;

/// What differs between two objects.
pub(super) struct Objects {
    changes: Vec<SymbolChange>,
    /// Names of all that changed.
    pub(super) changed_names: BTreeSet<String>,
    pub(super) lines: Lines,
}

/// Line numbers that differ.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Sections that hold some.
    pub(super) sections: BTreeSet<Vec<u8>>,
    /// Source files by how many of their lines differ.
    files: BTreeMap<String, u64>,
    count: u64,
}

impl Lines {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// "in mm/mmap.c, mm/vma.c", those with the most first.
    pub(super) fn text(&self) -> String {
        let mut files: Vec<(&String, &u64)> = self.files.iter().collect();
        files.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        let mut text =
            files.iter().take(NAMED_FILES).map(|it| it.0.as_str()).collect::<Vec<_>>().join(", ");
        if files.len() > NAMED_FILES {
            text = format!("{text} and {} more files", files.len() - NAMED_FILES);
        }
        if text.is_empty() { text } else { format!("in {text}") }
    }
}

impl Objects {
    /// Reads both, at the same time.
    pub(super) fn compare([before, after]: [&Path; 2]) -> Result<Option<Self>, SignatureError> {
        let maps = [Mapping::open(before)?, Mapping::open(after)?];
        let compared = std::thread::scope(|scope| {
            let first = scope.spawn(|| symbols_of_bytes(&maps[0]));
            let second = symbols_of_bytes(&maps[1]);
            let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let changes = diff(&first?, &second?);
            Ok(Self {
                changed_names: changes.iter().map(|it| it.name.clone()).collect(),
                changes,
                lines: lines(&maps)?,
            })
        });
        match compared {
            // Another machine: then nothing is known of its objects.
            Err(ElfError::Machine(_)) => Ok(None),
            other => other
                .map(Some)
                .map_err(|source| SignatureError::Elf { path: before.to_owned(), source }),
        }
    }

    /// The functions and data that changed.
    pub(super) fn difference(&self, known: &Known) -> Option<Difference> {
        let first = self.changes.first()?;
        let shown = |it: &SymbolChange| match &it.file {
            Some(file) => format!("{} ({file})", it.name),
            None => it.name.clone(),
        };
        let grown = |it: &SymbolChange| it.before.unwrap_or(0).abs_diff(it.after.unwrap_or(0));
        let mut files: Vec<&str> =
            self.changes.iter().filter_map(|it| it.file.as_deref()).collect();
        files.sort_unstable();
        files.dedup();
        let place = match (files.len(), &first.file) {
            (1, Some(file)) => format!("what is compiled from {file}"),
            (0, _) => "what is compiled".to_owned(),
            (count, _) => format!("what is compiled, in {count} source files"),
        };
        Some(Difference {
            file: VMLINUX_O.to_owned(),
            place,
            symbols: self.changes.iter().take(MOST_SYMBOLS).map(shown).collect(),
            symbol_count: self.changes.len() as u64,
            bytes: self.changes.iter().map(grown).fold(0, u64::saturating_add),
            masked: false,
            causes: vec![known.cause_of_code()],
        })
    }
}

/// Line numbers that differ: where both objects have one of the same kind at the same place.
fn lines(maps: &[Mapping; 2]) -> Result<Lines, ElfError> {
    let elves = [Elf::parse(maps[0].bytes())?, Elf::parse(maps[1].bytes())?];
    let objects = [Relocatable::read(&elves[0])?, Relocatable::read(&elves[1])?];
    let masks = |side: usize| locate(&objects[side], &Extents::of(&objects[side]), &maps[side]);
    let (before, after) = (masks(0)?, masks(1)?);
    let mut lines = Lines::default();
    for (index, section) in elves[0].sections.iter().enumerate() {
        let twin = elves[1].sections.iter().position(|it| it.name == section.name);
        let Some(twin) = twin else { continue };
        let others: BTreeMap<u64, u64> = after[twin]
            .iter()
            .filter(|it| is_line(it.tag))
            .map(|it| (it.range.start, it.keep))
            .collect();
        for mask in before[index].iter().filter(|it| is_line(it.tag)) {
            let (Some(a), Some(b)) = (&section.bytes, &elves[1].sections[twin].bytes) else {
                continue;
            };
            let at = |range: &std::ops::Range<usize>, data: &[u8]| {
                let start = range.start + mask.range.start as usize;
                let length = (mask.range.end - mask.range.start) as usize;
                data.get(start..start + length).map(<[u8]>::to_vec)
            };
            let differs = at(a, elves[0].data) != at(b, elves[1].data);
            if !others.contains_key(&mask.range.start) || !differs {
                continue;
            }
            lines.count += 1;
            lines.sections.insert(section.name.to_vec());
            if let Some(file) = file_of(&objects[0], index, mask.range.start) {
                *lines.files.entry(file).or_default() += 1;
            }
        }
    }
    Ok(lines)
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
