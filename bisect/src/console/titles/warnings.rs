//! Lines with `WARNING:`.

use super::format::{Format, STACK, WARNING};
use crate::console::walk::{Step, Walk};

/// Everything with `WARNING:` but lockdep's reports.
pub(crate) const WARNINGS: [Format; 10] = [
    // The users of debug objects are named by whoever uses them.
    Format::new(
        r"WARNING: .*lib/debugobjects\.c.* (?:debug_print|debug_check|at)",
        "WARNING: ODEBUG bug in {f}",
    )
    .walk(WARNING.skipping(&[
        "debug_", "rcu", "hrtimer_", "timer_", "work_", "percpu_", "vunmap", "vfree", "__free_",
        "kobject_",
    ])),
    Format::new(
        r"WARNING: .*mm/usercopy\.c.* (?:usercopy_warn|at)",
        "WARNING: bad usercopy in {f}",
    )
    .walk(WARNING.skipping(&["usercopy", "__check"])),
    Format::new(r"WARNING: .*lib/kobject\.c.* (?:kobject_|at)", "WARNING: kobject bug in {f}")
        .walk(WARNING.skipping(&["kobject_"])),
    Format::new(
        r"WARNING: .*fs/proc/generic\.c.* (?:proc_register|at)",
        "WARNING: proc registration bug in {f}",
    )
    .walk(WARNING.skipping(&["proc_"])),
    Format::new(r"WARNING: .*lib/refcount\.c.* (?:refcount_|at)", "WARNING: refcount bug in {f}")
        .walk(WARNING.skipping(&["refcount", "kobject_"])),
    Format::new(r"WARNING: .*kernel/locking/lockdep\.c.*lock_", "WARNING: locking bug in {f}")
        .walk(WARNING.skipping(&["lock_sock", "release_sock"])),
    Format::new(r"WARNING: .*mm/.*\.c.* k?.?malloc", "WARNING: kmalloc bug in {f}")
        .walk(WARNING.skipping(&["kmalloc", "krealloc", "slab", "kmem"])),
    Format::new("WARNING: .*mm/vmalloc.c.*__vmalloc_node", "WARNING: zero-size vmalloc in {f}")
        .walk(WARNING),
    Format::new("WARNING: .* usb_submit_urb", "WARNING in {f}/usb_submit_urb").walk(
        WARNING.skipping(&[
            "usb_submit_urb",
            "usb_start_wait_urb",
            "usb_bulk_msg",
            "usb_interrupt_msg",
            "usb_control_msg",
        ]),
    ),
    // The place of the warning, in the forms that kernels had over time.
    Format::new(
        r"WARNING: (?:.* at {FILE} {FN}|{FILE} at 0x[0-9]+, CPU#[0-9]+|{FILE} at {FN}|\[.*\] {FILE} at {FN})",
        "WARNING in {f}",
    )
    .walk(WARNING),
];

const AT: &str = "at: (?:{PC} +)?{FUNC}";

/// Lockdep and RCU's checks; `INFO:` in older kernels, `WARNING:` since 4.15.
pub(crate) const LOCKS: [Format; 16] = [
    Format::new("WARNING: .*still has locks held!", "WARNING: still has locks held in {1}")
        .then(&["at: {FUNC}"]),
    Format::new("WARNING: Nested lock was not taken", "WARNING: nested lock was not taken in {f}")
        .walk(WARNING),
    Format::new(
        "WARNING: lock held when returning to user space",
        "WARNING: lock held when returning to user space in {1}",
    )
    .then(&["leaving the kernel with locks still held", AT])
    .untraced(),
    // Work queues take locks on behalf of the work: the finding belongs to that.
    Format::new(
        "WARNING: possible circular locking dependency detected",
        "possible deadlock in {f}",
    )
    .then(&["is trying to acquire lock"])
    .walk(Walk::of(&[Step::Line(AT), Step::Line(AT), Step::Trace]).skipping(&[
        "process_one_work",
        "flush_workqueue",
        "drain_workqueue",
        "destroy_workqueue",
    ])),
    Format::new(
        "WARNING: possible irq lock inversion dependency detected",
        "possible deadlock in {1}",
    )
    .then(&["just changed the state of lock", AT]),
    Format::new("WARNING: .*-safe -> .*-unsafe lock order detected", "possible deadlock in {f}")
        .walk(Walk::of(&[Step::Line("which became (?:.*) at:"), Step::Trace])),
    Format::new("WARNING: possible recursive locking detected", "possible deadlock in {1}")
        .then(&["is trying to acquire lock", AT]),
    Format::new("WARNING: inconsistent lock state", "inconsistent lock state in {f}")
        .then(&["takes", "at: (?:{PC} +)?{FN}"])
        .walk(STACK),
    Format::new("WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage in {f}")
        .then(&["{FILE}"])
        .walk(STACK.skipping(&["rcu", "kmem", "slab"])),
    Format::new("WARNING: bad unlock balance detected!", "WARNING: bad unlock balance in {f}")
        .walk(Walk::of(&[
            Step::Line("{PC} +{FUNC}"),
            Step::Line("Call [Tt]race:|Backtrace:"),
            Step::Trace,
        ])),
    Format::new("WARNING: held lock freed!", "WARNING: held lock freed in {1}")
        .then(&["at:(?: {PC})? +{FUNC}"]),
    // The unwinder met a stack that it cannot read.
    Format::new(
        "WARNING: kernel stack regs at [0-9a-f]+ in [^ ]* has bad '([^']+)' value",
        "WARNING: kernel stack regs has bad '{1}' value",
    )
    .untraced(),
    Format::new(
        "WARNING: kernel stack frame pointer at [0-9a-f]+ in [^ ]* has bad value",
        "WARNING: kernel stack frame pointer has bad value",
    )
    .untraced(),
    Format::new(
        "WARNING: kernel stack regs .* has bad 'bp' value",
        "WARNING: kernel stack regs has bad value",
    )
    .untraced(),
    Format::new(
        "WARNING: kernel stack frame pointer .* has bad value",
        "WARNING: kernel stack regs has bad value",
    )
    .untraced(),
    Format::new(r"WARNING:\s*$", "WARNING: corrupted").damaged(),
];

/// Lines with `WARNING:` that warn of other things.
pub(crate) const NOISE: &[&str] = &[
    "WARNING: /etc/ssh/moduli does not exist, using fixed modulus",
    "WARNING: workqueue cpumask: online intersect > possible intersect",
    "WARNING: [Tt]he mand mount option",
    r"WARNING: Unsupported flag value\(s\) of 0x%x in DT_FLAGS_1",
    "WARNING: Unprivileged eBPF is enabled with eIBRS",
    "WARNING: fbcon: Driver '.*' missed to adjust virtual screen size",
    "WARNING: See https.* for mitigation options",
    "WARNING: kernel not compiled with CPU_SRSO",
    r"EXT4-[Ff][Ss](?: \(.*\))?:",
    "(?i:warning: .* uses (?:deprecated v2 capabilities|wireless extensions))",
    r"XFS \(\w+\): WARNING",
];
