//! Two linked kernels, byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use object::elf as abi;

use crate::signature::SignatureError;
use crate::signature::elf::{Elf, Segment};
use crate::signature::image::gaps;
use crate::signature::mapping::{ByteSource, Mapping};
use crate::signature::masks::{self, Mask, MaskKind};

use super::banner::Banner;
use super::judge::Judge;
use super::known::Known;
use super::symbols::Symbols;
use super::{Cause, CauseKind, Difference, paths};

/// Two files, mapped.
pub(super) struct Pair {
    paths: [PathBuf; 2],
    maps: [Mapping; 2],
}

impl Pair {
    pub(super) fn open([a, b]: [&Path; 2]) -> Result<Self, SignatureError> {
        let maps = [Mapping::open(a)?, Mapping::open(b)?];
        Ok(Self { paths: [a.to_owned(), b.to_owned()], maps })
    }

    pub(super) fn read(&self) -> Result<Elves<'_>, SignatureError> {
        Ok(Elves { before: self.side(0)?, after: self.side(1)? })
    }

    fn side(&self, side: usize) -> Result<Side<'_>, SignatureError> {
        let fail = |source| SignatureError::Elf { path: self.paths[side].clone(), source };
        let elf = Elf::parse(self.maps[side].bytes()).map_err(fail)?;
        let masks = masks::locate(&elf, &self.maps[side]).map_err(fail)?;
        let symbols = Symbols::read(&elf).map_err(fail)?;
        Ok(Side { elf, masks, symbols, source: &self.maps[side] })
    }
}

/// One kernel.
pub(super) struct Side<'a> {
    pub(super) elf: Elf<'a>,
    masks: Vec<Mask>,
    pub(super) symbols: Symbols<'a>,
    pub(super) source: &'a dyn ByteSource,
}

impl Side<'_> {
    fn masked(&self, kind: MaskKind) -> impl Iterator<Item = &[u8]> {
        let masks = self.masks.iter().filter(move |it| it.kind == kind);
        masks.map(|it| &self.elf.data[it.range.clone()])
    }

    /// What it says its release is.
    pub(super) fn release(&self) -> Option<&[u8]> {
        masks::kernels_release(&self.elf, &self.masks)
    }

    /// What hides a byte of the file.
    pub(super) fn mask_at(&self, at: usize) -> Option<MaskKind> {
        let index = self.masks.partition_point(|it| it.range.end <= at);
        self.masks.get(index).filter(|it| it.range.contains(&at)).map(|it| it.kind)
    }

    /// Where the mask that hides a byte of the file ends, else where the next one begins.
    pub(super) fn mask_reach(&self, at: usize) -> usize {
        let index = self.masks.partition_point(|it| it.range.end <= at);
        self.masks.get(index).map_or(usize::MAX, |it| match it.range.start > at {
            true => it.range.start,
            false => it.range.end,
        })
    }

    /// Bytes between two labels of one section.
    pub(super) fn between(&self, [start, end]: [&str; 2]) -> Option<&[u8]> {
        let (start, end) = (self.symbols.only(start)?, self.symbols.only(end)?);
        let range = self.elf.file_range(start.section, start.address..end.address)?;
        (start.section == end.section).then(|| &self.elf.data[range])
    }

    pub(super) fn symbol_bytes(&self, name: &str) -> Option<&[u8]> {
        Some(&self.elf.data[self.elf.symbol_range(self.symbols.only(name)?)?])
    }
}

/// Both kernels.
pub(super) struct Elves<'a> {
    pub(super) before: Side<'a>,
    pub(super) after: Side<'a>,
}

impl Elves<'_> {
    /// Both banners, if both have one that can be taken apart. The real one comes last: what is
    /// left of a weak one is before it or has no version.
    pub(super) fn banners(&self) -> Option<[Banner; 2]> {
        let banner =
            |side: &Side<'_>| side.masked(MaskKind::Banner).filter_map(Banner::parse).last();
        Some([banner(&self.before)?, banner(&self.after)?])
    }

    /// A folder of sources that texts of the kernels name differently.
    pub(super) fn paths(&self) -> Option<paths::Moved> {
        let names = |side: &Side<'_>| -> BTreeSet<Vec<u8>> {
            let sections = side.elf.sections.iter().filter(|it| it.is_allocated());
            let texts = sections.filter(|it| it.name.starts_with(b".rodata"));
            texts
                .filter_map(|it| it.bytes.clone())
                .flat_map(|range| paths::source_names(&side.elf.data[range]))
                .map(<[u8]>::to_vec)
                .collect()
        };
        let (before, after) = (names(&self.before), names(&self.after));
        let before: BTreeSet<&[u8]> = before.iter().map(Vec::as_slice).collect();
        let after: BTreeSet<&[u8]> = after.iter().map(Vec::as_slice).collect();
        paths::moved(&before, &after).filter(|it| it.is_most_of(&before, &after))
    }

    /// What differs in what is loaded, by section.
    pub(super) fn differences(&self, known: &Known<'_>, code_equal: bool) -> Vec<Difference> {
        let moved = self.before.symbols.moved(&self.after.symbols);
        let judge = Judge { elves: self, known, code_equal, moved };
        let loaded = |side: &'_ Side<'_>| -> Vec<usize> {
            let numbered = side.elf.sections.iter().enumerate();
            numbered.filter(|(_, it)| it.is_allocated()).map(|(index, _)| index).collect()
        };
        let mut others = loaded(&self.after);
        let mut found = Vec::new();
        for index in loaded(&self.before) {
            let section = &self.before.elf.sections[index];
            let twin =
                others.iter().position(|&it| self.after.elf.sections[it].name == section.name);
            let Some(twin) = twin.map(|at| others.remove(at)) else {
                found.push(judge.lone(section));
                continue;
            };
            found.extend(judge.section(index, twin));
        }
        found.extend(others.into_iter().map(|it| judge.lone(&self.after.elf.sections[it])));
        found.extend(self.gaps());
        if found.iter().all(|it| it.masked) {
            found.extend(self.places().map(|it| judge.places(it)));
        }
        found
    }

    /// The sections that lie elsewhere; if none does, but headers of the file differ, an empty list.
    fn places(&self) -> Option<Vec<String>> {
        let places = |side: &Side<'_>| -> BTreeMap<String, Vec<u64>> {
            let sections = side.elf.sections.iter().filter(|it| it.is_allocated());
            let mut places: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for it in sections {
                places.entry(it.display_name()).or_default().push(it.address);
            }
            places
        };
        let headers = |side: &Side<'_>| {
            let loads = side.elf.segments.iter().filter(|it| it.kind == abi::PT_LOAD.0);
            (side.elf.entry, side.elf.flags, loads.map(Segment::tuple).collect::<Vec<_>>())
        };
        let (before, after) = (places(&self.before), places(&self.after));
        let differ = before.iter().filter(|(name, place)| after.get(*name) != Some(place));
        let differ: Vec<String> = differ.map(|(name, _)| name.clone()).collect();
        let any = !differ.is_empty() || headers(&self.before) != headers(&self.after);
        any.then_some(differ)
    }

    /// Loaded bytes that lie in no section, if they differ.
    fn gaps(&self) -> Option<Difference> {
        let of = |side: &Side<'_>| -> Vec<(u64, Vec<u8>)> {
            let all = gaps(&side.elf).into_iter();
            all.map(|it| (it.address, side.elf.data[it.bytes].to_vec())).collect()
        };
        let (before, after) = (of(&self.before), of(&self.after));
        let lone = |mine: &[(u64, Vec<u8>)], other: &[(u64, Vec<u8>)]| -> u64 {
            mine.iter().filter(|it| !other.contains(it)).map(|it| it.1.len() as u64).sum()
        };
        (before != after).then(|| Difference {
            file: crate::build_draft::VMLINUX.to_owned(),
            place: "loaded, in no section".to_owned(),
            symbols: Vec::new(),
            symbol_count: 0,
            bytes: lone(&before, &after).max(lone(&after, &before)),
            masked: false,
            causes: vec![Cause::new(CauseKind::Unknown, "no linker puts bytes there")],
        })
    }
}
