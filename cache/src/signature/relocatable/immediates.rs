//! How far the end of an x86-64 instruction is behind its relocated field.
//!
//! A field relative to the instruction pointer counts from the end of the instruction, so the
//! addend of its relocation holds the field's own 4 bytes and those of an immediate behind it.
//! Without taking both off, `cmpl $0, flag(%rip)` would seem to refer to what lies before `flag`.

/// Bytes of the immediate behind a 4-byte field that `before` ends at; 0 when the field is not the
/// displacement of a memory operand.
///
/// Source: "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2, appendix A:
/// opcodes with a ModRM byte and an immediate. The bytes are read backwards from the field, so a
/// 0x0f of the instruction before may be taken for an escape: then the target is a few bytes off,
/// and off alike in every build of the same code.
pub(super) fn behind_field(before: &[u8]) -> i64 {
    let back = |n: usize| before.len().checked_sub(n).map(|at| before[at]);
    let (Some(operand), Some(opcode)) = (back(1), back(2)) else { return 0 };
    // ModRM with mod 0 and r/m 5: a displacement from the instruction pointer.
    if operand & 0xc7 != 0x05 {
        return 0;
    }
    let (extension, escape) = (operand >> 3 & 7, back(3));
    if escape == Some(0x0f) {
        return i64::from(matches!(opcode, 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6));
    }
    if escape == Some(0x3a) && back(4) == Some(0x0f) {
        return 1;
    }
    // The prefix for 16 bits stands before the opcode, or before the REX prefix in between.
    let rex = escape.is_some_and(|byte| byte & 0xf0 == 0x40);
    let short = escape == Some(0x66) || (rex && back(4) == Some(0x66));
    let wide = if short { 2 } else { 4 };
    match opcode {
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => 1,
        0xf6 if extension < 2 => 1,
        0x69 | 0x81 | 0xc7 => wide,
        0xf7 if extension < 2 => wide,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::behind_field;

    #[test]
    fn knows_the_immediates_of_instructions() {
        for (bytes, expected, what) in [
            (&[0x48, 0x8b, 0x05][..], 0, "mov x(%rip), %rax"),
            (&[0xe8], 0, "call x"),
            (&[0x83, 0x3d], 1, "cmpl $1, x(%rip)"),
            (&[0x80, 0x3d], 1, "cmpb $1, x(%rip)"),
            (&[0xc7, 0x05], 4, "movl $1, x(%rip)"),
            (&[0x48, 0xc7, 0x05], 4, "movq $1, x(%rip)"),
            (&[0x66, 0xc7, 0x05], 2, "movw $1, x(%rip)"),
            (&[0xf6, 0x05], 1, "testb $1, x(%rip)"),
            (&[0xf7, 0x1d], 0, "negl x(%rip)"),
            (&[0x48, 0x0f, 0xba, 0x2d], 1, "btsq $1, x(%rip)"),
            (&[0x90, 0x8d, 0x3d], 0, "lea x(%rip), %edi"),
            (&[], 0, "data"),
        ] {
            assert_eq!(behind_field(bytes), expected, "{what}");
        }
    }
}
