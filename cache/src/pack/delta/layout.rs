//! Where the bytes of a file lie in memory when it runs.

use std::ops::Range;

/// Bytes of a file that have addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset of the first in the file.
    pub(crate) start: u64,
    /// How many.
    pub(crate) len: u64,
    /// Address of the first.
    pub(crate) addr: u64,
}

/// The addresses of a file, by ascending offsets, and what they all lie in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) spans: Vec<Span>,
    /// The lowest address of the program.
    pub(crate) low: u64,
    /// Length of all of it, with what the file does not hold (`.bss`).
    pub(crate) size: u64,
}

/// A section of a 64-bit ELF file, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) addr: u64,
    /// Offset in the file.
    pub(super) start: u64,
    pub(super) len: u64,
    /// The section that this one speaks of: symbols, for relocations.
    pub(super) link: u64,
}

pub(super) const SHT_RELA: u32 = 4;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
/// Kernels lie in the upper half; per-CPU sections have addresses of their own near zero.
const UPPER_HALF: u64 = 1 << 63;
/// A program longer than this is none that 32-bit offsets could name.
const LONGEST: u64 = 1 << 31;

impl Layout {
    /// The sections of a 64-bit little-endian ELF file that are loaded. Empty for anything else,
    /// and for an ELF file that contradicts itself: a layout is a hint, never a promise.
    pub(crate) fn of_elf(file: &[u8]) -> Self {
        Self::read(file).unwrap_or_default()
    }

    /// Symbol tables as text (`System.map`): no bytes of it have addresses, but it speaks of some.
    pub(crate) fn of_text() -> Self {
        Self { spans: Vec::new(), low: 0xffff_ffff_8000_0000, size: 1 << 30 }
    }

    fn read(file: &[u8]) -> Option<Self> {
        let (mut spans, mut low, mut high) = (Vec::new(), u64::MAX, 0);
        for section in Section::all(file)? {
            let Section { addr, start, len, .. } = section;
            if !section.is_loaded() {
                continue;
            }
            low = low.min(addr);
            high = high.max(addr.checked_add(len)?);
            start.checked_add(len)?;
            if section.place(file).is_some() {
                spans.push(Span { start, len, addr });
            }
        }
        spans.sort_by_key(|span| span.start);
        let apart = spans.windows(2).all(|pair| pair[0].start + pair[0].len <= pair[1].start);
        let size = high.checked_sub(low).filter(|size| *size < LONGEST)?;
        apart.then_some(Self { spans, low, size })
    }

    /// The address of an offset, and how many bytes from there on follow the same rule.
    pub(crate) fn at(&self, offset: u64) -> (Option<u64>, u64) {
        let next = self.spans.partition_point(|span| span.start <= offset);
        if let Some(span) = next.checked_sub(1).map(|n| self.spans[n])
            && offset - span.start < span.len
        {
            return (Some(span.addr + (offset - span.start)), span.len - (offset - span.start));
        }
        (None, self.spans.get(next).map_or(u64::MAX, |span| span.start - offset))
    }
}

impl Section {
    /// The sections of a 64-bit little-endian ELF file; `None` for anything else.
    pub(super) fn all(file: &[u8]) -> Option<Vec<Self>> {
        if file.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let table = number(file, 0x28, 8)?;
        let (entry, count) = (number(file, 0x3a, 2)?, number(file, 0x3c, 2)?);
        let header = |n: u64| {
            let at = usize::try_from(table.checked_add(n.checked_mul(entry)?)?).ok()?;
            let field = |offset: usize, len| number(file, at.checked_add(offset)?, len);
            Some(Self {
                kind: field(4, 4)? as u32,
                flags: field(8, 8)?,
                addr: field(16, 8)?,
                start: field(24, 8)?,
                len: field(32, 8)?,
                link: field(40, 4)?,
            })
        };
        (0..count).map(header).collect()
    }

    /// Whether it is part of the program.
    pub(super) fn is_loaded(&self) -> bool {
        self.flags & SHF_ALLOC != 0 && self.addr >= UPPER_HALF && self.len > 0
    }

    /// Whether it holds instructions.
    pub(super) fn is_code(&self) -> bool {
        self.is_loaded() && self.flags & SHF_EXECINSTR != 0
    }

    /// Whether it holds data that have addresses.
    pub(super) fn is_data(&self) -> bool {
        self.is_loaded() && !self.is_code()
    }

    /// Where its bytes lie, if the file has them all.
    pub(super) fn place(&self, file: &[u8]) -> Option<Range<usize>> {
        let (start, len) = (usize::try_from(self.start).ok()?, usize::try_from(self.len).ok()?);
        let place = start..start.checked_add(len)?;
        (self.kind != SHT_NOBITS && place.end <= file.len()).then_some(place)
    }

    /// Its bytes, if the file has them all.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(self.place(file)?)
    }
}

fn number(file: &[u8], at: usize, len: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(file.get(at..at.checked_add(len)?)?);
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_addresses_inside_spans_only() {
        let span = Span { start: 100, len: 50, addr: 1000 };
        let layout = Layout { spans: vec![span], low: 1000, size: 50 };
        assert_eq!(layout.at(0), (None, 100));
        assert_eq!(layout.at(100), (Some(1000), 50));
        assert_eq!(layout.at(149), (Some(1049), 1));
        assert_eq!(layout.at(150), (None, u64::MAX));
    }

    #[test]
    fn nonsense_has_no_addresses() {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0xff);
        assert_eq!(Layout::of_elf(&file), Layout::default());
        assert_eq!(Layout::of_elf(b"text"), Layout::default());
    }
}
