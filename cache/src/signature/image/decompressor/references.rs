//! Fields of a decompressor that say where something is.
//!
//! There are no relocations to tell: the linker has used them up, and the decompressor needs none,
//! being built to run anywhere (arch/x86/boot/compressed/Makefile, `-pie` without dynamic ones). So
//! its instructions are read one after the other, in 32-bit mode up to the 64-bit entry, which the
//! boot protocol puts at 0x200, and in 64-bit mode behind it. Fields of four bytes are
//!
//! - distances of calls, jumps, and of operands relative to the instruction pointer;
//! - displacements from another register (`rva(x)(%ebp)` in head_64.S), and in the head also
//!   constants, whose value is an address behind the packed kernel;
//! - tables of a `switch`: at an address that is loaded (`lea`), distances from it to instructions.
//!
//! Zeros are no instructions, and are passed over, so that what follows is read alike wherever it
//! begins. Data behind the code is read as if it were code, too: what looks like a field there by
//! chance counts by where it leads, which is as good a name of its bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Code, ConstantOffsets, Decoder, DecoderOptions, Instruction, OpKind, Register};

use super::{Field, Layout};

/// The 64-bit entry (Linux, Documentation/x86/boot.rst, "64-bit boot protocol").
const ENTRY_64: usize = 0x200;
/// Fewer distances in a row are no table.
const SHORTEST_TABLE: usize = 3;

/// What reading a decompressor's instructions tells.
pub(super) struct References {
    /// All fields, in order, none over another.
    pub(super) fields: Vec<Field>,
    /// Of each byte behind the packed kernel: whether it is one of an instruction.
    pub(super) code: Vec<bool>,
}

/// Reads the instructions, but for the bytes in `masks`.
///
/// What tables hold changes when things move, so they must not be read as instructions; but where
/// they are, the instructions tell. So these are read twice.
pub(super) fn references(bytes: &[u8], layout: &Layout, masks: &[Range<usize>]) -> References {
    let mut first = Sweep::new(bytes, layout);
    first.read_all(masks);
    let tables = first.tables();
    let mut masks = masks.to_vec();
    masks.extend(tables.iter().map(|entry| entry.at..entry.at + 4));
    let mut second = Sweep::new(bytes, layout);
    second.read_all(&masks);
    let mut fields = second.fields;
    fields.extend(tables);
    fields.sort_unstable();
    References { fields, code: second.code }
}

struct Sweep<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    fields: Vec<Field>,
    /// Addresses that a `lea` loads.
    loaded: BTreeSet<usize>,
    /// Where instructions behind the packed kernel begin, in order.
    starts: Vec<usize>,
    code: Vec<bool>,
}

impl<'a> Sweep<'a> {
    fn new(bytes: &'a [u8], layout: &'a Layout) -> Self {
        let code = vec![false; layout.end - layout.room_end];
        let (loaded, starts) = (BTreeSet::new(), Vec::new());
        Self { bytes, layout, fields: Vec::new(), loaded, starts, code }
    }

    /// Reads all instructions between masks.
    fn read_all(&mut self, masks: &[Range<usize>]) {
        let head = self.layout.payload.start;
        let entry = ENTRY_64.min(head);
        let behind = self.layout.room_end..self.layout.end;
        let mut masks: Vec<&Range<usize>> = masks.iter().collect();
        masks.sort_by_key(|mask| mask.start);
        for (bits, part) in [(32, 0..entry), (64, entry..head), (64, behind)] {
            let mut at = part.start;
            for mask in masks.iter().filter(|it| part.start < it.end && it.start < part.end) {
                self.read(bits, at, mask.start.max(at));
                at = at.max(mask.end);
            }
            self.read(bits, at, part.end.max(at));
        }
    }

    /// Reads the instructions of a range.
    fn read(&mut self, bits: u32, start: usize, end: usize) {
        let part = &self.bytes[start..end];
        let mut decoder = Decoder::with_ip(bits, part, start as u64, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut at = 0;
        while at < part.len() {
            if part[at] == 0 {
                at += 1;
                continue;
            }
            // Never refused: it is not behind the end.
            let _ = decoder.set_position(at);
            decoder.set_ip((start + at) as u64);
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                at += 1;
                continue;
            }
            let offsets = decoder.get_constant_offsets(&instruction);
            self.take(&instruction, &offsets, start + at);
            if let Some(behind) = (start + at).checked_sub(self.layout.room_end) {
                self.starts.push(start + at);
                self.code[behind..behind + instruction.len()].fill(true);
            }
            at += instruction.len();
        }
    }

    /// Notes the fields of an instruction.
    fn take(&mut self, instruction: &Instruction, offsets: &ConstantOffsets, at: usize) {
        let is_head = at < self.layout.payload.start;
        if offsets.displacement_size() == 4 {
            let field = at + offsets.displacement_offset();
            if instruction.is_ip_rel_memory_operand() {
                let target = instruction.ip_rel_memory_address();
                self.note(field, target, false);
                if matches!(instruction.code(), Code::Lea_r64_m) {
                    self.loaded.extend(usize::try_from(target).ok());
                }
            } else if instruction.memory_base() != Register::None {
                let value = instruction.memory_displacement32();
                self.note_behind(field, value.into());
            }
        }
        if offsets.immediate_size() == 4 {
            let field = at + offsets.immediate_offset();
            if matches!(instruction.op0_kind(), OpKind::NearBranch32 | OpKind::NearBranch64) {
                self.note(field, instruction.near_branch_target(), true);
            } else if is_head {
                self.note_behind(field, instruction.immediate32().into());
            }
        }
    }

    /// A field that leads somewhere in the decompressor.
    fn note(&mut self, at: usize, target: u64, is_branch: bool) {
        let is_inside = target < self.layout.end as u64 || self.layout.is_behind(target);
        if let Some(target) = usize::try_from(target).ok().filter(|_| is_inside) {
            self.fields.push(Field { at, target, is_branch });
        }
    }

    /// A field whose value counts as an address only behind the packed kernel.
    fn note_behind(&mut self, at: usize, value: u64) {
        if self.layout.is_behind(value) {
            self.note(at, value, false);
        }
    }

    /// Entries of tables of distances, in order.
    fn tables(&self) -> Vec<Field> {
        let targets: BTreeSet<usize> = self.fields.iter().map(|it| it.target).collect();
        let mut all = Vec::new();
        let behind = self.loaded.range(self.layout.room_end..self.layout.end);
        for &table in behind.filter(|it| it.is_multiple_of(4)) {
            let places = (table..).step_by(4);
            let entries = places.take_while(|at| *at == table || !targets.contains(at));
            let entries = entries.map_while(|at| {
                let distance = i32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
                let target = usize::try_from(table as i64 + i64::from(distance)).ok()?;
                let leads = target < table && self.starts.binary_search(&target).is_ok();
                leads.then_some(Field { at, target, is_branch: true })
            });
            let entries: Vec<Field> = entries.collect();
            if entries.len() >= SHORTEST_TABLE {
                all.extend(entries);
            }
        }
        all
    }
}
