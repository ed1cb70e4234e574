//! Lines with `INFO:`: stalls and hangs, and lockdep before 4.15.

use super::format::{Format, STACK};
use crate::console::choose::Choice;
use crate::console::walk::{Step, Walk};

const AT: &str = "at: {PC} +{FUNC}";

/// A processor is in the same stretch of kernel code for too long: what it was doing lies below
/// the timer interrupt that noticed it.
const STALL: Walk =
    Walk::of(&[Step::Line("apic_timer_interrupt"), Step::Line("{RIP}"), Step::Trace])
        .or(&[Step::Line("apic_timer_interrupt|Exception stack|el1h_64_irq"), Step::Trace])
        .skipping(&["apic_timer_interrupt", "rcu"])
        .choosing(Choice::Entered);

/// Everything with `INFO:`.
pub(crate) const INFOS: [Format; 13] = [
    Format::new("INFO: possible circular locking dependency detected", "possible deadlock in {1}")
        .here(r"detected \]|state \]")
        .then(&["is trying to acquire lock", AT]),
    Format::new(
        "INFO: possible irq lock inversion dependency detected",
        "possible deadlock in {1}",
    )
    .here(r"detected \]|state \]")
    .then(&["just changed the state of lock", AT]),
    Format::new(
        "INFO: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
        "possible deadlock in {1}",
    )
    .here(r"detected \]|state \]")
    .then(&["is trying to acquire", AT]),
    Format::new("INFO: possible recursive locking detected", "possible deadlock in {1}")
        .then(&["is trying to acquire lock", AT]),
    Format::new("INFO: inconsistent lock state", "inconsistent lock state in {1}")
        .then(&["takes", AT]),
    Format::new(
        "INFO: rcu_(?:preempt|sched|bh|tasks) (?:self-)?detected(?: expedited)? stall",
        "INFO: rcu detected stall in {f}",
    )
    .also(&["stall in {f}"])
    .walk(STALL),
    Format::new(
        "INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {f}",
    )
    .walk(STACK.skipping(&["stack", "lock", "IRQ"])),
    Format::new("INFO: suspicious RCU usage", "INFO: suspicious RCU usage in {f}")
        .then(&["{FILE}"])
        .walk(STACK.skipping(&["rcu", "kmem", "slab"])),
    Format::new(
        "INFO: task .{0,100}? blocked (?:in I/O wait )?for more than [0-9]+ seconds",
        "INFO: task hung in {f}",
    )
    .also(&["hang in {f}"])
    .walk(STACK.choosing(Choice::Sleeper)),
    Format::new(
        "INFO: task .{0,100}? can't die for more than .* seconds",
        "INFO: task can't die in {f}",
    )
    .also(&["hang in {f}"])
    .walk(STACK.skipping(&["schedule"])),
    // The task's name has an end of line in it.
    Format::new("INFO: task .{0,100}$", "INFO: task hung in {f}")
        .then(&["^.{0,100}? blocked (?:in I/O wait )?for more than [0-9]+ seconds"])
        .also(&["hang in {f}"])
        .walk(STACK.choosing(Choice::Sleeper)),
    // All that is left of some old KASAN reports.
    Format::new("INFO: (Freed|Allocated) in (.*)", "INFO: {1} in {2}").damaged(),
    Format::new(r"INFO:\s*$", "INFO: corrupted").damaged(),
];

/// Lines with `INFO:` that only inform.
pub(crate) const NOISE: &[&str] = &[
    "INFO: lockdep is turned off",
    "INFO: Stall ended before state dump start",
    "INFO: NMI handler",
    "INFO: recovery required on readonly filesystem",
    "(?:handler|interrupt).*took too long",
    "INFO: sys_.* is not present in /proc/kallsyms",
    "INFO: no syscalls can create resource",
    "rmt_storage:INFO:",
    "_INFO:",
];
