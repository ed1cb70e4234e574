//! Finds errors and prints them.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // lib/dump_stack.c, arch/*/kernel/{dumpstack,stacktrace,traps}.c, kernel/stacktrace.c
    &[
        "dump_stack*", "__dump_stack", "show_stack*", "show_trace*", "show_regs*",
        "__show_regs", "dump_backtrace*", "dump_trace", "walk_stackframe", "walk_stack",
        "print_context_stack", "arch_stack_walk*", "stack_trace_save*",
        "stack_trace_consume_entry*", "save_stack*", "__save_stack_trace*", "save_trace",
    ],
    // kernel/panic.c, lib/bug.c
    &[
        "panic", "__panic", "vpanic", "nmi_panic", "panic_saved_regs", "__warn*",
        "warn_slowpath*", "warn_bogus*", "print_tainted*", "get_taint", "report_bug*",
        "__report_bug", "find_bug", "check_panic_on_warn", "__stack_chk_fail", "oops_*",
    ],
    // mm/kasan/, mm/kfence/, mm/kmsan/, kernel/kcsan/, kernel/kcov.c, mm/kmemleak.c
    &[
        "*kasan_*", "*asan_*", "*hwasan*", "kfence_*", "__kfence_*", "*kmsan_*", "*msan_*",
        "*kcsan_*", "__tsan_*", "__sanitizer_*", "check_memory_region*",
        "print_address_desc*", "print_report", "quarantine_*", "qlink_*", "qlist_*",
        "kmemleak_*", "create_object", "__create_object", "delete_object*",
    ],
    // lib/ubsan.c, mm/usercopy.c, lib/string_helpers.c (fortify)
    &[
        "*ubsan_*", "handle_overflow", "usercopy_*", "*check_object_size",
        "check_heap_object", "check_stack_object", "fortify_*", "__fortify_*",
    ],
    // lib/debugobjects.c, lib/list_debug.c, lib/ref_tracker.c, lib/smp_processor_id.c
    &[
        "debug_object*", "__debug_object*", "debug_print_object", "debug_check_no_obj_*",
        "__debug_check_no_obj_*", "__list_add*", "__list_del*", "list_del*", "list_add*",
        "ref_tracker_*", "check_preemption_disabled", "debug_smp_processor_id",
        "__this_cpu_preempt_check",
    ],
    // kernel/sched/core.c, mm/memory.c: checks of the context
    &[
        "*might_sleep*", "*might_resched*", "*might_fault*", "__cant_*", "__schedule_bug",
    ],
    // lib/refcount.c, include/linux/{refcount,kref}.h
    &[
        "refcount_*", "__refcount_*", "kref_*", "*atomic_*_and_lock*",
    ],
    // lib/fault-inject.c, mm/failslab.c
    &[
        "should_fail*", "__should_fail*", "fault_create_debugfs*",
    ],
];
