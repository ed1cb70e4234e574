//! Panics, and messages that are as bad.

use super::format::{Format, STACK};
use crate::console::choose::Choice;

/// `Kernel panic - not syncing`, by its reason.
pub(crate) const PANICS: [Format; 10] = [
    // A smashed stack often cannot be printed.
    Format::new(
        "Kernel panic - not syncing: stack-protector:",
        "kernel panic: stack is corrupted in {1}",
    )
    .here("Kernel stack is corrupted in: {FUNC}")
    .untraced(),
    Format::new(
        "Kernel panic - not syncing: stack-protector:",
        "kernel panic: stack is corrupted in {f}",
    )
    .here("Kernel stack is corrupted in: [a-f0-9]+")
    .walk(STACK.skipping(&["stack_chk"])),
    Format::new(
        "Kernel panic - not syncing: corrupted stack end",
        "kernel panic: corrupted stack end in {f}",
    )
    .here("corrupted stack end detected inside scheduler")
    .also(&["stack-overflow in {f}"])
    .walk(STACK.skipping(&["schedule", "retint_kernel"]).choosing(Choice::Entered)),
    Format::new(
        "Kernel panic - not syncing: kernel stack overflow",
        "kernel stack overflow in {f}",
    )
    .also(&["stack-overflow in {f}"])
    .walk(STACK.skipping(&["bad_stack"]).choosing(Choice::Entered)),
    Format::new(
        "Kernel panic - not syncing: Attempted to kill init!",
        "kernel panic: Attempted to kill init!",
    ),
    Format::new(
        "Kernel panic - not syncing: Couldn't open N_TTY ldisc for [^ ]+ --- error -[0-9]+",
        "kernel panic: Couldn't open N_TTY ldisc",
    ),
    // These follow another report; standing first, they mean that it was lost.
    Format::new("Kernel panic - not syncing: Fatal exception", "kernel panic: Fatal exception")
        .damaged(),
    Format::new("Kernel panic - not syncing: panic_on_warn set", "kernel panic: panic_on_warn set")
        .damaged(),
    Format::new(
        "Kernel panic - not syncing: hung_task: blocked tasks",
        "kernel panic: hung_task: blocked tasks",
    )
    .damaged(),
    Format::new("Kernel panic - not syncing: (.*)", "kernel panic: {1}"),
];

/// A panic of the kernel's Rust code.
pub(crate) const RUST: [Format; 1] = [Format::new("rust_kernel: panicked", "{1} in {f}")
    .here("panicked at")
    .then(&["^(.+)$"])
    .walk(STACK.skipping(&["__rustc::rust_begin_unwind"]))];

/// A second boot in one console.
pub(crate) const REBOOT: [Format; 1] =
    [Format::new("^Booting the kernel", "unexpected kernel reboot").untraced()];

/// Reference counts of network devices and files that never come to rest.
pub(crate) const DEVICE_WAIT: [Format; 1] = [Format::new(
    "unregister_netdevice: waiting for .* to become free",
    "unregister_netdevice: waiting for DEV to become free",
)
.untraced()];

/// A file closed once too often.
pub(crate) const FILE_COUNT: [Format; 1] =
    [Format::new("VFS: Close: file count is 0", "VFS: Close: file count is zero (use-after-free)")
        .untraced()];

/// Inodes in use after their file system is gone.
pub(crate) const BUSY_INODES: [Format; 1] = [Format::new(
    "VFS: Busy inodes after unmount",
    "VFS: Busy inodes after unmount (use-after-free)",
)
.untraced()];
