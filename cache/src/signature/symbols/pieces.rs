//! Data without a name, cut where something refers into it.

use std::ops::Range;

use object::elf as abi;

use crate::signature::code::is_told;
use crate::signature::elf::{Elf, Section};
use crate::signature::relocatable::{Extents, Relocatable, Target};

/// The pieces of a file by section and start: each begins where a relocation refers to, and ends
/// where the next one or a named thing begins, or with its section.
#[derive(Debug)]
pub(super) struct Pieces {
    all: Vec<(usize, Range<u64>)>,
}

impl Pieces {
    pub(super) fn of(object: &Relocatable<'_>, extents: &Extents) -> Self {
        let mut starts: Vec<(usize, u64)> = Vec::new();
        for (index, section) in object.elf.sections.iter().enumerate() {
            if !is_told(object.elf, section) {
                continue;
            }
            for relocation in &object.relocations[index] {
                if let Target::Inside { section, offset } = object.target(index, relocation)
                    && let Ok(offset) = u64::try_from(offset)
                    && may_have_pieces(object.elf, &object.elf.sections[section])
                    && offset < object.elf.sections[section].size
                    && extents.holding(section, offset).is_none()
                {
                    starts.push((section, offset));
                }
            }
        }
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().enumerate().map(|(index, &(section, start))| {
            let next = starts.get(index + 1).filter(|it| it.0 == section).map(|it| it.1);
            let named = extents.next_start(section, start);
            let size = object.elf.sections[section].size;
            next.unwrap_or(size).min(named.unwrap_or(size))
        });
        let all = starts.iter().zip(ends).map(|(&(section, start), end)| (section, start..end));
        Self { all: all.collect() }
    }

    pub(super) fn all(&self) -> &[(usize, Range<u64>)] {
        &self.all
    }

    /// The piece that begins at a place, by its index.
    pub(super) fn at(&self, section: usize, offset: u64) -> Option<usize> {
        self.all.binary_search_by(|(at, range)| (*at, range.start).cmp(&(section, offset))).ok()
    }
}

fn may_have_pieces(elf: &Elf<'_>, section: &Section<'_>) -> bool {
    is_told(elf, section) && section.bytes.is_some() && !holds_texts(section)
}

/// Whether a section holds nothing but texts that end with NUL, each known by its content.
pub(super) fn holds_texts(section: &Section<'_>) -> bool {
    let texts = abi::SHF_MERGE.0 | abi::SHF_STRINGS.0;
    section.flags & texts == texts && section.bytes.is_some()
}
