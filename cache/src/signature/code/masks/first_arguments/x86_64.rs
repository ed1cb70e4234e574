//! x86-64: the first argument is in `%rdi` (System V ABI, "AMD64 Architecture Processor Supplement",
//! "Parameter Passing").

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::signature::relocatable::Relocation;

use super::Code;

/// `mov $address, %rdi` with its relocation, `R_X86_64_32S`, and `lea address(%rip), %rdi` with
/// `R_X86_64_PC32`.
const LOADS: [(u32, &[u8]); 2] = [(11, &[0x48, 0xc7, 0xc7]), (2, &[0x48, 0x8d, 0x3d])];
/// Other arguments are computed between the two, and registers saved: a dozen instructions.
const FURTHEST: usize = 48;

/// What is called with the address that a relocation fills in.
pub(super) fn callee<'data>(
    code: &Code<'_, 'data>,
    relocation: &Relocation,
) -> Option<&'data [u8]> {
    let field = usize::try_from(relocation.offset).ok()?;
    let before = code.bytes.get(..field)?;
    if !LOADS.iter().any(|(kind, load)| relocation.kind == *kind && before.ends_with(load)) {
        return None;
    }
    let mut decoder = Decoder::with_ip(64, code.bytes, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut at = field.checked_add(4)?;
    for _ in 0..FURTHEST {
        decoder.set_position(at).ok()?;
        decoder.set_ip(at as u64);
        decoder.decode_out(&mut instruction);
        let is_branch = instruction.op0_kind() == OpKind::NearBranch64;
        match instruction.mnemonic() {
            call_or_jump @ (Mnemonic::Call | Mnemonic::Jmp) if is_branch => {
                let field = at + decoder.get_constant_offsets(&instruction).immediate_offset();
                if let Some(relocation) = code.relocation(field as u64) {
                    return code.name(relocation);
                }
                if call_or_jump == Mnemonic::Call {
                    return None;
                }
                at = usize::try_from(instruction.near_branch_target()).ok()?;
            }
            mnemonic if goes_on(mnemonic) && !names_first_argument(&instruction) => {
                at += instruction.len();
            }
            _ => return None,
        }
    }
    None
}

/// Whether an instruction goes on to the next one, and changes no register that is not an operand but
/// `%rax`, `%rdx` and `%rsp`.
fn goes_on(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(
        mnemonic,
        Mov | Movzx
            | Movsx
            | Movsxd
            | Lea
            | Push
            | Pop
            | Nop
            | Endbr64
            | Add
            | Sub
            | Neg
            | Imul
            | And
            | Or
            | Xor
            | Not
            | Shl
            | Shr
            | Sar
            | Cmp
            | Test
            | Cwde
            | Cdqe
            | Cdq
            | Cqo
            | Sete
            | Setne
            | Seta
            | Setae
            | Setb
            | Setbe
            | Setg
            | Setge
            | Setl
            | Setle
    )
}

fn names_first_argument(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register
            && matches!(
                instruction.op_register(operand),
                Register::RDI | Register::EDI | Register::DI | Register::DIL
            )
    })
}
