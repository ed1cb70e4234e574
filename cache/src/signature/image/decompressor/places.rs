//! Addresses as they are when parts of a decompressor move.

use super::Layout;
use crate::signature::writer::Writer;

/// Where something is, so that it stays the same when a part moves as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// In the head: from its start.
    Head(usize),
    /// In the packed kernel: from its start.
    Packed(usize),
    /// In the zeros behind it: how far before their end.
    Room(usize),
    /// Behind it: how many bytes before it are not zero, and how many zeros lie from it to the next
    /// one that is not.
    Behind { before: usize, zeros: usize },
    /// Behind the last byte that is not zero, in the file or in memory: how far.
    After(usize),
}

impl Place {
    pub(in super::super) fn write(self, manifest: &mut Writer) {
        let (kind, one, other) = match self {
            Self::Head(at) => (0, at, 0),
            Self::Packed(at) => (1, at, 0),
            Self::Room(left) => (2, left, 0),
            Self::Behind { before, zeros } => (3, before, zeros),
            Self::After(at) => (4, at, 0),
        };
        for number in [kind, one, other] {
            manifest.number(number as u64);
        }
    }
}

/// All places of a decompressor.
pub(super) struct Places {
    layout: Layout,
    /// What is behind the packed kernel, with fields and masks marked.
    shown: Vec<u8>,
    /// Of each of its bytes: how many before it are not zero.
    before: Vec<u32>,
    /// Of each of its bytes: how many zeros lie from it to the next one that is not; less than that
    /// where none follows.
    zeros: Vec<u32>,
    /// The end of the last byte that is not zero.
    last: usize,
}

impl Places {
    pub(super) fn new(layout: Layout, shown: Vec<u8>) -> Self {
        let mut count = 0;
        let before = shown.iter().map(|byte| {
            let here = count;
            count += u32::from(*byte != 0);
            here
        });
        let before = before.collect();
        let mut run = 0;
        let mut zeros: Vec<u32> = Vec::with_capacity(shown.len());
        for byte in shown.iter().rev() {
            run = if *byte == 0 { run + 1 } else { 0 };
            zeros.push(run);
        }
        zeros.reverse();
        let last = shown.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        Self { last: layout.room_end + last, layout, shown, before, zeros }
    }

    /// What is behind the packed kernel, with fields and masks marked.
    pub(super) fn shown(&self) -> &[u8] {
        &self.shown
    }

    pub(super) fn of(&self, address: usize) -> Place {
        let Layout { payload, room_end, .. } = &self.layout;
        if address >= self.last && address >= *room_end {
            return Place::After(address - self.last);
        }
        match address.checked_sub(*room_end) {
            Some(at) => {
                Place::Behind { before: self.before[at] as usize, zeros: self.zeros[at] as usize }
            }
            None if address <= payload.start => Place::Head(address),
            None if address < payload.end => Place::Packed(address - payload.start),
            None => Place::Room(room_end - address),
        }
    }
}
