//! Tools that watch memory and arithmetic.

use super::{BAD_ACCESS, Headline, message, remains, report};
use crate::console::blame::Blame;

/// Ciphers, hashes and random numbers work on what their callers give them (`crypto/`), and
/// messages carry it on (`net/core/skbuff.c`, `net/netlink/af_netlink.c`): KMSAN notices there what
/// was never set elsewhere.
const UNINIT: &[&str] = &[
    "crypto_*",
    "cipher_*",
    "*_encrypt",
    "drbg_*",
    "rng_*",
    "*alloc_skb*",
    "netlink_ack*",
    "netlink_rcv_skb",
];

/// A function whose name says that it allocates does so for its callers.
const ALLOCATORS: &[&str] = &["*alloc*", "*mmap*", "idr_get*", "list_lru_init*", "__list_lru_*"];

pub(super) const REPORTS: &[Headline] = &[
    // mm/kasan/report.c: print_error_description, kasan_report_invalid_free.
    report(
        "BUG: KASAN: (?:double-free or invalid-free|double-free|invalid-free) in ",
        "KASAN: invalid-free in {f}",
        Blame::Named,
    )
    .also(&["invalid-free in {f}"]),
    report("BUG: KASAN: ([a-z-]+) in ", "KASAN: {1} {2} in {f}", Blame::Named)
        .then(&["(Read|Write) (?:of size|at addr) [0-9a-f]+"])
        .also(BAD_ACCESS),
    // Before 4.11, of an address that no shadow describes.
    report("BUG: KASAN: ([a-z-]+) on address", "KASAN: {1} {2}", Blame::Nobody)
        .then(&["(Read|Write) of size [0-9]+"]),
    remains("BUG: (KASAN: .*)", "{1}"),
    // mm/kmsan/report.c: kmsan_report.
    report("BUG: KMSAN: (kernel-usb-infoleak) in ", "KMSAN: {1} in {f}", Blame::Named)
        .past(&["*alloc_skb*", "usb_start_wait_urb", "usb_bulk_msg", "usb_interrupt_msg"])
        .stackless(),
    report("BUG: KMSAN: ([a-z-]+) in ", "KMSAN: {1} in {f}", Blame::Named)
        .past(UNINIT)
        .also(BAD_ACCESS)
        .stackless(),
    // kernel/kcsan/report.c: print_report names both functions itself.
    message("BUG: (KCSAN: .*)", "{1}"),
    // mm/kfence/report.c: kfence_report_error.
    report(
        "BUG: KFENCE: ((?:use-after-free|out-of-bounds|invalid) (?:read|write)) in ",
        "KFENCE: {1} in {f}",
        Blame::Named,
    )
    .also(BAD_ACCESS),
    report("BUG: KFENCE: (invalid free) in ", "KFENCE: {1} in {f}", Blame::Named)
        .also(&["invalid-free in {f}"])
        .stackless(),
    report("BUG: KFENCE: (memory corruption) in ", "KFENCE: {1} in {f}", Blame::Named).stackless(),
    // mm/kmemleak.c: print_unreferenced; the first line is printed by who reads the list.
    report("BUG: memory leak", "memory leak in {f}", Blame::Leaked).past(ALLOCATORS),
    // lib/ubsan.c: ubsan_prologue, before and since 5.7.
    report("UBSAN: Undefined behaviour in ", "UBSAN: undefined-behaviour in {f}", Blame::Stack),
    report("UBSAN: (array-index-out-of-bounds) in ", "UBSAN: {1} in {f}", Blame::Stack)
        .also(BAD_ACCESS),
    report("UBSAN: (.*?) in ", "UBSAN: {1} in {f}", Blame::Stack),
];
