//! Which runs speak of an image, and for what.

use kiln_cache::evidence::Counts;

use crate::belief;
use crate::boot::outcome::{BOOT_TIMEOUT, NO_OUTPUT};
use crate::title::Target;

/// Boot failures in a row, with never a boot, that make a revision untestable.
const BOOT_FAILURES: u32 = 3;

/// Leaves out of what was seen of an image whatever the host may have brought about: its own
/// failures always, and until the image was tried in this bisection the boots that were too slow.
/// A host with too much to do brings those about too, and stored evidence would hold them against
/// the image for ever. `before`: what was known when the image was first tried here, if it was; where
/// it has reached the test since, what was too slow before that still says nothing.
pub(crate) fn judging(mut counts: Counts, before: Option<&Counts>) -> Counts {
    counts.infra = 0;
    let boots_here = before.is_some_and(|before| reached(&counts) > reached(before));
    let slow = |title: &str| title == BOOT_TIMEOUT || title == NO_OUTPUT;
    counts.boot_failures.retain(|title, n| {
        let stored = match before {
            None => *n,
            Some(before) if boots_here => before.boot_failures.get(title).copied().unwrap_or(0),
            Some(_) => 0,
        };
        if slow(title) {
            *n = n.saturating_sub(stored);
        }
        *n > 0
    });
    counts
}

/// Runs that came to the test.
fn reached(counts: &Counts) -> u32 {
    counts.ok + counts.crashes.values().sum::<u32>()
}

/// Whether an image can be tested, by what `Knowledge::judging` says of it.
pub(crate) fn boots(counts: &Counts) -> bool {
    let failures: u32 = counts.boot_failures.values().sum();
    reached(counts) > 0 || failures < BOOT_FAILURES
}

/// What runs say of the target.
pub(super) fn telling(counts: &Counts, target: &Target) -> belief::Counts {
    let seen = target.informative(counts);
    belief::Counts {
        crashes: seen.target,
        clean: seen.clean,
        censored: counts.total() - seen.target - seen.clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_never_boots_is_untestable() {
        let failed = |n| Counts { boot_failures: [("x".into(), n)].into(), ..Counts::default() };
        assert!(boots(&failed(2)));
        assert!(!boots(&failed(3)));
        assert!(boots(&Counts { ok: 1, ..failed(9) }));
    }

    #[test]
    fn other_crashes_are_censored() {
        let target = Target::exactly("A").unwrap();
        let counts = Counts {
            ok: 3,
            crashes: [("A".into(), 2), ("B".into(), 5)].into(),
            ..Counts::default()
        };
        let telling = telling(&counts, &target);
        assert_eq!((telling.crashes, telling.clean, telling.censored), (2, 3, 5));
    }
}
