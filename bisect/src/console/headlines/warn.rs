//! `WARN_ON` and its like, `kernel/panic.c: __warn`: most are named by their place; some files
//! check what others do, and whoever is checked is named.

use super::locks::SOCKET_LOCK;
use super::{Headline, message, remains, report};
use crate::console::blame::Blame;

/// Users of debug objects are named by whoever uses them.
const OBJECTS: &[&str] = &[
    "debug_*",
    "*rcu*",
    "hrtimer_*",
    "*timer_*",
    "*work_*",
    "percpu_*",
    "__free_*",
    "*kobject_*",
    "*vfree*",
    "*vunmap*",
];
/// `drivers/usb/core/message.c`
const MESSAGES: &[&str] = &[
    "usb_submit_urb",
    "usb_start_wait_urb",
    "usb_bulk_msg",
    "usb_interrupt_msg",
    "usb_control_msg*",
];

/// A warning of this file: `__warn` prints `WARNING: CPU: 0 PID: 1 at FILE:LINE function`, since
/// 6.16 `WARNING: FILE:LINE at function, CPU#0: task`.
macro_rules! at {
    ($file:literal) => {
        concat!("WARNING: .*\\b", $file, ":[0-9]+")
    };
    ($file:literal, $function:literal) => {
        concat!("WARNING: .*\\b", $file, ":[0-9]+ .*\\b", $function)
    };
}

pub(super) const REPORTS: &[Headline] = &[
    report(at!(r"lib/debugobjects\.c"), "WARNING: ODEBUG bug in {f}", Blame::Trap).past(OBJECTS),
    report(at!(r"mm/usercopy\.c"), "WARNING: bad usercopy in {f}", Blame::Trap),
    report(at!(r"lib/kobject\.c"), "WARNING: kobject bug in {f}", Blame::Trap),
    report(
        at!(r"fs/proc/generic\.c", "proc_register"),
        "WARNING: proc registration bug in {f}",
        Blame::Trap,
    )
    .past(&["proc_*", "_proc_*"]),
    report(at!(r"lib/refcount\.c"), "WARNING: refcount bug in {f}", Blame::Trap)
        .past(&["*kobject_*"]),
    report(at!(r"kernel/locking/lockdep\.c"), "WARNING: locking bug in {f}", Blame::Trap)
        .past(SOCKET_LOCK),
    // Too much asked for, or nothing at all.
    report(at!(r"mm/[a-z_]+\.c", "k[a-z]*alloc"), "WARNING: kmalloc bug in {f}", Blame::Trap),
    report(
        at!(r"mm/vmalloc\.c", "__vmalloc_node"),
        "WARNING: zero-size vmalloc in {f}",
        Blame::Trap,
    ),
    report(
        at!(r"drivers/usb/core/urb\.c", "usb_submit_urb"),
        "WARNING in {f}/usb_submit_urb",
        Blame::Trap,
    )
    .past(MESSAGES),
    report(at!(r"[A-Za-z0-9_./-]+\.[a-zA-Z]+"), "WARNING in {f}", Blame::Trap),
    // arch/x86/kernel/unwind_frame.c: unwind_next_frame; in older words first.
    message(
        "WARNING: kernel stack regs at [0-9a-f]+ in [^ ]+ has bad ('[^']+') value",
        "WARNING: kernel stack regs has bad {1} value",
    ),
    message(
        "WARNING: kernel stack frame pointer at [0-9a-f]+ in [^ ]+ has bad value",
        "WARNING: kernel stack frame pointer has bad value",
    ),
    message(
        "WARNING: kernel stack (?:regs|frame pointer) .*has bad",
        "WARNING: kernel stack regs has bad value",
    ),
    remains(r"WARNING:\s*$", "WARNING: corrupted"),
];
