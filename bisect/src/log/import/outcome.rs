//! What one run of a log showed.

use kiln_cache::evidence::Outcome;

/// Reads the text after `run #N: ` or `all runs: `; `None` when it is none of syzkaller's.
///
/// `basic kernel testing failed` means that a kernel booted but could not run anything before the
/// reproducer: like a boot failure, it never reached the test. `ignore` is a crash of the test
/// programs themselves or a lost connection: it says nothing about the kernel.
pub(super) fn outcome(text: &str) -> Option<Outcome> {
    let after = |word: &str| text.strip_prefix(word).map(|rest| rest.trim().to_owned());
    if text == "OK" {
        return Some(Outcome::Ok);
    }
    if let Some(title) = after("crashed:").or_else(|| after("kernel crashed:")) {
        return Some(Outcome::Crash { title });
    }
    if let Some(title) = after("boot failed:").or_else(|| after("basic kernel testing failed:")) {
        return Some(Outcome::BootFailure { title });
    }
    let infra = after("failed:").or_else(|| after("infra problem:")).or_else(|| after("ignore:"));
    infra.map(|reason| Outcome::Infra { reason })
}

/// Whether more lines may follow: the text of an error is free and can have several.
pub(super) fn may_go_on(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok | Outcome::Crash { .. } => false,
        Outcome::BootFailure { .. } | Outcome::Infra { .. } => true,
    }
}
