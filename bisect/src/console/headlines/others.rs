//! Messages of other parts, of other programs on the console, and what is left when no kind fits.

use super::{Headline, message, remains, report};
use crate::console::blame::Blame;

pub(super) const REPORTS: &[Headline] = &[
    // rust/kernel: the panic handler; its reason stands on the next line.
    report("rust_kernel: panicked at", "{1} in {f}", Blame::Fault).then(&["^(.+)$"]).past(&[
        "rust_helper_*",
        "__rustc*",
        "core::panicking::*",
        "*rust_begin_unwind*",
    ]),
    // net/core/dev.c: netdev_wait_allrefs_any.
    message(
        "unregister_netdevice: waiting for",
        "unregister_netdevice: waiting for DEV to become free",
    )
    .sequel(),
    // arch/x86/boot/compressed/misc.c: extract_kernel. A second start in one console.
    message(r"^Booting the kernel\.", "unexpected kernel reboot"),
    // mm/slub.c: print_track and print_page_info of old releases, torn from their report.
    remains("INFO: ((?:Allocated|Freed|Slab|Object) .*)", "INFO: {1}"),
    remains(r"INFO:\s*$", "INFO: corrupted"),
    remains(r"\bBUG:\s*$", "BUG: corrupted"),
    // Go's runtime: runtime/panic.go; syzkaller's programs.
    message("^fatal error: ", "go runtime error"),
    message("^panic: (.*)", "panic: {1}"),
    message("SYZFAIL: *(.*)", "SYZFAIL: {1}"),
    message("SYZFATAL: *(.*)", "SYZFATAL: {1}").also(&["SYZFATAL"]),
    // Trusty, the secure monitor of Android.
    message(
        r"trusty: panic \(.*?\):(?: DEBUG)? ASSERT FAILED at \(.*?\): *(.+)",
        "trusty: ASSERT FAILED: {1}",
    ),
    remains("trusty: panic .*ASSERT FAILED", "trusty: ASSERT FAILED:"),
    message(r"trusty: panic \(.*?\): (.+)", "trusty: panic: {1}"),
    // A bug or a warning of a driver's own, in its words.
    report(r"\b(BUG: .*)", "{1}", Blame::Nobody).stackless(),
    report(r"\b(WARNING: .*)", "{1}", Blame::Nobody).stackless(),
];
