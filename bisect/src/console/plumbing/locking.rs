//! Locks, waiting and the state of interrupts.

use super::Part;

#[rustfmt::skip] // one name a line would make a table that nobody reads
pub(super) const PARTS: &[Part] = &[
    // kernel/locking/
    &[
        "lock_acquire*", "__lock_acquire*", "lock_release*", "__lock_release*",
        "lock_is_held*", "__lock_is_held", "lock_downgrade", "lock_set_class", "lock_sync",
        "lock_pin_lock", "*lockdep_*", "*lock_class*", "hlock_class", "validate_chain",
        "check_*prev*_add*", "mark_lock*", "mark_held_locks", "*reacquire_held_locks",
        "debug_check_no_locks_*", "print_*usage_bug*", "print_unlock_imbalance*",
        "print_circular_bug*", "_raw_*lock*", "__raw_*lock*", "do_raw_*lock*",
        "raw_spin_rq_*", "*queued_*_lock*", "queued_*_lock*", "*spin_lock*", "spin_unlock*",
        "spin_dump", "spin_bug", "rwlock_bug", "mutex_*", "__mutex_*", "ww_mutex_*",
        "rt_mutex_*", "__rt_mutex_*", "rtlock_*", "down", "down_*", "up", "up_read*",
        "up_write*", "__down*", "__up*", "rwsem_*", "__rwsem_*", "osq_*", "owner_on_cpu",
        "percpu_*_read", "percpu_*_write", "__percpu_*_read", "*read_lock*", "*read_unlock*",
        "*write_lock*", "*write_unlock*", "*read_trylock*", "*write_trylock*",
        "*_bh_enable*", "*_bh_disable*", "rt_read_*", "rt_write_*",
    ],
    // kernel/rcu/{update,srcutree,srcutiny}.c, include/linux/rcupdate.h
    &[
        "rcu_read_*", "__rcu_read_*", "rcu_lock_*", "rcu_is_watching", "srcu_read_*",
        "__srcu_read_*", "cleanup_srcu_struct*", "init_srcu_struct*",
    ],
    // kernel/trace/, kernel/sched/core.c: bookkeeping of interrupts and preemption
    &[
        "trace_hardirqs_*", "trace_softirqs_*", "perf_trace_*", "trace_call_bpf",
        "preempt_count_*", "__trace_hardirqs_*", "*trace_lock_*",
    ],
    // kernel/sched/{completion,wait,swait}.c
    &[
        "__wake_up*", "wake_up_*", "finish_wait", "complete", "complete_all",
        "*wait_for_completion*", "*wait_for_common*", "swake_up*",
    ],
    // kernel/time/timer.c, kernel/workqueue.c, kernel/kthread.c: deferred work, set or taken back
    &[
        "*mod_timer*", "add_timer*", "*del_timer*", "*timer_delete*", "*timer_shutdown*",
        "lock_timer_base", "init_timer_key", "sk_stop_timer*", "*queue_work*",
        "*queue_delayed_work*", "insert_work", "*cancel_work*", "*cancel_delayed_work*",
        "*flush_work", "flush_delayed_work", "*flush_workqueue*", "*drain_workqueue*",
        "*destroy_workqueue*", "start_flush_work", "try_to_grab_pending",
        "*_is_static_object", "kthread_stop*",
    ],
];
