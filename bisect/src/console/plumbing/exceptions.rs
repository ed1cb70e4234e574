//! The way of an exception from the processor to the code that reports it.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // arch/x86/kernel/{traps,entry}*, arch/x86/mm/fault.c, arch/x86/entry/
    &[
        "invalid_op", "do_invalid_op", "handle_bug", "fixup_bug*", "exc_*", "asm_exc_*",
        "do_error_trap", "do_trap*", "math_error", "divide_error", "do_divide_error",
        "do_page_fault", "__do_page_fault", "async_page_fault", "page_fault",
        "general_protection", "do_general_protection", "error_entry", "common_exception*",
        "__x86_indirect_thunk_*", "trace_hardirqs_*_thunk",
    ],
    // arch/arm64/kernel/{entry-common,traps,debug-monitors}.c, arch/arm64/mm/fault.c
    &[
        "el1_*", "el1h_*", "do_mem_abort", "do_translation_fault", "do_tag_check_fault",
        "do_page_fault", "do_sp_pc_abort", "do_bad_area", "__do_kernel_fault",
        "do_kernel_fault", "do_debug_exception", "brk_handler", "bug_handler",
        "call_break_hook", "*bad_stack",
    ],
    // arch/{arm,powerpc,riscv}: the same
    &[
        "do_DataAbort", "do_PrefetchAbort", "do_undefinstr", "__und_*", "program_check_*",
        "data_access_*", "do_program_check", "do_trap_break", "handle_page_fault",
        "imbalance_bug*",
    ],
];
