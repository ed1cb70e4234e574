//! The parts of an ELF file that signatures are made of, whatever its word size and byte order.
//!
//! Everything is checked once, here: after [`Elf::parse`] every range lies inside the file.
//! Format: System V ABI, chapters "ELF header", "Sections" and "Program header".

use std::ops::Range;

use object::Endianness;
use object::elf as abi;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};

use super::ElfError;
use super::lookalike::looks_like;

/// Objects compiled with a section for each function have a few hundred thousand.
const MAX_SECTIONS: u64 = 1 << 19;
/// Names longer than this are not read, so that a table without any end of a name costs no hours.
const MAX_NAME: usize = 4096;
/// Linkers write about five.
const MAX_SEGMENTS: u64 = 256;
/// How often, all in all, loaded segments may claim each byte of the file. Linkers give each byte to
/// one at most.
const MOST_CLAIMS: u64 = 2;

/// An ELF file, its headers decoded.
#[derive(Debug)]
pub(crate) struct Elf<'data> {
    pub(crate) data: &'data [u8],
    pub(crate) is_64: bool,
    pub(crate) big_endian: bool,
    /// `e_type`.
    pub(crate) file_type: u16,
    /// `e_machine`.
    pub(crate) machine: u16,
    /// `e_flags`.
    pub(crate) flags: u32,
    /// `e_entry`.
    pub(crate) entry: u64,
    /// Program headers in file order.
    pub(crate) segments: Vec<Segment>,
    /// Section headers in file order, the null section included.
    pub(crate) sections: Vec<Section<'data>>,
    /// Where the file header and the tables of segments and sections are in the file.
    pub(crate) headers: [Range<usize>; 3],
}

/// A program header.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) virtual_address: u64,
    pub(crate) physical_address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) align: u64,
}

impl Segment {
    /// As a file's table has it.
    pub(crate) fn of(header: &impl ProgramHeader<Endian = Endianness>, endian: Endianness) -> Self {
        Self {
            kind: header.p_type(endian).0,
            flags: header.p_flags(endian).0,
            offset: header.p_offset(endian).into(),
            virtual_address: header.p_vaddr(endian).into(),
            physical_address: header.p_paddr(endian).into(),
            file_size: header.p_filesz(endian).into(),
            memory_size: header.p_memsz(endian).into(),
            align: header.p_align(endian).into(),
        }
    }

    /// All that a loader does by: virtual and physical address, size in the file and in memory,
    /// flags, alignment.
    pub(crate) fn tuple(&self) -> [u64; 6] {
        [
            self.virtual_address,
            self.physical_address,
            self.file_size,
            self.memory_size,
            self.flags.into(),
            self.align,
        ]
    }

    /// Where its bytes are in the file. Of a PT_LOAD they lie inside.
    pub(crate) fn bytes(&self) -> Range<usize> {
        let end = self.offset.saturating_add(self.file_size);
        self.offset as usize..end as usize
    }
}

/// A section header.
#[derive(Debug)]
pub(crate) struct Section<'data> {
    pub(crate) name: &'data [u8],
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    /// Size in memory, in bytes.
    pub(crate) size: u64,
    pub(crate) align: u64,
    /// `sh_link`: the section that this one goes with, by its type.
    pub(crate) link: u32,
    /// `sh_info`: of relocations, the section that they change.
    pub(crate) info: u32,
    /// Where its bytes are in the file; `None` for NOBITS.
    pub(crate) bytes: Option<Range<usize>>,
}

/// Whether a section of this name holds debug information, packed or not.
pub(crate) fn is_debug(name: &[u8]) -> bool {
    name.starts_with(b".debug_") || name.starts_with(b".zdebug_")
}

impl Section<'_> {
    /// Whether it occupies memory of the running kernel.
    pub(crate) fn is_allocated(&self) -> bool {
        self.flags & abi::SHF_ALLOC.0 != 0
    }

    /// The name for messages.
    pub(crate) fn display_name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }
}

/// A symbol that is defined in a section.
#[derive(Clone, Debug)]
pub(crate) struct Symbol<'data> {
    pub(crate) name: &'data [u8],
    /// Whether it is typed as data (STT_OBJECT).
    pub(crate) is_object: bool,
    /// Index into [`Elf::sections`].
    pub(crate) section: usize,
    pub(crate) address: u64,
    pub(crate) size: u64,
}

impl<'data> Elf<'data> {
    /// Decodes and checks the headers. Costs nothing in the size of the sections.
    pub(crate) fn parse(data: &'data [u8]) -> Result<Self, ElfError> {
        match class(data)? {
            Class::Bits32 => parse::<abi::FileHeader32<Endianness>>(data),
            Class::Bits64 => parse::<abi::FileHeader64<Endianness>>(data),
        }
    }

    /// The symbols of the static symbol table that are defined in a section and whose name is
    /// wanted, in table order. Empty if there is no symbol table.
    pub(crate) fn symbols(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Symbol<'data>>, ElfError> {
        if self.is_64 {
            symbols::<abi::FileHeader64<Endianness>>(self.data, wanted)
        } else {
            symbols::<abi::FileHeader32<Endianness>>(self.data, wanted)
        }
    }

    /// Where a range of addresses of an allocated section lies in the file; `None` when it has no
    /// bytes there or does not lie wholly inside the section.
    pub(crate) fn file_range(&self, section: usize, addresses: Range<u64>) -> Option<Range<usize>> {
        let section = self.sections.get(section).filter(|it| it.is_allocated())?;
        let bytes = section.bytes.as_ref()?;
        let start = usize::try_from(addresses.start.checked_sub(section.address)?).ok()?;
        let length = usize::try_from(addresses.end.checked_sub(addresses.start)?).ok()?;
        let start = bytes.start.checked_add(start)?;
        let end = start.checked_add(length)?;
        (end <= bytes.end).then_some(start..end)
    }

    /// Where a symbol's bytes lie in the file; `None` when its size is unknown (0) or it has none.
    pub(crate) fn symbol_range(&self, symbol: &Symbol<'_>) -> Option<Range<usize>> {
        let end = symbol.address.checked_add(symbol.size)?;
        self.file_range(symbol.section, symbol.address..end).filter(|range| !range.is_empty())
    }
}

enum Class {
    Bits32,
    Bits64,
}

fn class(data: &[u8]) -> Result<Class, ElfError> {
    if !data.starts_with(&abi::ELFMAG) {
        return Err(ElfError::NotElf { looks_like: looks_like(data) });
    }
    match data.get(4) {
        Some(1) => Ok(Class::Bits32),
        Some(2) => Ok(Class::Bits64),
        Some(_) => Err(malformed("the ELF header", "neither of 32 nor of 64 bits")),
        None => Err(truncated("the ELF header", 52, data)),
    }
}

pub(crate) fn malformed(what: &str, reason: impl ToString) -> ElfError {
    ElfError::Malformed { what: what.to_owned(), reason: reason.to_string() }
}

fn truncated(what: impl Into<String>, end: u64, data: &[u8]) -> ElfError {
    ElfError::Truncated { what: what.into(), end, length: data.len() as u64 }
}

/// Checks that a table of headers lies in the file and is not absurdly long.
fn check_table(
    data: &[u8],
    what: &'static str,
    (start, count, entry): (u64, u64, usize),
    limit: u64,
) -> Result<(), ElfError> {
    if count > limit {
        return Err(ElfError::TooMany { what, count, limit });
    }
    // No overflow in the product: the count is limited, an entry is at most 64 bytes.
    let end = start.saturating_add(count * entry as u64);
    if start != 0 && end > data.len() as u64 {
        return Err(truncated(format!("the table of {what}"), end, data));
    }
    Ok(())
}

fn parse<'data, H: FileHeader<Endian = Endianness>>(
    data: &'data [u8],
) -> Result<Elf<'data>, ElfError> {
    if data.len() < size_of::<H>() {
        return Err(truncated("the ELF header", size_of::<H>() as u64, data));
    }
    let header = H::parse(data).map_err(|e| malformed("the ELF header", e))?;
    let endian = header.endian().map_err(|e| malformed("the ELF header", e))?;
    let table = |start: u64, count: usize, entry: usize| {
        // The tables were found to lie in the file.
        start as usize..(start as usize).saturating_add(count.saturating_mul(entry))
    };
    let segments = segments(header, endian, data)?;
    let sections = sections(header, endian, data)?;
    let headers = [
        0..size_of::<H>(),
        table(header.e_phoff(endian).into(), segments.len(), size_of::<H::ProgramHeader>()),
        table(header.e_shoff(endian).into(), sections.len(), size_of::<H::SectionHeader>()),
    ];
    Ok(Elf {
        data,
        is_64: header.is_type_64(),
        big_endian: header.is_big_endian(),
        file_type: header.e_type(endian).0,
        machine: header.e_machine(endian).0,
        flags: header.e_flags(endian).0,
        entry: header.e_entry(endian).into(),
        segments,
        sections,
        headers,
    })
}

fn segments<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    data: &[u8],
) -> Result<Vec<Segment>, ElfError> {
    let failed = |e| malformed("the table of segments", e);
    let start: u64 = header.e_phoff(endian).into();
    let count = header.phnum(endian, data).map_err(failed)?;
    let table = (start, u64::from(count), size_of::<H::ProgramHeader>());
    check_table(data, "segments", table, MAX_SEGMENTS)?;
    let segments = header.program_headers(endian, data).map_err(failed)?;
    let length = data.len() as u64;
    let mut claimed = 0_u64;
    let mut found = Vec::with_capacity(segments.len());
    for it in segments {
        let segment = Segment::of(it, endian);
        if segment.kind == abi::PT_LOAD.0 {
            let end = segment.offset.saturating_add(segment.file_size);
            if end > length {
                return Err(truncated("a loaded segment", end, data));
            }
            claimed = claimed.saturating_add(segment.file_size);
        }
        found.push(segment);
    }
    if claimed > length.saturating_mul(MOST_CLAIMS) {
        return Err(ElfError::Overlap { what: "loaded segments", claimed, length });
    }
    Ok(found)
}

fn sections<'data, H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    data: &'data [u8],
) -> Result<Vec<Section<'data>>, ElfError> {
    let failed = |e| malformed("the table of sections", e);
    let start: u64 = header.e_shoff(endian).into();
    if start > data.len() as u64 {
        return Err(truncated("the table of sections", start, data));
    }
    let count = header.shnum(endian, data).map_err(failed)?;
    let table = (start, u64::from(count), size_of::<H::SectionHeader>());
    check_table(data, "sections", table, MAX_SECTIONS)?;
    let table = header.section_headers(endian, data).map_err(failed)?;
    let names = match table {
        [] => &[][..],
        _ => {
            let index = header.section_strings_index(endian, data).map_err(failed)?;
            table.get(index.0).map_or(Ok(&[][..]), |it| it.data(endian, data)).map_err(failed)?
        }
    };
    let mut claimed = 0_u64;
    let mut sections = Vec::with_capacity(table.len());
    for (index, it) in table.iter().enumerate() {
        let unnamed = || malformed(&format!("the name of section {index}"), "no such text");
        let kind = it.sh_type(endian);
        // The null section's fields may hold what does not fit into the file header.
        let is_null = kind == abi::SHT_NULL;
        let mut section = Section {
            name: if is_null {
                b""
            } else {
                name_at(names, it.sh_name(endian)).ok_or_else(unnamed)?
            },
            kind: kind.0,
            flags: it.sh_flags(endian).0,
            address: it.sh_addr(endian).into(),
            size: it.sh_size(endian).into(),
            align: it.sh_addralign(endian).into(),
            link: it.sh_link(endian),
            info: it.sh_info(endian),
            bytes: None,
        };
        if kind != abi::SHT_NOBITS && (!is_null || section.is_allocated()) {
            let range = section_range(data, it.sh_offset(endian).into(), &section)?;
            if section.is_allocated() {
                claimed = claimed.saturating_add(section.size);
            }
            section.bytes = Some(range);
        }
        sections.push(section);
    }
    let length = data.len() as u64;
    if claimed > length {
        return Err(ElfError::Overlap { what: "allocated sections", claimed, length });
    }
    Ok(sections)
}

/// A name of a string table: from an offset to the next NUL.
pub(crate) fn name_at(names: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = names.get(offset as usize..)?;
    let name = &rest[..rest.len().min(MAX_NAME)];
    name.iter().position(|&byte| byte == 0).map(|end| &name[..end])
}

/// The bytes of a section in the file.
fn section_range(
    data: &[u8],
    offset: u64,
    section: &Section<'_>,
) -> Result<Range<usize>, ElfError> {
    let end = offset.saturating_add(section.size);
    if end > data.len() as u64 {
        return Err(truncated(format!("section '{}'", section.display_name()), end, data));
    }
    // Both fit: they are not past the end of a slice.
    Ok(offset as usize..end as usize)
}

fn symbols<'data, H: FileHeader<Endian = Endianness>>(
    data: &'data [u8],
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Symbol<'data>>, ElfError> {
    let failed = |e| malformed("the symbol table", e);
    let header = H::parse(data).map_err(failed)?;
    let endian = header.endian().map_err(failed)?;
    let sections = header.sections(endian, data).map_err(failed)?;
    let table = sections.symbols(endian, data, abi::SHT_SYMTAB).map_err(failed)?;
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let names = sections.section(table.string_section()).map_err(failed)?;
    let names = names.data(endian, data).map_err(failed)?;
    let mut found = Vec::new();
    for (index, symbol) in table.enumerate() {
        // A symbol whose name can't be read is none that is wanted.
        let Some(name) = name_at(names, symbol.st_name(endian)).filter(|it| wanted(it)) else {
            continue;
        };
        if let Some(section) = table.symbol_section(endian, symbol, index).map_err(failed)? {
            found.push(Symbol {
                name,
                is_object: symbol.st_type() == abi::STT_OBJECT,
                section: section.0,
                address: symbol.st_value(endian).into(),
                size: symbol.st_size(endian).into(),
            });
        }
    }
    Ok(found)
}
