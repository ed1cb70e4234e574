//! Programs beside the kernel that print on its console: the secure monitor, Go, syzkaller.

use super::format::Format;

/// Google's secure monitor.
pub(crate) const TRUSTY: [Format; 3] = [
    Format::new("trusty: panic.* ASSERT FAILED", "trusty: ASSERT FAILED: {1}")
        .here(r"trusty: panic \(.*?\):(?: DEBUG)? ASSERT FAILED at \(.*?\): (.+)")
        .untraced(),
    Format::new("trusty: panic.* ASSERT FAILED.*: *(.*)", "trusty: ASSERT FAILED: {1}").damaged(),
    Format::new("trusty: panic", "trusty: panic: {1}")
        .here(r"trusty: panic \(.*?\): (.+)")
        .untraced(),
];

/// Errors of Go's runtime.
pub(crate) const GO_RUNTIME: [Format; 1] =
    [Format::new("fatal error:", "go runtime error").untraced()];

/// Panics of Go programs.
pub(crate) const GO_PANIC: [Format; 2] = [
    Format::new("panic: Sentry detected .* stuck task", "panic: Sentry detected stuck tasks")
        .untraced(),
    Format::new("panic:(.*)", "panic:{1}").untraced(),
];

/// syzkaller's executor gave up.
pub(crate) const SYZ_FAIL: [Format; 1] = [Format::new("SYZFAIL:(.*)", "SYZFAIL:{1}").untraced()];

/// syzkaller's other programs gave up.
pub(crate) const SYZ_FATAL: [Format; 1] =
    [Format::new("SYZFATAL:(.*)", "SYZFATAL:{1}").also(&["SYZFATAL"]).untraced()];
