//! ELF notes: small named records in SHT_NOTE sections and PT_NOTE segments.
//!
//! Format: three 32-bit words (size of name, size of description, type), then name and description,
//! each padded to the region's alignment, 4 or 8 bytes (System V ABI, "Note Section").

use std::ops::Range;

use object::elf as abi;

use super::elf::Elf;

/// A longer region is no kernel's: real ones hold a few hundred bytes.
const MAX_REGION: usize = 1 << 20;
/// A file has a few. The limit only stops many headers that name one region.
const MAX_REGIONS: usize = 64;

/// A note; ranges are bytes of the file that the region was taken from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note<'data> {
    /// Owner, without trailing NULs.
    pub(crate) owner: &'data [u8],
    pub(crate) kind: u32,
    pub(crate) description: Range<usize>,
}

impl Note<'_> {
    /// Whether it is the linker's hash of the output (NT_GNU_BUILD_ID).
    pub(crate) fn is_build_id(&self) -> bool {
        self.owner == b"GNU" && self.kind == abi::NT_GNU_BUILD_ID.0
    }

    /// Whether it is CONFIG_BUILD_SALT (Linux, include/linux/build-salt.h).
    pub(crate) fn is_build_salt(&self) -> bool {
        self.owner == b"Linux" && self.kind == 0x100
    }

    /// Whether it is LINUX_VERSION_CODE, as a vDSO carries it (Linux, arch/*/vdso/note.S).
    pub(crate) fn is_linux_version(&self) -> bool {
        self.owner == b"Linux" && self.kind == 0 && self.description.len() == 4
    }
}

/// All notes of allocated note sections and of note segments; a region that is both is read once.
/// A region that can't be read to its end gives none.
pub(crate) fn notes<'data>(elf: &Elf<'data>) -> Vec<Note<'data>> {
    let sections = elf
        .sections
        .iter()
        .filter(|it| it.kind == abi::SHT_NOTE.0 && it.is_allocated())
        .filter_map(|it| Some((it.bytes.clone()?, it.align)));
    let segments = elf.segments.iter().filter(|it| it.kind == abi::PT_NOTE.0).filter_map(|it| {
        let end = it.offset.checked_add(it.file_size)?;
        Some((usize::try_from(it.offset).ok()?..usize::try_from(end).ok()?, it.align))
    });
    let mut regions: Vec<(Range<usize>, u64)> = Vec::new();
    for region in sections.chain(segments).take(MAX_REGIONS) {
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    regions
        .into_iter()
        .filter_map(|(region, align)| region_notes(elf, region, align))
        .flatten()
        .collect()
}

/// The notes of one region, or `None` if it is not a row of whole notes.
fn region_notes<'data>(
    elf: &Elf<'data>,
    region: Range<usize>,
    align: u64,
) -> Option<Vec<Note<'data>>> {
    let align = match align {
        0..=4 => 4,
        8 => 8,
        _ => return None,
    };
    let bytes = elf.data.get(region.clone()).filter(|it| it.len() <= MAX_REGION)?;
    let word = |at: usize| -> Option<u32> {
        let word = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if elf.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    };
    let mut found = Vec::new();
    let mut at = 0_usize;
    while at < bytes.len() {
        let name_end = at.checked_add(12)?.checked_add(word(at)? as usize)?;
        let name = bytes.get(at + 12..name_end)?;
        let start = name_end.checked_next_multiple_of(align)?;
        let end = start.checked_add(word(at + 4)? as usize)?;
        if end > bytes.len() {
            return None;
        }
        found.push(Note {
            owner: name.strip_suffix(b"\0").unwrap_or(name),
            kind: word(at + 8)?,
            description: region.start + start..region.start + end,
        });
        at = end.checked_next_multiple_of(align)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::test_elf::{TestElf, note};

    fn read(region: &[u8], align: u64, elf: TestElf) -> Vec<(Vec<u8>, u32, Vec<u8>)> {
        let file = elf.note_section(".notes", region.to_vec(), align).build();
        let elf = Elf::parse(&file).unwrap();
        notes(&elf)
            .into_iter()
            .map(|it| (it.owner.to_vec(), it.kind, file[it.description].to_vec()))
            .collect()
    }

    #[test]
    fn reads_all_notes_of_each_word_size_and_byte_order() {
        for elf in TestElf::every_format() {
            let mut region = note("GNU", 3, &[7; 20], 4, elf.big_endian);
            region.extend(note("Linux", 0x100, b"salty", 4, elf.big_endian));
            region.extend(note("Linux", 0, &[1, 2, 3, 4], 4, elf.big_endian));
            let found = read(&region, 4, elf);
            assert_eq!(
                found,
                [
                    (b"GNU".to_vec(), 3, vec![7; 20]),
                    (b"Linux".to_vec(), 0x100, b"salty".to_vec()),
                    (b"Linux".to_vec(), 0, vec![1, 2, 3, 4]),
                ]
            );
        }
    }

    #[test]
    fn reads_notes_aligned_to_eight() {
        let mut region = note("GNU", 5, &[1; 13], 8, false);
        region.extend(note("GNU", 3, &[9; 20], 8, false));
        assert_eq!(read(&region, 8, TestElf::new()).len(), 2);
        assert!(read(&region, 16, TestElf::new()).is_empty());
    }

    #[test]
    fn a_region_that_is_cut_gives_nothing() {
        let mut region = note("GNU", 3, &[7; 20], 4, false);
        region.extend(note("Linux", 0x100, b"salt", 4, false));
        for cut in 1..region.len() {
            let whole_notes = cut == 36;
            let found = read(&region[..cut], 4, TestElf::new());
            assert_eq!(found.len(), usize::from(whole_notes), "{cut}");
        }
    }
}
