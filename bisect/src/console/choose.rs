//! Which frame of a stack trace names the bug.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::pattern;

/// Ways to choose, for reports of different nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The topmost frame: where the error was found.
    Top,
    /// A processor loops somewhere below a system call or callback: the top frame is chance,
    /// what stays is the function that was entered from common code.
    Entered,
    /// A task sleeps for ever: the top frames are the scheduler and locks; some waits are so
    /// common that they are a bug of their own.
    Sleeper,
}

impl Choice {
    /// The chosen one among names (top first, prefixes off): its index and the name to show.
    pub(crate) fn of<'a>(self, names: &[&'a str]) -> Option<(usize, &'a str)> {
        match self {
            Self::Top => names.first().map(|name| (0, *name)),
            Self::Entered => entered(names),
            Self::Sleeper => sleeper(names),
        }
    }
}

/// Common code that calls the function we look for.
static COMMON: LazyLock<Regex> = LazyLock::new(|| {
    let all = [
        // Entry to system calls, page faults, the way back to user space.
        "do_syscall_|do_fast_syscall_|sysenter_dispatch|tracesys_phase2|el0_svc_handler",
        "invoke_syscall|ret_fast_syscall|ret_from_fork|exit_to_usermode|task_work_run|__fput",
        "__do_fault|do_page_fault|^page_fault$",
        // Timers, softirqs, threads, other processors.
        "process_one_work|call_timer_fn|_run_timers|run_timer_softirq|hrtimer_run|do_softirq",
        "run_ksoftirqd|tasklet_action|tasklet_hi_action|smpboot_thread_fn|^kthread$",
        "start_secondary|cpu_startup_entry|smp_call_function|netif_receive_skb",
        // Files: the callback below is what differs.
        "vfs_(?:write|read|iter_read|iter_write|ioctl|open)|do_iter_(?:read|write)",
        "call_(?:read|write)_iter|new_sync_(?:read|write)|do_dentry_open",
        "ksys_ioctl|compat_ioctl|compat_sys_ioctl|blkdev_driver_ioctl|blkdev_ioctl",
        "^call_mmap|mmap_region|do_mmap",
        // Sockets, likewise.
        "^sock_(?:sendmsg|recvmsg|release|mmap|do_ioctl|ioctl)|^__sock_release",
        "^compat_sock_ioctl|^setsockopt$|kernel_setsockopt|sock_common_setsockopt",
        "^listen$|kernel_listen|^accept$|kernel_accept|sk_common_release",
        "^nfnetlink_rcv_msg|^rtnetlink_rcv_msg|^netlink_dump",
        "^(?:sys_)?(?:socketpair|connect|ioctl)",
    ];
    pattern::compile(&all.join("|"))
});

fn entered<'a>(names: &[&'a str]) -> Option<(usize, &'a str)> {
    let common = names.iter().position(|name| COMMON.is_match(name.as_bytes()))?;
    if names[common].contains("smp_call_function") {
        // Its callers vary, and so does its own name.
        return Some((common, "smp_call_function"));
    }
    let below = common.saturating_sub(1);
    Some((below, names[below]))
}

fn sleeper<'a>(names: &[&'a str]) -> Option<(usize, &'a str)> {
    const GRACE_PERIOD: [&str; 4] =
        ["synchronize_rcu", "synchronize_srcu", "synchronize_net", "synchronize_sched"];
    const WAITING: [&str; 13] = [
        "sched",
        "_lock",
        "_slowlock",
        "down",
        "rwsem",
        "completion",
        "kthread",
        "wait",
        "synchronize",
        "context_switch",
        "__switch_to",
        "cancel_delayed_work",
        "rcu_barrier",
    ];
    for (at, name) in names.iter().enumerate() {
        if name.contains("rtnl_lock") {
            return Some((at, name));
        }
        if GRACE_PERIOD.iter().any(|word| name.contains(word)) {
            return Some((at, "synchronize_rcu"));
        }
    }
    let at = names.iter().position(|name| !WAITING.iter().any(|word| name.contains(word)))?;
    Some((at, names[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_chooses_its_own() {
        let names = ["memcg_scan", "snd_write", "vfs_write", "do_syscall_64"];
        assert_eq!(Choice::Top.of(&names), Some((0, "memcg_scan")));
        assert_eq!(Choice::Entered.of(&names), Some((1, "snd_write")));
        assert_eq!(Choice::Entered.of(&["do_syscall_64"]), Some((0, "do_syscall_64")));
        assert_eq!(Choice::Entered.of(&["lonely"]), None);
        let names = ["csd_lock_wait", "smp_call_function_many", "on_each_cpu"];
        assert_eq!(Choice::Entered.of(&names), Some((1, "smp_call_function")));
        let names = ["context_switch", "__schedule", "mutex_lock_common", "blkdev_put"];
        assert_eq!(Choice::Sleeper.of(&names), Some((3, "blkdev_put")));
        let names = ["__schedule", "__synchronize_srcu", "kvm_put"];
        assert_eq!(Choice::Sleeper.of(&names), Some((1, "synchronize_rcu")));
        assert_eq!(Choice::Sleeper.of(&["__schedule"]), None);
    }
}
