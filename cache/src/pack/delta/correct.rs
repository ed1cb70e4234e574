//! What a prediction got wrong, and the stored form of a delta.

use std::io;
use std::ops::Range;

use super::Damaged;
use super::learn::learn;
use super::matching::Copy;
use super::model::{Model, UNIT};
use super::wire::{Reader, put};

/// Version of everything in this folder that must be the same when packing and unpacking.
const VERSION: u64 = 1;
/// Equal bytes between two different ones that are corrected along with them.
const JOIN: usize = 3;
/// Raw bytes of a group after which another one begins.
const GROUP: usize = 2 << 20;
/// A head longer than this is nonsense, and a group too: bounds what a reader allocates.
const LONGEST: usize = 256 << 20;

/// A delta as it was made.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Model and table of groups.
    pub(crate) head: Vec<u8>,
    /// The groups.
    pub(crate) groups: Vec<Vec<u8>>,
}

impl Packed {
    /// What it takes.
    pub(crate) fn len(&self) -> u64 {
        self.head.len() as u64 + self.groups.iter().map(|group| group.len() as u64).sum::<u64>()
    }
}

/// Corrections of the units of a group.
#[derive(Debug, Default)]
struct Columns {
    /// Runs of each unit.
    counts: Vec<u8>,
    gaps: Vec<u8>,
    lens: Vec<u8>,
    bytes: Vec<u8>,
}

impl Columns {
    fn len(&self) -> usize {
        self.gaps.len() + self.lens.len() + self.bytes.len()
    }

    /// Adds the corrections that turn a prediction into the unit.
    fn unit(&mut self, predicted: &[u8], unit: &[u8]) {
        let (mut count, mut end, mut at) = (0, 0, 0);
        while let Some(start) = first_difference(predicted, unit, at) {
            let (mut stop, mut same) = (start + 1, 0);
            while stop + same < unit.len() && same <= JOIN {
                if predicted[stop + same] == unit[stop + same] {
                    same += 1;
                } else {
                    (stop, same) = (stop + same + 1, 0);
                }
            }
            put(&mut self.gaps, (start - end) as u64);
            put(&mut self.lens, (stop - start) as u64);
            let pairs = predicted[start..stop].iter().zip(&unit[start..stop]);
            self.bytes.extend(pairs.map(|(predicted, byte)| byte.wrapping_sub(*predicted)));
            (end, at, count) = (stop, stop, count + 1);
        }
        put(&mut self.counts, count);
    }

    fn pack(&mut self, level: i32) -> io::Result<Vec<u8>> {
        let mut raw = Vec::with_capacity(self.len() + 64);
        for column in [&self.counts, &self.gaps, &self.lens, &self.bytes] {
            put(&mut raw, column.len() as u64);
            raw.extend(column);
        }
        *self = Self::default();
        squeeze(&raw, level)
    }
}

fn first_difference(a: &[u8], b: &[u8], mut at: usize) -> Option<usize> {
    const BLOCK: usize = 64;
    while at + BLOCK <= b.len() && a[at..at + BLOCK] == b[at..at + BLOCK] {
        at += BLOCK;
    }
    (at..b.len()).find(|n| a[*n] != b[*n])
}

/// Length, and one zstd frame.
fn squeeze(raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    put(&mut out, raw.len() as u64);
    out.extend(zstd::bulk::compress(raw, level)?);
    Ok(out)
}

fn expand(bytes: &[u8]) -> Result<Vec<u8>, Damaged> {
    let mut reader = Reader(bytes);
    let len = usize::try_from(reader.number()?).map_err(|_| Damaged)?;
    if len > LONGEST {
        return Err(Damaged);
    }
    let raw = zstd::bulk::decompress(reader.0, len).map_err(|_| Damaged)?;
    if raw.len() == len { Ok(raw) } else { Err(Damaged) }
}

/// Packs `new` as a delta to `base`; both below 4 GiB. `level` is zstd's, for what remains.
pub(crate) fn make(base: &[u8], new: &[u8], level: i32) -> io::Result<Packed> {
    let model = learn(base, new);
    let mut table = Vec::new();
    let mut groups = Vec::new();
    let mut columns = Columns::default();
    let mut units = 0_u64;
    let mut predicted = vec![0; UNIT as usize];
    let mut close = |columns: &mut Columns, units: &mut u64| {
        let group = columns.pack(level)?;
        put(&mut table, std::mem::take(units));
        put(&mut table, group.len() as u64);
        groups.push(group);
        io::Result::Ok(())
    };
    for unit in 0..model.new_len().div_ceil(UNIT) {
        let (from, to) = model.range(unit);
        let wanted = &new[from as usize..to as usize];
        let bytes = &mut predicted[..wanted.len()];
        bytes.fill(0);
        for copy in model.copies(unit) {
            let (to, len) = ((copy.new - from) as usize, copy.len as usize);
            bytes[to..to + len].copy_from_slice(&base[copy.base as usize..][..len]);
        }
        model.predict(unit, bytes);
        columns.unit(bytes, wanted);
        units += 1;
        if columns.len() >= GROUP {
            close(&mut columns, &mut units)?;
        }
    }
    if units > 0 {
        close(&mut columns, &mut units)?;
    }
    let mut head = Vec::new();
    put(&mut head, VERSION);
    model.write(&mut head);
    put(&mut head, groups.len() as u64);
    head.extend(table);
    Ok(Packed { head: squeeze(&head, level)?, groups })
}

/// A delta as it is read.
#[derive(Debug)]
pub(crate) struct Delta {
    model: Model,
    /// First unit and stored range of each group; one more than there are, for the end.
    groups: Vec<(u64, u64)>,
}

/// The corrections of one group, unpacked.
#[derive(Debug)]
pub(crate) struct Group {
    first: u64,
    /// Of each unit: its runs, and the first of its bytes.
    units: Vec<(Range<usize>, usize)>,
    /// Begin in the unit, and length.
    runs: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

impl Delta {
    /// Reads a head.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Damaged> {
        let raw = expand(head)?;
        let mut reader = Reader(&raw);
        if reader.number()? != VERSION {
            return Err(Damaged);
        }
        let model = Model::read(&mut reader)?;
        let (mut groups, mut at) = (Vec::new(), (0_u64, 0_u64));
        for _ in 0..reader.count()? {
            groups.push(at);
            let (units, len) = (reader.number()?, reader.number()?);
            at.0 = at.0.checked_add(units).ok_or(Damaged)?;
            at.1 = at.1.checked_add(len).filter(|_| units > 0 && len > 0).ok_or(Damaged)?;
        }
        groups.push(at);
        if !reader.0.is_empty() || at.0 != model.new_len().div_ceil(UNIT) {
            return Err(Damaged);
        }
        Ok(Self { model, groups })
    }

    /// Size of the file that it gives, in bytes.
    pub(crate) fn new_len(&self) -> u64 {
        self.model.new_len()
    }

    /// Size of the base that it needs.
    pub(crate) fn base_len(&self) -> u64 {
        self.model.base_len()
    }

    /// What all groups take.
    pub(crate) fn stored(&self) -> u64 {
        self.groups.last().map_or(0, |end| end.1)
    }

    /// The group that corrects a unit: its number, and where it lies among the stored groups.
    /// `None` for a unit that is not in the file.
    pub(crate) fn group_of(&self, unit: u64) -> Option<(usize, Range<u64>)> {
        let next = self.groups.partition_point(|group| group.0 <= unit);
        let group = next.checked_sub(1)?;
        Some((group, self.groups[group].1..self.groups.get(next)?.1))
    }

    /// Unpacks a group.
    pub(crate) fn open_group(&self, group: usize, stored: &[u8]) -> Result<Group, Damaged> {
        let (Some(this), Some(next)) = (self.groups.get(group), self.groups.get(group + 1)) else {
            return Err(Damaged);
        };
        let raw = expand(stored)?;
        let mut reader = Reader(&raw);
        let mut column = || reader.block().map(Reader);
        let (mut counts, mut gaps, mut lens, bytes) = (column()?, column()?, column()?, column()?);
        let (mut units, mut runs, mut used) = (Vec::new(), Vec::new(), 0_usize);
        for unit in this.0..next.0 {
            let (from, to) = self.model.range(unit);
            let (first, begin, mut end) = (runs.len(), used, 0_u64);
            let count = counts.number()?;
            if count > gaps.0.len() as u64 {
                return Err(Damaged);
            }
            for _ in 0..count {
                let start = end.checked_add(gaps.number()?).ok_or(Damaged)?;
                let len = lens.number()?;
                end = start.checked_add(len).filter(|end| *end <= to - from).ok_or(Damaged)?;
                runs.push((start as u32, len as u32));
                used += len as usize;
            }
            units.push((first..runs.len(), begin));
        }
        if used != bytes.0.len() {
            return Err(Damaged);
        }
        Ok(Group { first: this.0, units, runs, bytes: bytes.0.to_vec() })
    }

    /// The runs that a unit takes from the base.
    pub(crate) fn copies(&self, unit: u64) -> impl Iterator<Item = Copy> {
        self.model.copies(unit)
    }

    /// Finishes a unit: `bytes` is zero but for what was copied from the base, and becomes what
    /// was packed (if base and delta are what they were then).
    pub(crate) fn finish(&self, unit: u64, bytes: &mut [u8], group: &Group) {
        self.model.predict(unit, bytes);
        let Some((runs, mut at)) =
            unit.checked_sub(group.first).and_then(|n| group.units.get(n as usize).cloned())
        else {
            return;
        };
        for (start, len) in &group.runs[runs] {
            let run = &mut bytes[*start as usize..(*start + *len) as usize];
            for (byte, step) in run.iter_mut().zip(&group.bytes[at..]) {
                *byte = byte.wrapping_add(*step);
            }
            at += run.len();
        }
    }
}
