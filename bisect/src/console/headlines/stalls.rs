//! Processors that loop and tasks that wait.

use super::{Headline, message, report};
use crate::console::blame::Blame;

const STALL: &[&str] = &["stall in {f}"];
const HANG: &[&str] = &["hang in {f}"];

pub(super) const REPORTS: &[Headline] = &[
    // kernel/rcu/tree_stall.h: print_cpu_stall, print_other_cpu_stall; tree_exp.h, tasks.h.
    report(
        "INFO: rcu[a-z_]* (?:self-)?detected(?: expedited)? stall",
        "INFO: rcu detected stall in {f}",
        Blame::Stall,
    )
    .past(&["*rcu*"])
    .also(STALL),
    // kernel/watchdog.c: watchdog_timer_fn.
    report("BUG: soft lockup", "BUG: soft lockup in {f}", Blame::Loop).also(STALL),
    // kernel/hung_task.c: check_hung_task. A task's name may hold a line end.
    report(
        "INFO: task .{0,100}? blocked (?:in I/O wait )?for more than [0-9]+ seconds",
        "INFO: task hung in {f}",
        Blame::Wait,
    )
    .also(HANG),
    report("INFO: task .{0,100}$", "INFO: task hung in {f}", Blame::Wait)
        .then(&["^.{0,100}? blocked (?:in I/O wait )?for more than [0-9]+ seconds"])
        .also(HANG),
    report(
        "INFO: task .{0,100}? can't die for more than [0-9]+ seconds",
        "INFO: task can't die in {f}",
        Blame::Stack,
    )
    .past(&["*schedule*"])
    .also(HANG),
    // kernel/workqueue.c: wq_watchdog_timer_fn.
    message("BUG: workqueue lockup", "BUG: workqueue lockup"),
];
