//! The vDSO: a small shared library that the image carries for programs, an ELF file inside it.

use std::ops::Range;

use object::elf as abi;

use crate::signature::elf::{Elf, Symbol};
use crate::signature::notes::notes;

use super::locate::Symbols;
use super::mask::{Mask, MaskKind};
use super::note_values::identity;

/// x86: the array that `vdso2c` writes for each flavour (Linux, arch/x86/entry/vdso/vdso2c.h).
const ARRAY: &[u8] = b"raw_data";
/// Others: `vdso_start`/`vdso_end`, `vdso32_start`/`vdso32_end` and so on around an `.incbin`
/// (Linux, arch/*/kernel/vdso*_wrapper.S).
const STEM: &[u8] = b"vdso";
const START: &[u8] = b"_start";
const END: &[u8] = b"_end";

/// No kernel has more flavours of it. The limit stops many symbols that name one large image.
const MAX_IMAGES: usize = 8;

/// Whether a symbol may bound an embedded vDSO.
pub(super) fn may_name_an_image(name: &[u8]) -> bool {
    name == ARRAY || (name.starts_with(STEM) && (name.ends_with(START) || name.ends_with(END)))
}

/// Notes inside the embedded vDSOs: build id, salt, and the version of Linux.
///
/// What: as in the kernel itself, and LINUX_VERSION_CODE, which changes with every point release.
/// Why: programs may read the version, the kernel does not. How: a vDSO is what its symbols
/// bound, if that is a whole ELF shared object; its notes are found by its own note segments.
pub(super) fn notes_of_embedded_images(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Vec<Mask> {
    let images: Vec<Range<usize>> = symbols
        .iter()
        .filter_map(|symbol| match symbol.name {
            ARRAY => elf.symbol_range(symbol).filter(|_| symbol.is_object),
            _ => between_labels(elf, symbols, symbol),
        })
        .filter(|range| elf.data[range.clone()].starts_with(&abi::ELFMAG))
        .take(MAX_IMAGES + 1)
        .collect();
    if images.len() > MAX_IMAGES {
        return Vec::new();
    }
    images.into_iter().flat_map(|range| notes_of_image(elf, range)).collect()
}

/// From a `..._start` label to the only `..._end` of the same stem in the same section.
fn between_labels(
    elf: &Elf<'_>,
    symbols: &Symbols<'_>,
    start: &Symbol<'_>,
) -> Option<Range<usize>> {
    let stem = start.name.strip_suffix(START)?;
    let mut ends = symbols.iter().filter(|it| it.name.strip_suffix(END) == Some(stem));
    let end = ends.next()?;
    if ends.next().is_some() || end.section != start.section {
        return None;
    }
    elf.file_range(start.section, start.address..end.address)
}

fn notes_of_image(elf: &Elf<'_>, range: Range<usize>) -> Vec<Mask> {
    let Ok(image) = Elf::parse(&elf.data[range.clone()]) else { return Vec::new() };
    if image.file_type != abi::ET_DYN.0 {
        return Vec::new();
    }
    notes(&image)
        .into_iter()
        .filter_map(|note| {
            let version = note.is_linux_version().then_some(MaskKind::VdsoVersion);
            let kind = identity(&note).or(version)?;
            let start = range.start + note.description.start;
            Some(Mask { kind, range: start..start + note.description.len() })
        })
        .collect()
}
