//! Common code that calls the function of whoever registered one: system calls, timers, work,
//! operations of files and sockets. Where a processor does not come out of a long way of calls,
//! the function that common code called names the bug; what runs at the bottom is chance.

/// Dispatchers, by where they are in the kernel; `*` stands for anything.
const DISPATCHERS: &[&[&str]] = &[
    // arch/*/entry, arch/*/kernel/entry*, kernel/entry/: system calls and the way back.
    &[
        "do_syscall_*",
        "do_fast_syscall_*",
        "do_int80_*",
        "entry_SYSCALL*",
        "entry_SYSENTER*",
        "entry_INT80*",
        "sysenter_*",
        "tracesys*",
        "system_call*",
        "invoke_syscall",
        "el0_svc_*",
        "do_el0_svc",
        "ret_fast_syscall",
        "__sys_trace_return",
        "syscall_return_*",
        "x64_sys_call",
        "exit_to_usermode_loop",
        "exit_to_user_mode_*",
        "syscall_exit_to_user_mode*",
        "prepare_exit_to_usermode",
        "do_notify_resume",
        "get_signal",
        "work_pending",
    ],
    // kernel/{kthread,workqueue,task_work,smpboot}.c, kernel/sched/idle.c.
    &[
        "kthread",
        "ret_from_fork*",
        "worker_thread",
        "process_one_work",
        "process_scheduled_works",
        "task_work_run",
        "smpboot_thread_fn",
        "run_ksoftirqd",
        "do_idle",
        "cpu_startup_entry",
        "start_secondary",
        "secondary_startup*",
    ],
    // kernel/softirq.c, kernel/time/: interrupts and timers.
    &[
        "*do_softirq*",
        "handle_softirqs",
        "irq_exit*",
        "__irq_exit_rcu",
        "tasklet_action*",
        "tasklet_hi_action",
        "call_timer_fn",
        "expire_timers",
        "*run_timers*",
        "run_timer_softirq",
        "__hrtimer_run_queues",
        "__run_hrtimer",
        "hrtimer_run_*",
        "hrtimer_interrupt",
    ],
    // fs/: operations of files.
    &[
        "vfs_read",
        "vfs_write",
        "vfs_readv",
        "vfs_writev",
        "__vfs_read",
        "__vfs_write",
        "__kernel_write*",
        "kernel_write",
        "kernel_read",
        "new_sync_read",
        "new_sync_write",
        "call_read_iter",
        "call_write_iter",
        "do_iter_*",
        "vfs_iter_*",
        "vfs_ioctl",
        "do_vfs_ioctl",
        "ksys_ioctl",
        "*sys_ioctl",
        "*compat_ioctl*",
        "do_dentry_open",
        "vfs_open",
        "__fput",
        "____fput",
        "vfs_fsync*",
    ],
    // mm/: operations of mappings.
    &["__do_fault", "call_mmap", "mmap_region", "do_mmap*"],
    // block/: operations of block devices.
    &["blkdev_ioctl", "compat_blkdev_ioctl", "__blkdev_driver_ioctl", "blkdev_driver_ioctl"],
    // net/socket.c, net/core/sock.c: operations of sockets.
    &[
        "sock_sendmsg*",
        "__sock_sendmsg",
        "sock_recvmsg*",
        "sock_release",
        "__sock_release",
        "sock_close",
        "sock_mmap",
        "sock_ioctl",
        "sock_do_ioctl",
        "sock_write_iter",
        "sock_read_iter",
        "kernel_sendmsg",
        "sock_common_*",
        "kernel_setsockopt",
        "kernel_listen",
        "kernel_accept",
        "sk_common_release",
        "__sys_socketpair",
        "__sys_connect*",
        "__sys_setsockopt",
    ],
    // net/netlink, net/netfilter/nfnetlink.c, net/core/{rtnetlink,dev}.c: messages and packets.
    &["rtnetlink_rcv_msg", "nfnetlink_rcv_msg", "netlink_dump", "*netif_receive_skb*"],
];

/// arch/*/mm/fault.c: a page fault of a program. One that the kernel takes on a program's behalf
/// has the program's system call below it, which says more.
const PAGE_FAULTS: &[&str] =
    &["do_page_fault", "__do_page_fault", "page_fault", "exc_page_fault", "do_user_addr_fault"];

/// Names of dispatchers that count only where no other is in the stack.
pub(crate) fn page_faults() -> impl Iterator<Item = &'static str> {
    PAGE_FAULTS.iter().copied()
}

/// Names of all others.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DISPATCHERS.iter().flat_map(|part| part.iter()).copied()
}
