//! Exceptions of the processor, by architecture.

use super::{BAD_ACCESS, Headline, remains, report};
use crate::console::blame::Blame;

/// Overflown stacks: the function that common code called is what went round in circles.
pub(super) const OVERFLOW: &[&str] = &["stack-overflow in {f}"];

/// `net/core/skbuff.c`: these check what their callers pass.
const BUFFERS: &[&str] =
    &["skb_panic", "skb_push*", "skb_put*", "skb_pull*", "skb_*_panic", "__skb_*"];

pub(super) const REPORTS: &[Headline] = &[
    // arch/x86/mm/fault.c: show_fault_oops, in the words of several releases; PowerPC's bad_page_fault.
    report(
        "BUG: (?:unable to handle kernel paging request|unable to handle page fault for address|Unable to handle kernel data access)",
        "BUG: unable to handle kernel paging request in {f}",
        Blame::Fault,
    )
    .also(BAD_ACCESS),
    report(
        "BUG: (?:unable to handle kernel NULL pointer dereference|[Kk]ernel NULL pointer dereference)",
        "BUG: unable to handle kernel NULL pointer dereference in {f}",
        Blame::Fault,
    )
    .also(BAD_ACCESS),
    // Both were printed in two pieces before 5.1.
    remains("BUG: [Uu]nable to handle kernel", "BUG: unable to handle kernel"),
    // arch/arm/mm/fault.c, arch/arm64/mm/fault.c, arch/riscv/mm/fault.c: die_kernel_fault.
    report(
        "Unable to handle kernel (paging request|NULL pointer dereference|access to user memory)",
        "BUG: unable to handle kernel {1} in {f}",
        Blame::Fault,
    )
    .also(BAD_ACCESS),
    // arch/x86/kernel/traps.c: handle_stack_overflow.
    report(
        "BUG: .*stack guard page was hit at",
        "BUG: stack guard page was hit in {f}",
        Blame::Loop,
    )
    .also(OVERFLOW),
    // arch/x86/kernel/dumpstack.c: __die_header prints "MESSAGE: error [#count]"; the messages are
    // those of arch/x86/kernel/traps.c. What a program did is told without a count.
    report(
        "general protection fault(?:,.*)?: [0-9a-f]{4}",
        "general protection fault in {f}",
        Blame::Fault,
    )
    .also(BAD_ACCESS),
    report("stack segment: [0-9a-f]{4}", "stack segment fault in {f}", Blame::Fault),
    report("divide[ _]error: [0-9a-f]{4}", "divide error in {f}", Blame::Pc),
    report("invalid opcode: [0-9a-f]{4}", "invalid opcode in {f}", Blame::Pc).sequel(),
    report("int3: [0-9a-f]{4}", "int3 in {f}", Blame::Fault),
    report("PANIC: double fault", "PANIC: double fault in {f}", Blame::Pc).sequel(),
    // arch/arm/kernel/traps.c, arch/arm64/kernel/traps.c: __die.
    report("Internal error: ?", "Internal error in {f}", Blame::Fault).also(BAD_ACCESS).sequel(),
    // arch/arm/mm/fault.c: do_DataAbort; arch/arm/mm/alignment.c: do_alignment.
    report("Unhandled fault: ?", "Unhandled fault in {f}", Blame::Fault).also(BAD_ACCESS),
    report("Alignment trap: ?", "Alignment trap in {f}", Blame::Fault),
    // lib/bug.c: report_bug, of BUG() in mm/usercopy.c, lib/list_debug.c and everywhere else.
    report("kernel BUG at mm/usercopy.c", "BUG: bad usercopy in {f}", Blame::Stack),
    report("kernel BUG at lib/list_debug.c", "BUG: corrupted list in {f}", Blame::Stack)
        .also(BAD_ACCESS),
    report("kernel BUG at .", "kernel BUG in {f}", Blame::Fault).past(BUFFERS),
    // The same in the words of s390 and others.
    report("Kernel BUG (.*)", "kernel BUG {1}", Blame::Nobody),
];
