//! The sort of bug that a title tells of.

use std::fmt;

use serde::{Serialize, Serializer};

/// A sort of bug, by syzkaller's name for it. Printed as nothing when the title tells none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(&'static str);

/// Beginnings of titles, the longer and more special before the shorter and more general.
const KINDS: [(&str, &[&str]); 38] = [
    ("KFENCE-USE-AFTER-FREE-WRITE", &["KFENCE: use-after-free write"]),
    ("KFENCE-USE-AFTER-FREE-READ", &["KFENCE: use-after-free"]),
    ("KFENCE-WRITE", &["KFENCE: invalid write", "KFENCE: out-of-bounds write"]),
    ("KFENCE-READ", &["KFENCE: invalid read", "KFENCE: out-of-bounds"]),
    ("KFENCE-MEMORY-CORRUPTION", &["KFENCE: memory corruption"]),
    ("KFENCE-INVALID-FREE", &["KFENCE: invalid free"]),
    ("KFENCE-UNKNOWN", &["KFENCE:"]),
    ("KMSAN-UNINIT-VALUE", &["KMSAN: uninit-value"]),
    (
        "KMSAN-USE-AFTER-FREE-READ",
        &[
            "KMSAN: use-after-free",
            "KMSAN: kernel-infoleak-after-free",
            "KMSAN: kernel-usb-infoleak-after-free",
        ],
    ),
    ("KMSAN-INFO-LEAK", &["KMSAN: kernel-infoleak", "KMSAN: kernel-usb-infoleak"]),
    ("KMSAN-UNKNOWN", &["KMSAN:"]),
    ("KASAN-NULL-POINTER-DEREFERENCE-WRITE", &["KASAN: null-ptr-deref Write"]),
    ("KASAN-NULL-POINTER-DEREFERENCE-READ", &["KASAN: null-ptr-deref Read"]),
    (
        "KASAN-WRITE",
        &[
            "KASAN: slab-out-of-bounds Write",
            "KASAN: stack-out-of-bounds Write",
            "KASAN: global-out-of-bounds Write",
            "KASAN: vmalloc-out-of-bounds Write",
            "KASAN: out-of-bounds Write",
            "KASAN: user-memory-access Write",
            "KASAN: wild-memory-access Write",
        ],
    ),
    (
        // Without a word on reading or writing it has read at least.
        "KASAN-READ",
        &[
            "KASAN: slab-out-of-bounds",
            "KASAN: stack-out-of-bounds",
            "KASAN: global-out-of-bounds Read",
            "KASAN: vmalloc-out-of-bounds Read",
            "KASAN: out-of-bounds Read",
            "KASAN: user-memory-access Read",
            "KASAN: wild-memory-access",
            "KASAN: invalid-access Read",
            "KASAN: unknown-crash Read",
        ],
    ),
    ("KASAN-INVALID-FREE", &["KASAN: invalid-free", "KASAN: double-free or invalid-free"]),
    (
        "KASAN-USE-AFTER-FREE-WRITE",
        &["KASAN: use-after-free Write", "KASAN: slab-use-after-free Write"],
    ),
    ("KASAN-USE-AFTER-FREE-READ", &["KASAN: use-after-free", "KASAN: slab-use-after-free Read"]),
    ("KASAN-UNKNOWN", &["KASAN:"]),
    ("KCSAN-DATARACE", &["KCSAN: data-race"]),
    ("KCSAN-ASSERT", &["KCSAN: assert: race in"]),
    ("KCSAN-UNKNOWN", &["KCSAN:"]),
    ("MEMORY_SAFETY_UBSAN", &["UBSAN: array-index-out-of-bounds"]),
    ("UBSAN", &["UBSAN:"]),
    ("NULL-POINTER-DEREFERENCE", &["BUG: unable to handle kernel NULL pointer dereference in"]),
    ("MEMORY_SAFETY_BUG", &["BUG: corrupted list", "BUG: unable to handle kernel paging request"]),
    ("REFCOUNT_WARNING", &["WARNING: refcount bug"]),
    (
        "LOCKDEP",
        &[
            "possible deadlock in",
            "inconsistent lock state in",
            "BUG: bad unlock balance in",
            "BUG: held lock freed in",
            "BUG: still has locks held in",
            "BUG: rwlock",
            "BUG: spinlock",
            "BUG: using",
            "WARNING: bad unlock balance in",
            "WARNING: held lock freed in",
            "WARNING: lock held",
            "WARNING: locking bug in",
            "WARNING: nested lock was not taken in",
            "WARNING: still has locks held in",
            "WARNING: suspicious RCU usage in",
        ],
    ),
    (
        "ATOMIC_SLEEP",
        &[
            "BUG: scheduling while atomic in",
            "BUG: sleeping function called from invalid context in",
        ],
    ),
    ("LEAK", &["memory leak in"]),
    ("BUG", &["kernel BUG", "BUG: bad usercopy in"]),
    (
        "HANG",
        &[
            "BUG: soft lockup in",
            "INFO: rcu detected stall in",
            "INFO: task can't die in",
            "INFO: task hung in",
        ],
    ),
    (
        "DoS",
        &[
            "general protection fault in",
            "divide error in",
            "invalid opcode in",
            "int3 in",
            "stack segment fault in",
            "kernel stack overflow",
            "kernel panic:",
            "panic:",
            "PANIC: double fault",
            "rust_kernel panicked",
            "go runtime error",
            "trusty:",
            "Alignment trap in",
            "Internal error in",
            "Unhandled fault in",
            "BUG: Object already free",
            "VFS: Busy inodes after unmount (use-after-free)",
            "VFS: Close: file count is zero (use-after-free)",
            "unregister_netdevice: waiting for DEV to become free",
        ],
    ),
    ("NO_OUTPUT", &["no output from test machine"]),
    ("REBOOT", &["unexpected kernel reboot"]),
    ("SYZ_FAILURE", &["SYZFAIL", "SYZFATAL:"]),
    // Printed with plain printk, so not the WARNING macro's kind.
    (
        "",
        &[
            "WARNING: corrupted",
            "WARNING: kernel stack frame pointer has bad value",
            "WARNING: kernel stack regs has bad",
        ],
    ),
    ("WARNING", &["WARNING in", "WARNING:"]),
];

impl Kind {
    /// The kind that a title tells of.
    pub fn of_title(title: &str) -> Self {
        let tells = |starts: &[&str]| starts.iter().any(|start| title.starts_with(start));
        KINDS
            .iter()
            .find(|(_, starts)| tells(starts))
            .map_or(Self::default(), |(name, _)| Self(name))
    }

    /// The kind's name; empty when the title tells none.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_titles_come_before_general_ones() {
        for (title, kind) in [
            ("KASAN: use-after-free Write in x", "KASAN-USE-AFTER-FREE-WRITE"),
            ("KASAN: use-after-free in x", "KASAN-USE-AFTER-FREE-READ"),
            ("KASAN: slab-out-of-bounds Write in x", "KASAN-WRITE"),
            ("KASAN: something else", "KASAN-UNKNOWN"),
            ("KMSAN: kernel-infoleak-after-free in x", "KMSAN-USE-AFTER-FREE-READ"),
            ("WARNING: refcount bug in x", "REFCOUNT_WARNING"),
            ("WARNING in x", "WARNING"),
            ("WARNING: corrupted", ""),
            ("kernel BUG in x", "BUG"),
            ("BUG: something", ""),
            ("", ""),
        ] {
            assert_eq!(Kind::of_title(title).as_str(), kind, "{title}");
        }
    }
}
