//! Which bytes of a section differ, and what holds them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kernel::Elves;
use super::lines::Lines;

/// What holds bytes that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder<'a> {
    /// A mask, by its tag.
    Mask(&'static str),
    /// A symbol or a label.
    Symbol(&'a [u8]),
    /// Neither.
    Nothing,
}

/// What else is seen of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    /// They are a line number, which differs in `vmlinux.o` too.
    Line,
    /// Something else lies at this address in the other kernel.
    Shifted,
    /// Nothing.
    Plain,
}

/// Differing bytes of a section.
pub(super) type Counts<'a> = BTreeMap<(Holder<'a>, Seen), u64>;

impl Elves<'_> {
    /// Differing bytes of two sections of one size, `a` and `b` in the files, by what holds them in
    /// the first.
    pub(super) fn counts(
        &self,
        [index, twin]: [usize; 2],
        a: Range<usize>,
        b: Range<usize>,
        lines: Option<&Lines>,
    ) -> Counts<'_> {
        let (before, after) = (&self.before.elf.data[a.clone()], &self.after.elf.data[b.clone()]);
        let sections = [&self.before.elf.sections[index], &self.after.elf.sections[twin]];
        let lines = lines.and_then(|it| it.within(sections[0].name, sections[0].size));
        let mut counts = Counts::new();
        for run in runs(before, after).into_iter().flat_map(|run| self.pieces(index, a.start, run))
        {
            let at = a.start + run.start;
            // A mask that lies elsewhere in the other kernel explains nothing here.
            let mask = self
                .before
                .mask_at(at)
                .filter(|kind| self.after.mask_at(b.start + run.start) == Some(*kind));
            if let Some(kind) = mask {
                let holder = Holder::Mask(kind.tag());
                *counts.entry((holder, Seen::Plain)).or_default() += run.len() as u64;
                continue;
            }
            let [address, there] = sections.map(|it| it.address + run.start as u64);
            let symbol = self.before.symbols.holding(index, address);
            // Padding belongs to what it follows.
            let follows = self.before.symbols.before(index, address);
            let other = self.after.symbols.before(twin, there);
            // By name and place in what it holds: then the byte is the same one of the same thing.
            let shifted = follows.map(|it| (it.name, address - it.address))
                != other.map(|it| (it.name, there - it.address));
            let holder = symbol.map_or(Holder::Nothing, |it| Holder::Symbol(it.name));
            let offsets = run.start as u64..run.end as u64;
            let in_lines = lines.map_or(0, |it| covered(it, offsets));
            let rest = run.len() as u64 - in_lines;
            let seen = if shifted { Seen::Shifted } else { Seen::Plain };
            for (seen, bytes) in [(Seen::Line, in_lines), (seen, rest)] {
                if bytes > 0 {
                    *counts.entry((holder, seen)).or_default() += bytes;
                }
            }
        }
        self.before.source.done(a);
        self.after.source.done(b);
        counts
    }

    /// A run of bytes of a section that begins at an offset of the first file, cut where a mask, a
    /// symbol, or what lies between symbols begins or ends.
    fn pieces(
        &self,
        section: usize,
        start: usize,
        run: Range<usize>,
    ) -> impl Iterator<Item = Range<usize>> {
        let first = self.before.elf.sections[section].address;
        let mut at = run.start;
        std::iter::from_fn(move || {
            let by_mask = self.before.mask_reach(start + at).saturating_sub(start);
            let by_symbol = self.before.symbols.reach(section, first + at as u64) - first;
            let end = run.end.min(by_mask).min(usize::try_from(by_symbol).unwrap_or(usize::MAX));
            let piece = (at < run.end).then_some(at..end)?;
            at = end;
            Some(piece)
        })
    }
}

/// How many bytes of a range lie in one of some ranges, which are sorted and don't overlap.
fn covered(ranges: &[Range<u64>], range: Range<u64>) -> u64 {
    let first = ranges.partition_point(|it| it.end <= range.start);
    let near = ranges[first..].iter().take_while(|it| it.start < range.end);
    near.map(|it| it.end.min(range.end) - it.start.max(range.start)).sum()
}

/// Ranges in which two slices differ, cut where they would span 64 bytes, so that each lies in
/// few symbols.
fn runs(a: &[u8], b: &[u8]) -> Vec<Range<usize>> {
    const PAGE: usize = 4096;
    const LONGEST: usize = 64;
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (page, (a, b)) in a.chunks(PAGE).zip(b.chunks(PAGE)).enumerate() {
        if a == b {
            continue;
        }
        for (offset, _) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
            let at = page * PAGE + offset;
            match runs.last_mut() {
                Some(last) if last.end == at && last.len() < LONGEST => last.end = at + 1,
                _ => runs.push(at..at + 1),
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::{covered, runs};

    #[test]
    fn runs_are_exact_and_short() {
        let a = vec![0; 9000];
        let mut b = a.clone();
        b[4095..4098].fill(1);
        b[5000] = 1;
        b[8000..8100].fill(1);
        assert_eq!(runs(&a, &b), [4095..4098, 5000..5001, 8000..8064, 8064..8100]);
        assert!(runs(&a, &a).is_empty());
    }

    #[test]
    fn bytes_that_are_lines_are_counted_by_themselves() {
        let lines = [8..10, 20..22];
        for (range, expected) in [(0..8, 0), (4..9, 1), (8..10, 2), (9..21, 2), (22..30, 0)] {
            assert_eq!(covered(&lines, range.clone()), expected, "{range:?}");
        }
    }
}
