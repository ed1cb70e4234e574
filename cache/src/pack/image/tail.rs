//! What Kbuild appends to a kernel: whatever lies behind the end of the ELF file that it is.

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind};

/// Where the ELF file ends that the bytes begin with. `None` when they begin with none, or with one
/// that is not all there.
pub(super) fn end_of_elf(bytes: &[u8]) -> Option<usize> {
    let end = match FileKind::parse(bytes).ok()? {
        FileKind::Elf32 => end_of::<FileHeader32<Endianness>>(bytes),
        FileKind::Elf64 => end_of::<FileHeader64<Endianness>>(bytes),
        _ => None,
    }?;
    usize::try_from(end).ok().filter(|end| *end <= bytes.len())
}

/// The end of the last of its headers, their tables, and what those say that the file holds.
fn end_of<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<u64> {
    let header = Elf::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let sections = header.section_headers(endian, bytes).ok()?;
    let headers = [
        (0, size_of::<Elf>()),
        (header.e_phoff(endian).into(), size_of_val(segments)),
        (header.e_shoff(endian).into(), size_of_val(sections)),
    ];
    let headers = headers.into_iter().map(|(start, len)| (start, len as u64));
    let segments = segments.iter().map(|it| it.file_range(endian));
    let sections = sections.iter().filter_map(|it| it.file_range(endian));
    let ends = headers.chain(segments).chain(sections).filter(|(_, len)| *len > 0);
    ends.map(|(start, len)| start.checked_add(len)).try_fold(0, |end, it| it.map(|it| end.max(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::test_elf::TestElf;

    #[test]
    fn a_file_ends_where_its_last_header_says() {
        let elf = TestElf::new().build();
        let with = |tail: &[u8]| [&elf[..], tail].concat();
        assert_eq!(end_of_elf(&elf), Some(elf.len()));
        assert_eq!(end_of_elf(&with(b"tail")), Some(elf.len()));
        assert_eq!(end_of_elf(&elf[..elf.len() - 1]), None);
        assert_eq!(end_of_elf(b"no such file"), None);
        for len in 0..64 {
            assert_eq!(end_of_elf(&elf[..len]), None);
        }
    }
}
