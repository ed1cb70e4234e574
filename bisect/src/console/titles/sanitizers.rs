//! KASAN, KMSAN, KCSAN, KFENCE, UBSAN and kmemleak.

use super::format::{Format, STACK};
use crate::console::walk::{Step, Walk};

const KASAN: Walk = Walk::of(&[
    Step::Line(r"BUG: KASAN: (?:[a-z\-]+) in {FUNC}"),
    Step::Line("Call [Tt]race:|Backtrace:"),
    Step::Trace,
])
// With hardware tags an access ends in a fault, whose handlers stand above.
.skipping(&["kernel_fault", "tag_check", "mem_abort", "^el1_", "^el1h_"]);

const KASAN_FREE: Walk = Walk::of(&[
    Step::Line("BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in {FUNC}"),
    Step::Line("Call [Tt]race:|Backtrace:"),
    Step::Trace,
])
.skipping(&["slab_", "kfree", "vunmap", "vfree"]);

const KMSAN: Walk = Walk::of(&[
    Step::Trace,
    Step::Line("(Local variable .* created at:|Uninit was created at:)"),
    Step::Trace,
]);

const KFENCE: Walk = Walk::of(&[Step::Line(r"BUG: KFENCE: (?:[a-z\- ]+) in {FUNC}"), Step::Trace]);

/// Reports that begin with `BUG:`.
pub(crate) const BUGS: [Format; 12] = [
    Format::new(r"BUG: KASAN: ([a-z\-]+) in {FN}", "KASAN: {1} {2} in {f}")
        .then(&["(Read|Write) (?:of size|at addr) (?:[0-9a-f]+)"])
        .also(&["bad-access in {f}"])
        .walk(KASAN),
    Format::new(
        "BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in {FN}",
        "KASAN: invalid-free in {f}",
    )
    .also(&["invalid-free in {f}"])
    .walk(KASAN_FREE),
    Format::new(r"BUG: KASAN: ([a-z\-]+) on address", "KASAN: {1} {2}")
        .then(&["(Read|Write) of size [0-9]+"]),
    Format::new("BUG: KASAN: (.*)", "KASAN: {1}").damaged(),
    Format::new("BUG: KMSAN: kernel-usb-infoleak", "KMSAN: kernel-usb-infoleak in {f}")
        .here("KMSAN: kernel-usb-infoleak in {FN}")
        .also(&["KMSAN origin in {g}"])
        .walk(KMSAN.skipping(&[
            "alloc_skb",
            "usb_submit_urb",
            "usb_start_wait_urb",
            "usb_bulk_msg",
            "usb_interrupt_msg",
            "usb_control_msg",
        ]))
        .untraced(),
    Format::new("BUG: KMSAN:", "KMSAN: {1} in {f}")
        .here(r"KMSAN: ([a-z\-]+) in {FN}")
        .also(&["bad-access in {f}"])
        // Ciphers trip over what their callers failed to set.
        .walk(KMSAN.skipping(&[
            "alloc_skb",
            "netlink_ack",
            "netlink_rcv_skb",
            "_encrypt$",
            "^(?:crypto|cipher|drbg|rng)_",
        ]))
        .untraced(),
    Format::new("BUG: KCSAN: (.*)", "KCSAN: {1}").untraced(),
    Format::new(
        "BUG: KFENCE: (use-after-free|out-of-bounds) (read|write) in {FN}",
        "KFENCE: {1} {2} in {f}",
    )
    .also(&["bad-access in {f}"])
    .walk(KFENCE),
    Format::new("BUG: KFENCE: invalid free in {FN}", "KFENCE: invalid free in {f}")
        .also(&["invalid-free in {f}"])
        .walk(KFENCE)
        .untraced(),
    Format::new("BUG: KFENCE: invalid (read|write) in {FN}", "KFENCE: invalid {1} in {f}")
        .also(&["bad-access in {f}"])
        .walk(KFENCE),
    Format::new("BUG: KFENCE: memory corruption in {FN}", "KFENCE: memory corruption in {f}")
        .walk(KFENCE)
        .untraced(),
    Format::new("BUG: memory leak", "memory leak in {f}").walk(
        Walk::of(&[Step::Line(r"backtrace(?: \(crc [0-9a-fA-F]*\))?:"), Step::Trace])
            // The allocators' own frames.
            .skipping(&[
                "kmemleak",
                "create_object",
                "alloc",
                "kmem",
                "slab",
                "mmap",
                "idr_get",
                "pcpu_create",
                "list_lru_init",
                "k?v?asprintf",
                "strn?dup|memdup",
            ]),
    ),
];

const UNDEFINED: Walk = STACK.skipping(&["ubsan", "overflow"]);

/// Reports that begin with `UBSAN:`.
pub(crate) const UBSAN: [Format; 3] = [
    Format::new("UBSAN:", "UBSAN: undefined-behaviour in {f}")
        .here("UBSAN: Undefined behaviour in")
        .walk(UNDEFINED),
    Format::new("UBSAN: array-index-out-of-bounds in", "UBSAN: array-index-out-of-bounds in {f}")
        .also(&["bad-access in {f}"])
        .walk(UNDEFINED),
    Format::new("UBSAN:", "UBSAN: {1} in {f}").here("UBSAN: (.*?) in").walk(UNDEFINED),
];
