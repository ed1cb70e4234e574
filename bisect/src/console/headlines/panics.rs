//! `kernel/panic.c: panic`, by its reason.

use super::faults::OVERFLOW;
use super::{Headline, remains, report};
use crate::console::blame::Blame;

pub(super) const REPORTS: &[Headline] = &[
    // __stack_chk_fail; a smashed stack often cannot be printed.
    report(
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: {FUNCTION}",
        "kernel panic: stack is corrupted in {1}",
        Blame::Nobody,
    )
    .stackless()
    .sequel(),
    report(
        "Kernel panic - not syncing: stack-protector:",
        "kernel panic: stack is corrupted in {f}",
        Blame::Stack,
    )
    .sequel(),
    // kernel/sched/core.c: schedule_debug.
    report(
        "Kernel panic - not syncing: corrupted stack end",
        "kernel panic: corrupted stack end in {f}",
        Blame::Loop,
    )
    .past(&["*schedule*"])
    .also(OVERFLOW)
    .sequel(),
    // arch/arm64/kernel/traps.c: panic_bad_stack.
    report(
        "Kernel panic - not syncing: kernel stack overflow",
        "kernel stack overflow in {f}",
        Blame::Loop,
    )
    .also(OVERFLOW)
    .sequel(),
    // kernel/exit.c: do_exit; drivers/tty/tty_ldisc.c: tty_ldisc_restore.
    report(
        "Kernel panic - not syncing: Attempted to kill init!",
        "kernel panic: Attempted to kill init!",
        Blame::Nobody,
    )
    .sequel(),
    report(
        "Kernel panic - not syncing: Couldn't open N_TTY ldisc",
        "kernel panic: Couldn't open N_TTY ldisc",
        Blame::Nobody,
    )
    .sequel(),
    // The end of another report; standing first, that was lost.
    remains(
        "Kernel panic - not syncing: .*(Fatal exception|panic_on_warn set|hung_task: blocked tasks)",
        "kernel panic: {1}",
    )
    .sequel(),
    report("Kernel panic - not syncing: (.*)", "kernel panic: {1}", Blame::Nobody).sequel(),
];
