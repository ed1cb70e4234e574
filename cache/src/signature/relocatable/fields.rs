//! The bits of a section that a relocation fills in.
//!
//! Sources: "System V ABI, AMD64 Architecture Processor Supplement", table "Relocation Types";
//! "ELF for the Arm 64-bit Architecture", "Relocation types"; the instructions' immediates in the
//! "Arm Architecture Reference Manual". What is not listed here has no field: its bytes then count
//! as they are, so that two files may differ without need, but are never equal without right.

use super::Machine;

/// A field: its length in bytes, and the bits in it that are not the linker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) length: usize,
    pub(super) keep: u64,
}

const fn whole(length: usize) -> Option<Field> {
    Some(Field { length, keep: 0 })
}

/// Of an arm64 instruction, all but the bits of its immediate.
const fn instruction(immediate: u64) -> Option<Field> {
    Some(Field { length: 4, keep: !immediate })
}

/// The field of a relocation type.
pub(super) fn field(machine: Machine, kind: u32) -> Option<Field> {
    match machine {
        Machine::X86_64 => x86_64(kind),
        Machine::Arm64 => arm64(kind),
    }
}

fn x86_64(kind: u32) -> Option<Field> {
    match kind {
        // 64, DTPMOD64, DTPOFF64, TPOFF64, PC64, GOTOFF64, SIZE64
        1 | 16 | 17 | 18 | 24 | 25 | 33 => whole(8),
        // PC32, GOT32, PLT32, GOTPCREL, 32, 32S, TLSGD..TPOFF32, GOTPC32, SIZE32, GOTPCRELX (REX)
        2 | 3 | 4 | 9 | 10 | 11 | 19..=23 | 26 | 32 | 41 | 42 => whole(4),
        // 16, PC16
        12 | 13 => whole(2),
        // 8, PC8
        14 | 15 => whole(1),
        _ => None,
    }
}

fn arm64(kind: u32) -> Option<Field> {
    const LOW_12: u64 = 0xfff << 10;
    const LOW_19: u64 = 0x7_ffff << 5;
    const LOW_21: u64 = LOW_19 | 0b11 << 29;
    match kind {
        // ABS64, PREL64
        257 | 260 => whole(8),
        // ABS32, PREL32, PLT32
        258 | 261 | 314 => whole(4),
        // ABS16, PREL16
        259 | 262 => whole(2),
        // MOVW_UABS_*, MOVW_SABS_*, MOVW_PREL_*
        263..=272 | 287..=293 => instruction(0xffff << 5),
        // LD_PREL_LO19, CONDBR19
        273 | 280 => instruction(LOW_19),
        // ADR_PREL_LO21, ADR_PREL_PG_HI21 and _NC, ADR_GOT_PAGE
        274..=276 | 311 => instruction(LOW_21),
        // ADD_ABS_LO12_NC, LDST{8,16,32,64,128}_ABS_LO12_NC, LD64_GOT_LO12_NC
        277 | 278 | 284..=286 | 299 | 312 => instruction(LOW_12),
        // TSTBR14
        279 => instruction(0x3fff << 5),
        // JUMP26, CALL26
        282 | 283 => instruction(0x3ff_ffff),
        _ => None,
    }
}
