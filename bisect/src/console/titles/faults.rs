//! Faults of the processor, on x86, ARM and others.

use super::format::{FAULT, Format, RIP_ONLY};

/// ARM and RISC-V's words for a bad access.
pub(crate) const BAD_ACCESS: [Format; 1] = [Format::new(
    "Unable to handle kernel (paging request|NULL pointer dereference|access to user memory)",
    "BUG: unable to handle kernel {1} in {f}",
)
.also(&["bad-access in {f}"])
.walk(FAULT)];

/// x86: an address that is none, most often.
pub(crate) const PROTECTION: [Format; 1] =
    [Format::new("general protection fault.*:", "general protection fault in {f}")
        .also(&["bad-access in {f}"])
        .walk(FAULT)];

/// x86: a bad access through the stack segment.
pub(crate) const STACK_SEGMENT: [Format; 1] =
    [Format::new("stack segment: ", "stack segment fault in {f}").walk(FAULT)];

/// x86: a fault while a fault was handled.
pub(crate) const DOUBLE: [Format; 1] =
    [Format::new("PANIC: double fault", "PANIC: double fault in {f}").walk(RIP_ONLY)];

/// x86: division by zero, in two spellings.
pub(crate) const DIVISION: [Format; 1] =
    [Format::new("divide[ _]error: ", "divide error in {f}").walk(RIP_ONLY)];

/// x86: not an instruction.
pub(crate) const OPCODE: [Format; 1] =
    [Format::new("invalid opcode: ", "invalid opcode in {f}").walk(RIP_ONLY)];

/// x86: a breakpoint that nobody set.
pub(crate) const BREAKPOINT: [Format; 1] = [Format::new("int3: ", "int3 in {f}").walk(FAULT)];

/// ARM: what it calls an internal error is most often a bad access.
pub(crate) const INTERNAL: [Format; 1] = [Format::new("Internal error:", "Internal error in {f}")
    .also(&["bad-access in {f}"])
    .walk(FAULT)];

/// 32-bit ARM: likewise.
pub(crate) const UNHANDLED: [Format; 1] =
    [Format::new("Unhandled fault:", "Unhandled fault in {f}")
        .also(&["bad-access in {f}"])
        .walk(FAULT)];

/// 32-bit ARM: an access that is not aligned.
pub(crate) const ALIGNMENT: [Format; 1] =
    [Format::new("Alignment trap:", "Alignment trap in {f}").walk(FAULT)];
