//! Calls and jumps that have no relocation.
//!
//! The assembler itself fills in a branch to a local function of the same section. Its bytes then
//! are a distance, which changes when anything between the two grows. So these are looked for, and
//! count by where they lead.

use crate::signature::side_by_side::side_by_side;

use object::elf as abi;

use super::{Extents, Machine, Relocatable};

/// A branch to the first byte of another function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// Of its 4 bytes, from the start of the section.
    pub(crate) at: u64,
    /// Bits of these bytes, little-endian, that are not the distance.
    pub(crate) keep: u32,
    /// Where it leads: an extent, by its index.
    pub(crate) target: usize,
}

/// The branches of each extent, by offset.
#[derive(Debug)]
pub(crate) struct Branches {
    by_extent: Vec<Vec<Branch>>,
}

impl Branches {
    pub(crate) fn of(object: &Relocatable<'_>, extents: &Extents) -> Self {
        let all = &extents.all;
        let weight = |index: usize| all[index].end - all[index].start;
        Self { by_extent: side_by_side(all.len(), weight, |index| find(object, extents, index)) }
    }

    /// Those inside an extent.
    pub(crate) fn inside(&self, extent: usize) -> &[Branch] {
        self.by_extent.get(extent).map_or(&[], Vec::as_slice)
    }
}

fn find(object: &Relocatable<'_>, extents: &Extents, index: usize) -> Vec<Branch> {
    let extent = &extents.all[index];
    let section = &object.elf.sections[extent.section];
    let bytes = section.bytes.clone().filter(|_| section.flags & abi::SHF_EXECINSTR.0 != 0);
    let Some(bytes) = bytes.map(|range| &object.elf.data[range]) else { return Vec::new() };
    // Both fit: an extent lies inside its section.
    let (mut at, end) = (extent.start as usize, (extent.end as usize).min(bytes.len()));
    let mut found = Vec::new();
    while at < end {
        let (branch, step) = match object.machine {
            Machine::X86_64 => (x86_64(&bytes[at..end]), 1),
            Machine::Arm64 => (arm64(&bytes[at..end]), 4),
        };
        let known = branch.and_then(|it| {
            let place = at + it.field;
            let to = (at as i64).checked_add(it.distance).and_then(|it| u64::try_from(it).ok())?;
            // The first byte of a function: no other bytes look like that but by rare chance.
            let target = extents.starting_at(extent.section, to)?;
            let outside = !(extent.start..extent.end).contains(&to);
            let plain = is_plain(object, extent.section, place as u64);
            (outside && plain)
                .then_some((Branch { at: place as u64, keep: it.keep, target }, it.field + 4))
        });
        match known {
            Some((branch, length)) => {
                found.push(branch);
                at += length;
            }
            None => at += step,
        }
    }
    found
}

/// Whether no relocation fills in any of 4 bytes. Its own field may begin up to 3 bytes before.
fn is_plain(object: &Relocatable<'_>, section: usize, at: u64) -> bool {
    let all = &object.relocations[section];
    let first = all.partition_point(|it| it.offset.saturating_add(3) < at);
    all.get(first).is_none_or(|it| it.offset >= at.saturating_add(4))
}

/// What bytes say if they are a branch.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Where its 4 bytes are, from the first byte looked at.
    field: usize,
    keep: u32,
    /// From the first byte looked at to where it leads.
    distance: i64,
}

/// `call rel32`, `jmp rel32` and `jcc rel32` (Intel's manual, volume 2, appendix A), from the end of
/// the instruction. Instructions are not decoded one by one: what looks like a branch and leads to
/// the first byte of a function is one. Short jumps (rel8) from one function to another are not
/// looked for: with so few distances, chance would be mistaken for them.
fn x86_64(bytes: &[u8]) -> Option<Seen> {
    let field = match *bytes {
        [0xe8 | 0xe9, ..] => 1,
        [0x0f, 0x80..=0x8f, ..] => 2,
        _ => return None,
    };
    let distance = i32::from_le_bytes(bytes.get(field..field + 4)?.try_into().ok()?);
    Some(Seen { field, keep: 0, distance: i64::from(distance) + field as i64 + 4 })
}

/// `b` and `bl` (Arm Architecture Reference Manual, C6.2): 26 bits, in words from the instruction.
fn arm64(bytes: &[u8]) -> Option<Seen> {
    let word = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let words = (word << 6) as i32 >> 6;
    let keep = !0x3ff_ffff;
    (word & 0x7c00_0000 == 0x1400_0000).then_some(Seen {
        field: 0,
        keep,
        distance: i64::from(words) * 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_branches_of_both_machines() {
        let x86 = |bytes: &[u8]| x86_64(bytes).map(|it| (it.field, it.distance));
        assert_eq!(x86(&[0xe8, 0x10, 0, 0, 0]), Some((1, 0x15)));
        assert_eq!(x86(&[0xe9, 0xfb, 0xff, 0xff, 0xff, 0x90]), Some((1, 0)));
        assert_eq!(x86(&[0x0f, 0x84, 0, 1, 0, 0]), Some((2, 0x106)));
        assert_eq!(x86(&[0xe8, 0x10, 0, 0]), None);
        assert_eq!(x86(&[0x0f, 0x90, 0xc0, 0, 0, 0]), None);
        let arm = |word: u32| arm64(&word.to_le_bytes()).map(|it| it.distance);
        assert_eq!(arm(0x9400_0004), Some(16));
        assert_eq!(arm(0x17ff_ffff), Some(-4));
        assert_eq!(arm(0xd503_201f), None);
    }
}
