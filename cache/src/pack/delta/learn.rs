//! From two files to a model of the second: found by looking, kept where it is measured to help.

use super::fields::{Class, Kind, Visit, hexadecimal, scan};
use super::layout::{Layout, Section, Span};
use super::matching::{Copy, find};
use super::model::{Model, PAGE_LOG2, Piece};
use super::shifts::Shifts;
use super::tables::{self, lay_over};

/// References that are looked at when learning how things moved: bounds memory to 512 MiB.
const SEEN: usize = 64 << 20;
/// A reference that moved further than this is another reference.
const FAR: u64 = 1 << 26;
/// Bytes that say a run.
const RUN: u64 = 5;

/// Makes the model of `new` after `base`.
pub(super) fn learn(base: &[u8], new: &[u8]) -> Model {
    let is_text =
        |file: &[u8]| file.len() > 18 && hexadecimal(&file[..16]).is_some() && file[16] == b' ';
    let (base_layout, new_layout) = if is_text(base) && is_text(new) {
        (Layout::of_text(), Layout::of_text())
    } else {
        (Layout::of_elf(base), Layout::of_elf(new))
    };
    let starts = starts(&base_layout, &new_layout);
    let copies = find(base, new, &starts);
    let model = Model {
        base_len: base.len() as u64,
        new_len: new.len() as u64,
        copies,
        base: base_layout,
        new: new_layout,
        classes: Vec::new(),
        shifts: Shifts::default(),
    };
    if model.base.size == 0 {
        return model;
    }
    let tables = model.tables(base, new);
    let over = (!tables.is_empty())
        .then(|| Model { copies: lay_over(&model.copies, &tables), ..model.clone() });
    let (model, wrong) = model.fitted(base, new);
    match over.map(|over| over.fitted(base, new)) {
        Some((over, fewer)) if fewer + over.missing() < wrong + model.missing() => over,
        _ => model,
    }
}

/// Places where both files begin a section of the same order.
fn starts(base: &Layout, new: &Layout) -> Vec<(u64, u64)> {
    if base.spans.len() != new.spans.len() {
        return Vec::new();
    }
    let pair = |(base, new): (&Span, &Span)| (new.start, base.start);
    base.spans.iter().zip(&new.spans).map(pair).collect()
}

/// Sees where fields of the base point to in the new file.
struct Look<'a> {
    /// The new file's bytes where those of the base are scanned.
    there: &'a [u8],
    /// Their address in the new file.
    addr: u64,
    /// The base's lowest address.
    low: u64,
    seen: &'a mut Vec<(u32, i32)>,
}

impl Visit for Look<'_> {
    fn field(&mut self, at: usize, kind: Kind, target: u32) -> Option<i32> {
        let moved = self.target(at, kind)?.wrapping_sub(self.low + u64::from(target)) as i64;
        if moved.unsigned_abs() < FAR && self.seen.len() < SEEN {
            self.seen.push((target, moved as i32));
        }
        None
    }
}

impl Look<'_> {
    /// What the field refers to now.
    fn target(&self, at: usize, kind: Kind) -> Option<u64> {
        let bytes = self.there.get(at..)?;
        let word = || bytes.first_chunk().map(|it| u32::from_le_bytes(*it));
        let signed = |value: u32| i64::from(value as i32);
        Some(match kind {
            Kind::Abs32 => signed(word()?) as u64,
            Kind::Abs64 => u64::from_le_bytes(*bytes.first_chunk()?),
            Kind::Distance => (self.addr + at as u64 + 4).wrapping_add_signed(signed(word()?)),
            Kind::FromHere => (self.addr + at as u64).wrapping_add_signed(signed(word()?)),
            Kind::Offset => self.low.wrapping_add(word()?.into()),
            Kind::Negated => self.low.wrapping_add((!word()?).into()),
            Kind::Digits => hexadecimal(bytes.get(..16)?)?,
        })
    }
}

impl Model {
    /// Runs of the tables of both files, by what the rest of them tells of how things moved.
    fn tables(&self, base: &[u8], new: &[u8]) -> Vec<Copy> {
        let Some(sections) = Section::all(base) else { return Vec::new() };
        // Nothing but what can't be mistaken: instructions where those are, and pointers in data.
        let mut classes = vec![Class::Raw; (base.len() >> PAGE_LOG2) + 1];
        for section in sections {
            if section.is_loaded()
                && let Some(place) = section.place(base)
            {
                let class = if section.is_code() { Class::Code } else { Class::Words };
                classes[place.start >> PAGE_LOG2..=place.end >> PAGE_LOG2].fill(class);
            }
        }
        let mut seen = Vec::new();
        let class = |page: u64| classes.get(page as usize).copied().unwrap_or(Class::Raw);
        self.look(base, new, class, &mut seen);
        let (shifts, low) = (Shifts::learn(seen), self.base.low);
        tables::runs((base, &self.base), (new, &self.new), |address| {
            address.wrapping_add_signed(i64::from(shifts.at(address.wrapping_sub(low) as u32)))
        })
    }

    /// The model with what its runs tell of the rest, and in how many of their bytes it is wrong.
    fn fitted(mut self, base: &[u8], new: &[u8]) -> (Self, u64) {
        // At first every page may be anything that is hard to mistake.
        let mut seen = Vec::new();
        for class in [Class::Code, Class::Words, Class::Text] {
            self.look(base, new, |_| class, &mut seen);
        }
        self.shifts = Shifts::learn(seen);
        let mut wrong = 0;
        for _ in 0..2 {
            (self.classes, wrong) = self.choose(base, new);
            let mut seen = Vec::new();
            self.look(base, new, |page| self.class(page), &mut seen);
            self.shifts = Shifts::learn(seen);
        }
        (self, wrong)
    }

    /// Bytes that no run covers, and those that say the runs.
    fn missing(&self) -> u64 {
        let covered: u64 = self.copies.iter().map(|copy| copy.len).sum();
        self.new_len - covered + self.copies.len() as u64 * RUN
    }

    /// Gathers the references that fields of the base have in the new file.
    fn look(
        &self,
        base: &[u8],
        new: &[u8],
        class: impl Fn(u64) -> Class + std::marker::Copy,
        seen: &mut Vec<(u32, i32)>,
    ) {
        let mut scratch = Vec::new();
        for copy in &self.copies {
            self.pieces(*copy, class, &mut |piece: Piece| {
                let (old, there) = slices(base, new, &piece);
                scratch.clear();
                scratch.extend_from_slice(old);
                let addr = piece.addr.unwrap_or(0).wrapping_add_signed(piece.here);
                let mut look = Look { there, addr, low: self.base.low, seen };
                scan(piece.class, &mut scratch, &self.place(&piece), 0, &mut look);
            });
        }
    }

    /// The class of each page of the base under which the new file is predicted best, and in how many
    /// bytes it is wrong then.
    fn choose(&self, base: &[u8], new: &[u8]) -> (Vec<Class>, u64) {
        let pages = (base.len() >> PAGE_LOG2) + 1;
        let mut wrong = vec![[0_u32; Class::ALL.len()]; pages];
        let mut scratch = Vec::new();
        for copy in &self.copies {
            let mut done = 0;
            while done < copy.len {
                let at = copy.base + done;
                let page = at >> PAGE_LOG2;
                let len = (copy.len - done).min(((page + 1) << PAGE_LOG2) - at);
                let part = Copy { new: copy.new + done, base: at, len };
                for class in Class::ALL {
                    self.pieces(part, |_| class, &mut |piece: Piece| {
                        let (old, there) = slices(base, new, &piece);
                        scratch.clear();
                        scratch.extend_from_slice(old);
                        self.apply(&piece, &mut scratch);
                        wrong[page as usize][class as usize] += differ(&scratch, there);
                    });
                }
                done += len;
            }
        }
        let (mut last, mut all) = (Class::Raw, 0);
        let choose = |wrong: [u32; Class::ALL.len()]| {
            let best = Class::ALL.into_iter().min_by_key(|class| wrong[*class as usize]);
            let best = best.unwrap_or(Class::Raw);
            // Another class costs two bytes.
            if wrong[best as usize] + 1 < wrong[last as usize] {
                last = best;
            }
            all += u64::from(wrong[last as usize]);
            last
        };
        let classes = wrong.into_iter().map(choose).collect();
        (classes, all)
    }
}

fn slices<'a>(base: &'a [u8], new: &'a [u8], piece: &Piece) -> (&'a [u8], &'a [u8]) {
    let (from, to, len) = (piece.base as usize, piece.new as usize, piece.len as usize);
    (&base[from..from + len], &new[to..to + len])
}

/// In how many bytes two slices of one length differ.
fn differ(a: &[u8], b: &[u8]) -> u32 {
    if a == b { 0 } else { a.iter().zip(b).filter(|(a, b)| a != b).count() as u32 }
}
