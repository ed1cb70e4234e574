//! What a file looks like, said by another one: where its runs come from and how their fields
//! moved.

use super::fields::{Class, Kind, Place, Visit, scan};
use super::layout::{Layout, Span};
use super::matching::Copy;
use super::shifts::Shifts;
use super::wire::{Cut, Reader, put, put_signed};

/// log2 of the bytes of the base that share a class.
pub(super) const PAGE_LOG2: u32 = 12;
/// log2 of the bytes that are predicted at a time, independently of all others.
pub(crate) const UNIT_LOG2: u32 = 20;
/// Bytes that are predicted at a time.
pub(crate) const UNIT: u64 = 1 << UNIT_LOG2;

/// The prediction of a file from a base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) base_len: u64,
    pub(super) new_len: u64,
    pub(super) base: Layout,
    pub(super) new: Layout,
    /// Ascending in the new file.
    pub(super) copies: Vec<Copy>,
    /// The class of each page of the base.
    pub(super) classes: Vec<Class>,
    pub(super) shifts: Shifts,
}

/// A part of a copy whose bytes all follow the same rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) new: u64,
    pub(super) base: u64,
    pub(super) len: u64,
    pub(super) class: Class,
    pub(super) addr: Option<u64>,
    /// How far the bytes moved in memory.
    pub(super) here: i64,
}

/// Moves each field by what its target moved.
struct Apply<'a>(&'a Shifts);

impl Visit for Apply<'_> {
    #[inline]
    fn field(&mut self, _: usize, _: Kind, target: u32) -> Option<i32> {
        Some(self.0.at(target))
    }
}

impl Model {
    /// Size of the file that is predicted, in bytes.
    pub(crate) fn new_len(&self) -> u64 {
        self.new_len
    }

    /// Size of the base that it is predicted from.
    pub(crate) fn base_len(&self) -> u64 {
        self.base_len
    }

    /// The runs of a unit of the new file, cut to it.
    pub(crate) fn copies(&self, unit: u64) -> impl Iterator<Item = Copy> {
        let (from, to) = self.range(unit);
        let first = self.copies.partition_point(|copy| copy.new + copy.len <= from);
        self.copies[first..].iter().take_while(move |copy| copy.new < to).map(move |copy| {
            let start = copy.new.max(from);
            let end = (copy.new + copy.len).min(to);
            Copy { new: start, base: copy.base + (start - copy.new), len: end - start }
        })
    }

    /// Where a unit begins and ends in the new file.
    pub(super) fn range(&self, unit: u64) -> (u64, u64) {
        let from = (unit << UNIT_LOG2).min(self.new_len);
        (from, (from + UNIT).min(self.new_len))
    }

    /// Turns the bytes of a unit, into which its runs have been copied from the base, into the
    /// prediction of the unit.
    pub(crate) fn predict(&self, unit: u64, bytes: &mut [u8]) {
        let (from, _) = self.range(unit);
        for copy in self.copies(unit) {
            self.pieces(copy, |page| self.class(page), &mut |piece: Piece| {
                let start = (piece.new - from) as usize;
                self.apply(&piece, &mut bytes[start..start + piece.len as usize]);
            });
        }
    }

    /// Moves the fields of a piece.
    pub(super) fn apply(&self, piece: &Piece, bytes: &mut [u8]) {
        scan(piece.class, bytes, &self.place(piece), piece.here, &mut Apply(&self.shifts));
    }

    pub(super) fn place(&self, piece: &Piece) -> Place {
        let Layout { low, size, .. } = self.base;
        Place { offset: piece.base, addr: piece.addr, low, size }
    }

    pub(super) fn class(&self, page: u64) -> Class {
        usize::try_from(page).ok().and_then(|n| self.classes.get(n)).copied().unwrap_or(Class::Raw)
    }

    /// Cuts a copy where the class of its bytes changes, or the rule of their addresses.
    pub(super) fn pieces(
        &self,
        copy: Copy,
        class: impl Fn(u64) -> Class,
        visit: &mut impl FnMut(Piece),
    ) {
        let mut done = 0;
        while done < copy.len {
            let (new, base) = (copy.new + done, copy.base + done);
            let (addr, rule) = self.base.at(base);
            let (target, other) = self.new.at(new);
            let mut len = (copy.len - done).min(rule).min(other);
            let (first, last) = (base >> PAGE_LOG2, (base + len - 1) >> PAGE_LOG2);
            let kind = class(first);
            if let Some(page) = (first + 1..=last).find(|page| class(*page) != kind) {
                len = (page << PAGE_LOG2) - base;
            }
            let here = match (addr, target) {
                (Some(from), Some(to)) => to.wrapping_sub(from) as i64,
                _ => 0,
            };
            visit(Piece { new, base, len, class: kind, addr, here });
            done += len;
        }
    }

    /// Appends the model's bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.base_len);
        put(out, self.new_len);
        put(out, self.base.low);
        put(out, self.base.size);
        for layout in [&self.base, &self.new] {
            put(out, layout.spans.len() as u64);
            let (mut end, mut next) = (0, layout.low);
            for span in &layout.spans {
                put(out, span.start - end);
                put(out, span.len);
                put_signed(out, span.addr.wrapping_sub(next) as i64);
                (end, next) = (span.start + span.len, span.addr.wrapping_add(span.len));
            }
        }
        put(out, self.new.low);
        let runs: Vec<_> = self.classes.chunk_by(|a, b| a == b).collect();
        put(out, runs.len() as u64);
        for run in runs {
            put(out, run.len() as u64);
            put(out, run[0] as u64);
        }
        let steps: Vec<_> = self.shifts.steps().collect();
        put(out, steps.len() as u64);
        let mut last = (0, 0);
        for (start, step) in steps {
            put(out, u64::from(start - last.0));
            put_signed(out, i64::from(step) - i64::from(last.1));
            last = (start, step);
        }
        put(out, self.copies.len() as u64);
        let mut end = (0, 0);
        for copy in &self.copies {
            put(out, copy.new - end.0);
            put(out, copy.len);
            put_signed(out, copy.base.wrapping_sub(end.1) as i64);
            end = (copy.new + copy.len, copy.base + copy.len);
        }
    }

    /// Reads a model; what comes out keeps every promise that [`Self::predict`] relies on.
    pub(super) fn read(bytes: &mut Reader<'_>) -> Result<Self, Cut> {
        let (base_len, new_len) = (bytes.number()?, bytes.number()?);
        if base_len >= 1 << 40 || new_len >= 1 << 40 {
            return Err(Cut);
        }
        let (low, size) = (bytes.number()?, bytes.number()?);
        if size > 1 << 31 {
            return Err(Cut);
        }
        // The new one's begins at its own lowest address, which follows both.
        let (base_spans, new_spans) = (spans(bytes)?, spans(bytes)?);
        let new_low = bytes.number()?;
        let base = Layout { spans: placed(base_spans, low, base_len)?, low, size };
        let new = Layout { spans: placed(new_spans, new_low, new_len)?, low: new_low, size: 0 };
        let mut classes = Vec::new();
        for _ in 0..bytes.count()? {
            let (len, class) = (bytes.number()?, Class::from_number(bytes.number()?).ok_or(Cut)?);
            let len = usize::try_from(len).map_err(|_| Cut)?;
            let total = classes.len().checked_add(len).ok_or(Cut)?;
            if total as u64 > (base_len >> PAGE_LOG2) + 1 {
                return Err(Cut);
            }
            classes.resize(total, class);
        }
        let mut steps = Vec::new();
        let mut last = (0_u32, 0_i32);
        for _ in 0..bytes.count()? {
            let start = u32::try_from(bytes.number()?).map_err(|_| Cut)?;
            let step = i64::from(last.1).checked_add(bytes.signed()?).ok_or(Cut)?;
            last = (last.0.checked_add(start).ok_or(Cut)?, i32::try_from(step).map_err(|_| Cut)?);
            if last.0 >= 1 << 31 {
                return Err(Cut);
            }
            steps.push(last);
        }
        let mut copies = Vec::new();
        let mut end = (0_u64, 0_u64);
        for _ in 0..bytes.count()? {
            let new = end.0.checked_add(bytes.number()?).ok_or(Cut)?;
            let len = bytes.number()?;
            let base = end.1.checked_add_signed(bytes.signed()?).ok_or(Cut)?;
            end = (new.checked_add(len).ok_or(Cut)?, base.checked_add(len).ok_or(Cut)?);
            if len == 0 || end.0 > new_len || end.1 > base_len {
                return Err(Cut);
            }
            copies.push(Copy { new, base, len });
        }
        let shifts = Shifts::new(&steps);
        Ok(Self { base_len, new_len, base, new, copies, classes, shifts })
    }
}

/// Gap, length and step of each span.
fn spans(bytes: &mut Reader<'_>) -> Result<Vec<(u64, u64, i64)>, Cut> {
    (0..bytes.count()?).map(|_| Ok((bytes.number()?, bytes.number()?, bytes.signed()?))).collect()
}

fn placed(spans: Vec<(u64, u64, i64)>, low: u64, file: u64) -> Result<Vec<Span>, Cut> {
    let (mut end, mut next) = (0_u64, low);
    let place = |(gap, len, step): (u64, u64, i64)| {
        let start = end.checked_add(gap).ok_or(Cut)?;
        end = start.checked_add(len).filter(|end| *end <= file && len > 0).ok_or(Cut)?;
        let addr = next.wrapping_add_signed(step);
        next = addr.wrapping_add(len);
        Ok(Span { start, len, addr })
    };
    spans.into_iter().map(place).collect()
}
