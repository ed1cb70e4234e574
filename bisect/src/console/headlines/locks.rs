//! Locks, RCU and the context that code runs in.

use super::{Headline, report};
use crate::console::blame::Blame;

/// The socket lock sleeps for its callers (`net/core/sock.c`).
pub(super) const SOCKET_LOCK: &[&str] = &["lock_sock*", "release_sock*", "__release_sock"];
/// Work runs for whoever queued it (`kernel/workqueue.c`).
const WORK: &[&str] = &["process_one_work", "process_scheduled_works"];
/// What reports on RCU, and allocators, which check it.
const RCU: &[&str] = &["*rcu*", "*kmem*", "*slab*"];

pub(super) const REPORTS: &[Headline] = &[
    // kernel/locking/lockdep.c: print_circular_bug and its like. Until 4.14 these said "INFO:".
    report(
        "WARNING: possible circular locking dependency detected",
        "possible deadlock in {f}",
        Blame::Locks("is trying to acquire lock"),
    )
    .then(&["is trying to acquire lock"])
    .past(WORK),
    report(
        "INFO: possible (?:circular locking dependency|recursive locking) detected",
        "possible deadlock in {f}",
        Blame::Lock("is trying to acquire lock"),
    )
    .then(&["is trying to acquire lock"]),
    report(
        "WARNING: possible recursive locking detected",
        "possible deadlock in {f}",
        Blame::Lock("is trying to acquire lock"),
    )
    .then(&["is trying to acquire lock"]),
    report(
        "(?:WARNING|INFO): possible irq lock inversion dependency detected",
        "possible deadlock in {f}",
        Blame::Lock("just changed the state of lock"),
    )
    .then(&["just changed the state of lock"]),
    // print_bad_irq_dependency: the lock is safe because an interrupt took it, and that is told
    // with its stack; the older words name the place that is not safe.
    report(
        "WARNING: .*-safe -> .*-unsafe lock order detected",
        "possible deadlock in {f}",
        Blame::Below("which became "),
    )
    .then(&["which became "]),
    report(
        "INFO: .*-safe -> .*-unsafe lock order detected",
        "possible deadlock in {f}",
        Blame::Lock("is trying to acquire"),
    )
    .then(&["is trying to acquire"]),
    // print_usage_bug
    report(
        "INFO: inconsistent lock state",
        "inconsistent lock state in {f}",
        Blame::Lock(" takes"),
    )
    .then(&[" takes"]),
    report("WARNING: inconsistent lock state", "inconsistent lock state in {f}", Blame::Stack)
        .then(&[" takes"]),
    // print_unlock_imbalance_bug
    report(
        "(BUG|WARNING): bad unlock balance detected!",
        "{1}: bad unlock balance in {f}",
        Blame::Below("is trying to release lock"),
    ),
    // print_freed_lock_bug
    report(
        "(BUG|WARNING): held lock freed!",
        "{1}: held lock freed in {f}",
        Blame::Lock("with a lock still held there"),
    ),
    // print_held_locks_bug
    report(
        "(BUG|WARNING): .*still has locks held!",
        "{1}: still has locks held in {f}",
        Blame::Lock("still has locks held!"),
    ),
    // lockdep_sys_exit
    report(
        "(BUG|WARNING): lock held when returning to user space",
        "{1}: lock held when returning to user space in {f}",
        Blame::Lock("leaving the kernel with locks still held"),
    )
    .stackless(),
    // print_lock_nested_lock_not_held
    report(
        "WARNING: Nested lock was not taken",
        "WARNING: nested lock was not taken in {f}",
        Blame::Trap,
    ),
    // register_lock_class
    report(
        "INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {f}",
        Blame::Stack,
    )
    .past(&["*_lock*", "*stack*", "assign_lock_key"]),
    // print_lock_invalid_wait_context: one title with what WARN_ON says in lockdep.c.
    report("BUG: Invalid wait context", "WARNING: locking bug in {f}", Blame::Stack)
        .past(SOCKET_LOCK),
    // lockdep_rcu_suspicious
    report(
        "(WARNING|INFO): suspicious RCU usage",
        "{1}: suspicious RCU usage in {f}",
        Blame::Stack,
    )
    .then(&[r"[A-Za-z0-9_./-]+\.[chS]:[0-9]+ "])
    .past(RCU),
    // kernel/locking/spinlock_debug.c: spin_dump, rwlock_bug.
    report(
        "BUG: (spinlock|rwlock) ([a-zA-Z][a-zA-Z ]*?) on (?:CPU|UP)",
        "BUG: {1} {2} in {f}",
        Blame::Stack,
    )
    .past(&["*_lock*", "*_unlock*"]),
    // kernel/sched/core.c: __schedule_bug, __might_resched.
    report("BUG: scheduling while atomic", "BUG: scheduling while atomic in {f}", Blame::Stack)
        .past(&["*schedule*"]),
    report(
        "BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {f}",
        Blame::Stack,
    ),
    // lib/smp_processor_id.c: check_preemption_disabled.
    report(
        r"BUG: using ([a-z_]+\(\)) in preemptible",
        "BUG: using {1} in preemptible code in {f}",
        Blame::Stack,
    )
    .past(&["*preempt*", "*processor_id*", "*this_cpu*"]),
    // kernel/workqueue.c: process_one_work, show_workqueue_state.
    report(
        "BUG: workqueue leaked lock or atomic",
        "BUG: workqueue leaked lock or atomic in {1}",
        Blame::Nobody,
    )
    .then(&["last function: ([A-Za-z0-9_]+)"])
    .stackless(),
];
