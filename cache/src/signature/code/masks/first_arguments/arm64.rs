//! arm64: the first argument is in `x0` ("Procedure Call Standard for the Arm 64-bit Architecture",
//! "Parameter passing").
//!
//! Compilers keep the address of a file's data in a register, over branches and calls, and add to it
//! for each record (section anchors). So both ways of a branch are followed.
//!
//! Encodings: "Arm Architecture Reference Manual", C4.1.

use std::collections::HashSet;

use crate::signature::relocatable::Relocation;

use super::Code;

/// `R_AARCH64_ADD_ABS_LO12_NC`: of an `add` that completes an address, of which `adrp` made the page.
const ADD_LOW_12: u32 = 277;
/// Most instructions that are followed from one: more than long functions have.
const FURTHEST: usize = 4096;
/// How many for each relocation of a file all may be, so that no file costs hours.
pub(super) const STEPS: usize = 64;

/// What is known of each register: how far behind the address it points. (Of the last, which is the
/// stack pointer or zero, nothing.)
type Registers = [Option<i64>; 32];

/// Tells `note` of what is called with an address made of the one that a relocation completes: the
/// name of the function, and the distance between the two addresses. Takes at most `steps` steps, which
/// it counts down.
pub(super) fn callees<'data>(
    code: &Code<'_, 'data>,
    relocation: &Relocation,
    steps: &mut usize,
    mut note: impl FnMut(&'data [u8], i64),
) {
    let word = word_at(code, relocation.offset).filter(|_| relocation.kind == ADD_LOW_12);
    let Some(word) = word.filter(|&it| is_add(it)) else { return };
    let mut registers = [None; 32];
    set(&mut registers, number(word, 0), Some(0));
    let mut ways = vec![(relocation.offset.wrapping_add(4), registers)];
    let mut seen = HashSet::new();
    let most = FURTHEST.min(*steps);
    while let Some((mut at, mut registers)) = ways.pop() {
        while registers.iter().any(Option::is_some) && seen.len() < most && seen.insert(at) {
            let Some(word) = word_at(code, at) else { break };
            let relocation = code.relocation(at);
            let step = Step::of(word);
            if let Step::Jump(_) | Step::Call = step
                && let Some(name) = relocation.and_then(|it| code.name(it))
                && let Some(distance) = registers[0]
            {
                note(name, distance);
            }
            let next = at.wrapping_add(4);
            at = match step {
                Step::Next => {
                    change(word, &mut registers);
                    // What a relocation makes of an addition is another address.
                    if relocation.is_some() {
                        set(&mut registers, number(word, 0), None);
                    }
                    next
                }
                Step::Call => {
                    // Those that a function may change, and the link register.
                    registers[..19].fill(None);
                    registers[30] = None;
                    next
                }
                Step::Branch(distance) => {
                    if relocation.is_none() {
                        ways.push((at.wrapping_add_signed(distance), registers));
                    }
                    next
                }
                Step::Jump(distance) if relocation.is_none() => at.wrapping_add_signed(distance),
                Step::Jump(_) | Step::End => break,
            };
        }
    }
    *steps -= seen.len();
}

fn word_at(code: &Code<'_, '_>, at: u64) -> Option<u32> {
    let bytes = code.bytes.get(usize::try_from(at).ok()?..)?;
    bytes.first_chunk().map(|it| u32::from_le_bytes(*it))
}

/// Where an instruction leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// To the next one.
    Next,
    /// To the next one, and to another some bytes away.
    Branch(i64),
    /// Some bytes away.
    Jump(i64),
    /// To a function, and from there to the next one.
    Call,
    /// Elsewhere, or it is not known.
    End,
}

impl Step {
    fn of(word: u32) -> Self {
        let is = |mask, bits| word & mask == bits;
        // Words from the instruction, a signed number of so many bits from `low` on.
        let distance = |low: u32, bits: u32| {
            let number = (word << (32 - low - bits)).cast_signed() >> (32 - bits);
            i64::from(number) * 4
        };
        if is(0xfc00_0000, 0x1400_0000) {
            Self::Jump(distance(0, 26))
        } else if is(0xfc00_0000, 0x9400_0000) || is(0xffff_fc1f, 0xd63f_0000) {
            // bl, blr
            Self::Call
        } else if is(0xff00_0010, 0x5400_0000) || is(0x7e00_0000, 0x3400_0000) {
            // b.cond, cbz, cbnz
            Self::Branch(distance(5, 19))
        } else if is(0x7e00_0000, 0x3600_0000) {
            // tbz, tbnz
            Self::Branch(distance(5, 14))
        } else if is(0xff00_0000, 0xd500_0000) {
            // Hints, barriers, system registers
            Self::Next
        } else {
            // Of the groups of encodings the branches and the reserved ones.
            match word >> 25 & 0xf {
                0..=3 | 10 | 11 => Self::End,
                _ => Self::Next,
            }
        }
    }
}

/// `add x, x, #number`.
fn is_add(word: u32) -> bool {
    word & 0xff80_0000 == 0x9100_0000
}

/// The number of a register, in 5 bits from `low` on.
fn number(word: u32, low: u32) -> usize {
    (word >> low & 31) as usize
}

fn set(registers: &mut Registers, number: usize, value: Option<i64>) {
    registers[number] = value.filter(|_| number != 31);
}

/// What an instruction that is no branch makes of the registers. What may change is not known from
/// there on, whether it does or not.
fn change(word: u32, registers: &mut Registers) {
    let is = |mask, bits| word & mask == bits;
    if is_add(word) {
        let shift = if word & 1 << 22 == 0 { 0 } else { 12 };
        let added = i64::from(word >> 10 & 0xfff) << shift;
        let sum = registers[number(word, 5)].map(|it| it + added);
        return set(registers, number(word, 0), sum);
    }
    // mov x, x
    if is(0xffe0_ffe0, 0xaa00_03e0) {
        let value = registers[number(word, 16)];
        return set(registers, number(word, 0), value);
    }
    let changed: &[u32] = if word >> 25 & 0b101 != 0b100 {
        // Computations, and system registers.
        &[0]
    } else if is(0x3b00_0000, 0x3900_0000)
        || is(0x3b20_0c00, 0x3820_0800)
        || is(0x3b20_0400, 0x3800_0000)
        || is(0x3b00_0000, 0x1800_0000)
    {
        // One register, from an address that stays the same.
        &[0]
    } else if is(0x3a80_0000, 0x2800_0000) {
        // Two of them.
        &[0, 10]
    } else {
        // Any other load or store: an address that is counted up, states of exclusive ones.
        &[0, 5, 10, 16]
    };
    for &low in changed {
        registers[number(word, low)] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_instructions_lead() {
        for (word, expected, what) in [
            (0x1400_0002, Step::Jump(8), "b .+8"),
            (0x17ff_ffff, Step::Jump(-4), "b .-4"),
            (0x9400_0000, Step::Call, "bl"),
            (0xd63f_0020, Step::Call, "blr x1"),
            (0x54ff_ffe1, Step::Branch(-4), "b.ne .-4"),
            (0xb400_0040, Step::Branch(8), "cbz x0, .+8"),
            (0x3707_ffe0, Step::Branch(-4), "tbnz w0, #0, .-4"),
            (0xd65f_03c0, Step::End, "ret"),
            (0xd61f_0020, Step::End, "br x1"),
            (0xd420_0000, Step::End, "brk #0"),
            (0x0000_0000, Step::End, "udf #0"),
            (0xd503_201f, Step::Next, "nop"),
            (0x9101_0000, Step::Next, "add x0, x0, #64"),
        ] {
            assert_eq!(Step::of(word), expected, "{what}");
        }
    }

    #[test]
    fn knows_what_instructions_change() {
        for (word, known, what) in [
            (0x9101_0281, &[(1, 72), (19, 8), (20, 8)][..], "add x1, x20, #64"),
            (0x9140_0693, &[(19, 0x1008), (20, 8)], "add x19, x20, #1, lsl #12"),
            (0xaa14_03e0, &[(0, 8), (19, 8), (20, 8)], "mov x0, x20"),
            (0xaa15_03f4, &[(19, 8)], "mov x20, x21"),
            (0x0b13_0294, &[(19, 8)], "add w20, w20, w19"),
            (0x9100_42ff, &[(19, 8), (20, 8)], "add sp, x23, #16"),
            (0xf940_0693, &[(20, 8)], "ldr x19, [x20, #8]"),
            (0xf840_8e93, &[], "ldr x19, [x20, #8]!"),
            (0xf840_8693, &[], "ldr x19, [x20], #8"),
            (0xf874_6a61, &[(19, 8), (20, 8)], "ldr x1, [x19, x20]"),
            (0xa940_5293, &[], "ldp x19, x20, [x20]"),
            (0xa8c1_0682, &[(19, 8)], "ldp x2, x1, [x20], #16"),
            (0xc813_7e81, &[], "stxr w19, x1, [x20]"),
            (0xd538_4114, &[(19, 8)], "mrs x20, sp_el0"),
        ] {
            let mut registers = [None; 32];
            (registers[19], registers[20]) = (Some(8), Some(8));
            change(word, &mut registers);
            let all: Vec<(usize, i64)> =
                registers.iter().enumerate().filter_map(|(n, it)| Some((n, (*it)?))).collect();
            assert_eq!(all, known, "{what}");
        }
    }
}
