//! Tables of references, of which any two places look alike.
//!
//! The unwind table of a kernel is half a million ascending distances. Its neighbours differ in one
//! byte of four, so a run that is one entry off agrees with the base nearly as well as the right one,
//! and every entry of it is predicted wrong. What tells the places of a table apart is not what
//! stands there but where it leads *after everything has moved*: said that way, the right runs agree
//! in all bytes and all others in none.

use super::layout::{Layout, SHT_RELA, Section};
use super::matching::{Copy, append, find};

/// Bytes that are looked at together to tell whether they are a table.
const PAGE: usize = 4096;
/// Words of a page that say nothing: fewer references are no table.
const FEW: usize = 32;
/// Length of an entry of a relocation table with addends.
const RELA: usize = 24;
/// Length of an entry of a symbol table.
const SYMBOL: usize = 24;

/// How the entries of a table refer to what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 4 bytes: distance from the entry to code. The address of the first.
    FromHere(u64),
    /// 4 bytes: offset from the lowest address, ascending.
    Offsets,
    /// 4 bytes: -1 less the offset, descending.
    Negated,
    /// 24 bytes: place, kind, symbol and addend (`Elf64_Rela`). The section of its symbols.
    Relocations(u64),
}

/// A part of a file that is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    start: usize,
    len: usize,
    kind: Kind,
    /// Where its meanings begin: behind those of all tables before.
    meanings: usize,
}

/// A file and its tables.
struct Tables<'a> {
    file: &'a [u8],
    low: u64,
    size: u64,
    sections: Vec<Section>,
    /// First address and length of each section of code, ascending.
    code: Vec<(u64, u64)>,
    /// Ascending, apart.
    tables: Vec<Table>,
}

/// The runs of the tables of `new`, by where their entries lead: to be laid over those that were found
/// by bytes. `moved` gives where an address of the base is in the new file. Empty where there are no
/// tables.
pub(super) fn runs(
    base: (&[u8], &Layout),
    new: (&[u8], &Layout),
    moved: impl Fn(u64) -> u64,
) -> Vec<Copy> {
    let (Some(base), Some(new)) = (Tables::of(base), Tables::of(new)) else { return Vec::new() };
    let runs = find(&base.meanings(moved), &new.meanings(|address| address), &[]);
    let mut copies = Vec::new();
    for run in runs {
        cut(&run, &base.tables, &new.tables, &mut copies);
    }
    copies.sort_by_key(|copy| copy.new);
    copies
}

/// Cuts a run through the meanings where a table of either file ends, to whole words.
fn cut(run: &Copy, base: &[Table], new: &[Table], copies: &mut Vec<Copy>) {
    let skip = run.new.next_multiple_of(4) - run.new;
    let (mut at, mut there, mut left) =
        (run.new + skip, run.base + skip, run.len.saturating_sub(skip));
    // Meanings a fraction of a word apart agree by chance.
    while left >= 4 && there.is_multiple_of(4) {
        let (Some(here), Some(source)) = (place(new, at), place(base, there)) else { return };
        let len = left.min(here.1).min(source.1) & !3;
        if len == 0 {
            return;
        }
        copies.push(Copy { new: here.0, base: source.0, len });
        (at, there, left) = (at + len, there + len, left - len);
    }
}

/// The offset in the file of an offset in its meanings, and how much of that table follows.
fn place(tables: &[Table], offset: u64) -> Option<(u64, u64)> {
    let next = tables.partition_point(|table| table.meanings as u64 <= offset);
    let table = tables.get(next.checked_sub(1)?)?;
    let within = offset - table.meanings as u64;
    let left = (table.len as u64).checked_sub(within).filter(|left| *left > 0)?;
    Some((table.start as u64 + within, left))
}

impl<'a> Tables<'a> {
    /// `None` of a file without tables, or without a layout: in that one sections may overlap, and
    /// looking at each of them would never end.
    fn of((file, &Layout { low, size, .. }): (&'a [u8], &Layout)) -> Option<Self> {
        if size == 0 {
            return None;
        }
        let sections = Section::all(file)?;
        let code = sections.iter().filter(|it| it.is_code()).map(|it| (it.addr, it.len));
        let mut code: Vec<_> = code.collect();
        code.sort_unstable();
        let mut tables = Self { file, low, size, sections, code, tables: Vec::new() };
        let mut found = Vec::new();
        for section in &tables.sections {
            let Some(bytes) = section.bytes(file) else { continue };
            let start = section.start as usize;
            if section.kind == SHT_RELA {
                // Relocations of debug information are many, and of nothing that has an address.
                if tables.is_inside(le64(bytes)) {
                    let (len, kind) = (bytes.len() / RELA * RELA, Kind::Relocations(section.link));
                    found.push(Table { start, len, kind, meanings: 0 });
                }
            } else if section.is_data() && start.is_multiple_of(4) {
                tables.pages(section, bytes, &mut found);
            }
        }
        found.retain(|table| table.len > 0);
        found.sort_by_key(|table| table.start);
        let apart = found.windows(2).all(|pair| pair[0].start + pair[0].len <= pair[1].start);
        let mut all = 0;
        for table in &mut found {
            table.meanings = all;
            all += table.len;
        }
        tables.tables = found;
        (apart && all > 0).then_some(tables)
    }

    /// The tables of a section of data, by the looks of its pages.
    fn pages(&self, section: &Section, bytes: &[u8], found: &mut Vec<Table>) {
        let start = section.start as usize;
        let mut at = 0;
        while at < bytes.len() {
            let end = ((start + at) / PAGE * PAGE + PAGE - start).min(bytes.len() & !3);
            if end <= at {
                return;
            }
            let addr = section.addr.wrapping_add(at as u64);
            if let Some(kind) = self.kind(&bytes[at..end], addr) {
                match found.last_mut() {
                    Some(last) if last.start + last.len == start + at && last.goes_on(kind) => {
                        last.len += end - at;
                    }
                    _ => found.push(Table { start: start + at, len: end - at, kind, meanings: 0 }),
                }
            }
            at = end;
        }
    }

    /// What a page of data is a table of.
    fn kind(&self, page: &[u8], addr: u64) -> Option<Kind> {
        let (mut words, mut here) = (0, 0);
        // Pairs of neighbours, and those that go up and down.
        let (mut offsets, mut up, mut negated, mut down) = (0, 0, 0, 0);
        let mut last = None;
        for (n, word) in page.chunks_exact(4).map(le32).enumerate() {
            if word == 0 {
                continue;
            }
            words += 1;
            let target =
                addr.wrapping_add(4 * n as u64).wrapping_add_signed(i64::from(word as i32));
            here += usize::from(self.is_code(target));
            let inside = |word: u32| u64::from(word) < self.size;
            offsets += usize::from(inside(word));
            negated += usize::from(inside(!word));
            if let Some(last) = last {
                up += usize::from(word >= last);
                down += usize::from(word <= last);
            }
            last = Some(word);
        }
        let most = |count: usize| words >= FEW && count * 10 >= words * 9;
        if most(here) {
            Some(Kind::FromHere(addr))
        } else if most(offsets) && most(up) && !most(down) {
            Some(Kind::Offsets)
        } else if most(negated) && most(down) && !most(up) {
            Some(Kind::Negated)
        } else {
            None
        }
    }

    fn is_code(&self, address: u64) -> bool {
        let next = self.code.partition_point(|(first, _)| *first <= address);
        let section = next.checked_sub(1).and_then(|n| self.code.get(n));
        section.is_some_and(|(first, len)| address - first < *len)
    }

    fn is_inside(&self, address: u64) -> bool {
        address.wrapping_sub(self.low) < self.size
    }

    /// What the entries of all tables mean, one table after the other: as many bytes.
    fn meanings(&self, moved: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.tables.iter().map(|table| table.len).sum());
        let moved = |address: u64| if self.is_inside(address) { moved(address) } else { address };
        for Table { start, len, kind, .. } in &self.tables {
            let bytes = &self.file[*start..*start + *len];
            // Entries of another kind mean something else: each has a salt of its own.
            match *kind {
                Kind::Relocations(symbols) => self.relocations(bytes, symbols, &moved, &mut out),
                Kind::FromHere(addr) => words(bytes, 1 << 60, &mut out, |n, word| {
                    let here = addr.wrapping_add(4 * n);
                    moved(here.wrapping_add_signed(i64::from(word as i32)))
                }),
                Kind::Offsets => words(bytes, 2 << 60, &mut out, |_, word| {
                    moved(self.low.wrapping_add(word.into()))
                }),
                Kind::Negated => words(bytes, 3 << 60, &mut out, |_, word| {
                    moved(self.low.wrapping_add((!word).into()))
                }),
            }
        }
        out
    }

    fn relocations(
        &self,
        bytes: &[u8],
        symbols: u64,
        moved: &impl Fn(u64) -> u64,
        out: &mut Vec<u8>,
    ) {
        let symbols = usize::try_from(symbols).ok().and_then(|n| self.sections.get(n));
        let symbols = symbols.and_then(|section| section.bytes(self.file)).unwrap_or_default();
        for entry in bytes.chunks_exact(RELA) {
            let (place, info, addend) = (le64(entry), le64(&entry[8..]), le64(&entry[16..]));
            let symbol = (info >> 32) as usize * SYMBOL;
            let value = symbols.get(symbol + 8..symbol + 16).map_or(0, le64);
            let target = mix(moved(value.wrapping_add(addend)) ^ (info & 0xffff_ffff) << 32);
            // Where tables have moved to is not known yet.
            let place = if self.is_code(place) { mix(moved(place)) } else { 0 };
            for word in [target, place, mix(target ^ place)] {
                out.extend(word.to_le_bytes());
            }
        }
    }
}

impl Table {
    /// Whether a page of this kind behind it belongs to it.
    fn goes_on(&self, kind: Kind) -> bool {
        match (self.kind, kind) {
            (Kind::FromHere(first), Kind::FromHere(next)) => {
                first.wrapping_add(self.len as u64) == next
            }
            (a, b) => a == b,
        }
    }
}

/// Appends what words mean, by where each leads; zero leads nowhere.
fn words(bytes: &[u8], salt: u64, out: &mut Vec<u8>, target: impl Fn(u64, u32) -> u64) {
    for (n, word) in (0..).zip(bytes.chunks_exact(4).map(le32)) {
        let target = if word == 0 { 0 } else { target(n, word) };
        out.extend((mix(target ^ salt) as u32).to_le_bytes());
    }
}

fn le32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |it| u32::from_le_bytes(*it))
}

fn le64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |it| u64::from_le_bytes(*it))
}

/// Different numbers give bytes that have nothing in common (the finalizer of SplitMix64).
fn mix(mut number: u64) -> u64 {
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Lays runs over others, all ascending in the new file and apart: where both have a place, it is
/// that of `over`.
pub(super) fn lay_over(under: &[Copy], over: &[Copy]) -> Vec<Copy> {
    let mut out: Vec<Copy> = Vec::with_capacity(under.len() + over.len());
    let mut add = |copy: Copy| {
        if copy.len > 0 {
            append(&mut out, copy);
        }
    };
    let mut over = over.iter().copied().peekable();
    let mut at = 0;
    for copy in under {
        let end = copy.new + copy.len;
        at = copy.new.max(at);
        let part = |from: u64, to: u64| Copy {
            new: from,
            base: copy.base + (from - copy.new),
            len: to.saturating_sub(from),
        };
        while let Some(next) = over.next_if(|next| next.new < end) {
            add(part(at.min(end), next.new));
            add(next);
            at = at.max(next.new + next.len);
        }
        add(part(at.min(end), end));
    }
    over.for_each(add);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn copy(new: u64, base: u64, len: u64) -> Copy {
        Copy { new, base, len }
    }

    #[test]
    fn a_run_is_cut_where_a_table_ends_and_to_whole_words() {
        let table = |start, len, meanings| Table { start, len, kind: Kind::Offsets, meanings };
        let base = [table(1000, 40, 0), table(3000, 40, 40)];
        let new = [table(100, 60, 0), table(500, 40, 60)];
        let mut copies = Vec::new();
        cut(&copy(5, 1, 71), &base, &new, &mut copies);
        assert_eq!(copies, [copy(108, 1004, 36), copy(144, 3000, 16), copy(500, 3016, 16)]);
        copies.clear();
        // Nothing fits there, and what is left ends with the tables.
        cut(&copy(4, 2, 20), &base, &new, &mut copies);
        assert_eq!(copies, []);
        cut(&copy(0, 76, 100), &base, &new, &mut copies);
        assert_eq!(copies, [copy(100, 3036, 4)]);
    }

    #[test]
    fn what_is_laid_over_hides_what_is_under_it() {
        let under = [copy(0, 100, 50), copy(60, 500, 40)];
        let over = [copy(10, 900, 10), copy(40, 950, 25)];
        let laid = lay_over(&under, &over);
        let want = [
            copy(0, 100, 10),
            copy(10, 900, 10),
            copy(20, 120, 20),
            copy(40, 950, 25),
            copy(65, 505, 35),
        ];
        assert_eq!(laid, want);
        assert_eq!(lay_over(&[], &over), over);
        assert_eq!(lay_over(&under, &[]), under);
    }

    #[test]
    fn a_page_is_a_table_by_its_looks() {
        let mut tables = Tables {
            file: &[],
            low: 0x1000_0000,
            size: 1 << 24,
            sections: Vec::new(),
            code: vec![(0x1000_0000, 0x10000)],
            tables: Vec::new(),
        };
        let page = |word: &dyn Fn(u32) -> u32| -> Vec<u8> {
            (0..1024).flat_map(|n| word(n).to_le_bytes()).collect()
        };
        let data = 0x1080_0000;
        let here = page(&|n| (0x1000_0000 + 60 * n).wrapping_sub(data + 4 * n));
        assert_eq!(tables.kind(&here, data.into()), Some(Kind::FromHere(data.into())));
        assert_eq!(tables.kind(&page(&|n| 1000 + 40 * n), data.into()), Some(Kind::Offsets));
        assert_eq!(tables.kind(&page(&|n| !(1000 + 40 * n)), data.into()), Some(Kind::Negated));
        // All the same, in no order, nearly empty, text.
        assert_eq!(tables.kind(&page(&|_| 7), data.into()), None);
        assert_eq!(tables.kind(&page(&|n| mix(n.into()) as u32 >> 9), data.into()), None);
        assert_eq!(tables.kind(&page(&|n| if n < 20 { 40 * n } else { 0 }), data.into()), None);
        assert_eq!(tables.kind(&page(&|n| u32::from_le_bytes(*b"text") + n), data.into()), None);
        tables.code.clear();
        assert_eq!(tables.kind(&here, data.into()), None);
    }

    proptest! {
        #[test]
        fn whatever_is_laid_over_whatever(
            under in proptest::collection::vec((0..40_u64, 1..40_u64), 0..10),
            over in proptest::collection::vec((0..40_u64, 1..40_u64), 0..10),
        ) {
            let runs = |gaps: Vec<(u64, u64)>, base: u64| -> Vec<Copy> {
                let mut end = 0;
                let run = |(gap, len)| {
                    let new = end + gap;
                    end = new + len;
                    copy(new, base + 7 * new, len)
                };
                gaps.into_iter().map(run).collect()
            };
            let (under, over) = (runs(under, 10_000), runs(over, 90_000));
            let source = |copies: &[Copy], at: u64| {
                let copy = copies.iter().find(|it| it.new <= at && at < it.new + it.len)?;
                Some(copy.base + at - copy.new)
            };
            let laid = lay_over(&under, &over);
            prop_assert!(laid.windows(2).all(|it| it[0].new + it[0].len <= it[1].new));
            for at in 0..900 {
                let want = source(&over, at).or(source(&under, at));
                prop_assert_eq!(source(&laid, at), want, "at {}", at);
            }
        }
    }
}
