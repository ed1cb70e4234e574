//! Writes small ELF files for tests, of any word size and byte order, by the format's tables.

/// Bytes in the order of a file's class and endianness.
struct Out {
    bytes: Vec<u8>,
    is_64: bool,
    big_endian: bool,
}

impl Out {
    fn put<const N: usize>(&mut self, little: [u8; N]) {
        let mut value = little;
        if self.big_endian {
            value.reverse();
        }
        self.bytes.extend(value);
    }

    fn half(&mut self, value: u16) {
        self.put(value.to_le_bytes());
    }

    fn word(&mut self, value: u32) {
        self.put(value.to_le_bytes());
    }

    /// An address, offset or size.
    fn native(&mut self, value: u64) {
        if self.is_64 {
            self.put(value.to_le_bytes());
        } else {
            self.put((value as u32).to_le_bytes());
        }
    }

    fn pad_to(&mut self, length: usize) {
        assert!(self.bytes.len() <= length);
        self.bytes.resize(length, 0);
    }
}

pub(crate) const PROGBITS: u32 = 1;
pub(crate) const NOTE: u32 = 7;
pub(crate) const NOBITS: u32 = 8;
pub(crate) const ALLOC: u64 = 2;

#[derive(Clone, Debug)]
pub(crate) struct TestSection {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) align: u64,
    pub(crate) data: Vec<u8>,
    /// Size in memory of a NOBITS section.
    pub(crate) size: u64,
}

#[derive(Clone, Debug)]
struct TestSymbol {
    name: &'static str,
    section: &'static str,
    offset: u64,
    size: u64,
    kind: u8,
}

/// An ELF file to be.
#[derive(Clone, Debug)]
pub(crate) struct TestElf {
    pub(crate) is_64: bool,
    pub(crate) big_endian: bool,
    pub(crate) file_type: u16,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) sections: Vec<TestSection>,
    symbols: Vec<TestSymbol>,
}

impl TestElf {
    /// An executable of 64 bits, little-endian, without sections.
    pub(crate) fn new() -> Self {
        Self {
            is_64: true,
            big_endian: false,
            file_type: 2,
            machine: 62,
            entry: 0x10_0000,
            sections: Vec::new(),
            symbols: Vec::new(),
        }
    }

    /// Empty executables of both word sizes and both byte orders.
    pub(crate) fn every_format() -> Vec<Self> {
        [(true, false), (true, true), (false, false), (false, true)]
            .map(|(is_64, big_endian)| Self { is_64, big_endian, ..Self::new() })
            .into()
    }

    pub(crate) fn section(mut self, name: &'static str, kind: u32, flags: u64, d: Vec<u8>) -> Self {
        let address = match self.sections.last() {
            None => 0x8100_0000,
            Some(last) => {
                (last.address + last.size.max(last.data.len() as u64)).next_multiple_of(0x1000)
            }
        };
        let size = d.len() as u64;
        self.sections.push(TestSection { name, kind, flags, address, align: 16, data: d, size });
        self
    }

    pub(crate) fn nobits(mut self, name: &'static str, size: u64) -> Self {
        self = self.section(name, NOBITS, ALLOC, Vec::new());
        self.named(name).size = size;
        self
    }

    pub(crate) fn note_section(mut self, name: &'static str, data: Vec<u8>, align: u64) -> Self {
        self = self.section(name, NOTE, ALLOC, data);
        self.named(name).align = align;
        self
    }

    /// A symbol of a type (1 for data, 0 for a label) at an offset of a section.
    pub(crate) fn symbol(
        mut self,
        name: &'static str,
        section: &'static str,
        range: std::ops::Range<usize>,
        kind: u8,
    ) -> Self {
        let (offset, size) = (range.start as u64, range.len() as u64);
        self.symbols.push(TestSymbol { name, section, offset, size, kind });
        self
    }

    pub(crate) fn without_symbols(mut self) -> Self {
        self.symbols.clear();
        self
    }

    pub(crate) fn named(&mut self, name: &str) -> &mut TestSection {
        self.sections.iter_mut().find(|it| it.name == name).unwrap()
    }

    fn position(&self, name: &str) -> usize {
        self.sections.iter().position(|it| it.name == name).unwrap()
    }

    fn header_size(&self) -> usize {
        if self.is_64 { 64 } else { 52 }
    }

    fn segment_size(&self) -> usize {
        if self.is_64 { 56 } else { 32 }
    }

    fn is_segment(section: &TestSection) -> bool {
        section.flags & ALLOC != 0
    }

    /// Offset of a section's bytes in the file.
    pub(crate) fn offset(&self, name: &str) -> usize {
        self.offsets()[self.position(name)]
    }

    /// Each section by itself is a segment; a note section is a note segment too.
    fn segments(&self) -> Vec<(u32, usize)> {
        let numbered = || self.sections.iter().enumerate();
        let loads = numbered().filter(|(_, it)| Self::is_segment(it)).map(|(i, _)| (1, i));
        let notes = numbered().filter(|(_, it)| it.kind == NOTE).map(|(i, _)| (4, i));
        loads.chain(notes).collect()
    }

    fn offsets(&self) -> Vec<usize> {
        let mut at = self.header_size() + self.segments().len() * self.segment_size();
        self.sections
            .iter()
            .map(|section| {
                let start = at.next_multiple_of(16);
                at = start + section.data.len();
                start
            })
            .collect()
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let out = || Out { bytes: Vec::new(), is_64: self.is_64, big_endian: self.big_endian };
        let offsets = self.offsets();

        let mut body = out();
        self.write_segments(&mut body, &offsets);
        for (section, offset) in self.sections.iter().zip(&offsets) {
            body.pad_to(offset - self.header_size());
            body.bytes.extend(&section.data);
        }
        let mut names = vec![0];
        let mut table = out();
        let mut header = |out: &mut Out, name: &str, fields: [u64; 9]| {
            let [kind, flags, address, offset, size, link, info, align, entry] = fields;
            out.word(if name.is_empty() { 0 } else { names.len() as u32 });
            if !name.is_empty() {
                names.extend(name.bytes().chain([0]));
            }
            out.word(kind as u32);
            out.native(flags);
            out.native(address);
            out.native(offset);
            out.native(size);
            out.word(link as u32);
            out.word(info as u32);
            out.native(align);
            out.native(entry);
        };
        header(&mut table, "", [0; 9]);
        for (it, offset) in self.sections.iter().zip(&offsets) {
            let size = if it.kind == NOBITS { it.size } else { it.data.len() as u64 };
            let kind = it.kind.into();
            let offset = *offset as u64;
            let fields = [kind, it.flags, it.address, offset, size, 0, 0, it.align, 0];
            header(&mut table, it.name, fields);
        }
        let count = self.sections.len() as u64;
        let (symbols, strings) = self.symbol_tables(out());
        for (name, kind, bytes, link) in
            [(".symtab", 2, symbols, count + 2), (".strtab", 3, strings, 0)]
        {
            let offset = (self.header_size() + body.bytes.len()) as u64;
            let entry = if self.is_64 { 24 } else { 16 };
            let size = bytes.len() as u64;
            header(&mut table, name, [kind, 0, 0, offset, size, link, 1, 1, entry]);
            body.bytes.extend(bytes);
        }
        let offset = (self.header_size() + body.bytes.len()) as u64;
        let length = (names_length(&self.sections) + ".symtab.strtab.shstrtab".len() + 4) as u64;
        header(&mut table, ".shstrtab", [3, 0, 0, offset, length, 0, 0, 1, 0]);
        assert_eq!(names.len() as u64, length);
        body.bytes.extend(names);

        let mut file = out();
        self.write_header(&mut file, body.bytes.len());
        file.bytes.extend(body.bytes);
        file.bytes.extend(table.bytes);
        file.bytes
    }

    fn write_header(&self, out: &mut Out, body: usize) {
        let class = if self.is_64 { 2 } else { 1 };
        out.bytes.extend(b"\x7fELF");
        out.bytes.extend([class, if self.big_endian { 2 } else { 1 }, 1]);
        out.pad_to(16);
        out.half(self.file_type);
        out.half(self.machine);
        out.word(1);
        out.native(self.entry);
        out.native(self.header_size() as u64);
        out.native((self.header_size() + body) as u64);
        out.word(0);
        out.half(self.header_size() as u16);
        out.half(self.segment_size() as u16);
        out.half(self.segments().len() as u16);
        out.half(if self.is_64 { 64 } else { 40 });
        out.half(self.sections.len() as u16 + 4);
        out.half(self.sections.len() as u16 + 3);
    }

    fn write_segments(&self, out: &mut Out, offsets: &[usize]) {
        for (kind, index) in self.segments() {
            let section = &self.sections[index];
            out.word(kind);
            if self.is_64 {
                out.word(7);
            }
            out.native(offsets[index] as u64);
            out.native(section.address);
            out.native(section.address & 0xfff_ffff);
            out.native(section.data.len() as u64);
            out.native(section.size);
            if !self.is_64 {
                out.word(7);
            }
            out.native(section.align);
        }
    }

    fn symbol_tables(&self, mut out: Out) -> (Vec<u8>, Vec<u8>) {
        let mut strings = vec![0];
        out.pad_to(if self.is_64 { 24 } else { 16 });
        for symbol in &self.symbols {
            let section = self.position(symbol.section);
            let value = self.sections[section].address + symbol.offset;
            let index = section as u16 + 1;
            out.word(strings.len() as u32);
            strings.extend(symbol.name.bytes().chain([0]));
            if self.is_64 {
                out.bytes.extend([symbol.kind, 0]);
                out.half(index);
                out.native(value);
                out.native(symbol.size);
            } else {
                out.native(value);
                out.native(symbol.size);
                out.bytes.extend([symbol.kind, 0]);
                out.half(index);
            }
        }
        (out.bytes, strings)
    }
}

fn names_length(sections: &[TestSection]) -> usize {
    sections.iter().map(|it| it.name.len() + 1).sum()
}

/// A note, padded.
pub(crate) fn note(owner: &str, kind: u32, text: &[u8], align: usize, big_endian: bool) -> Vec<u8> {
    let mut out = Out { bytes: Vec::new(), is_64: false, big_endian };
    out.word(owner.len() as u32 + 1);
    out.word(text.len() as u32);
    out.word(kind);
    out.bytes.extend(owner.bytes().chain([0]));
    out.bytes.resize(out.bytes.len().next_multiple_of(align), 0);
    out.bytes.extend(text);
    out.bytes.resize(out.bytes.len().next_multiple_of(align), 0);
    out.bytes
}
