//! What a number of runs of one revision is expected to tell, and to cost.

use crate::belief::{Counts, POINTS, RateGrid, entropy_bits};

/// A possible test, weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prospect {
    /// Runs, at most: the first target crash ends them.
    pub(super) runs: u32,
    /// Expected information about the revision being bad.
    pub(super) bits: f64,
    /// Expected seconds, build included.
    pub(super) seconds: f64,
}

impl Prospect {
    /// Bits for a second.
    pub(super) fn value(&self) -> f64 {
        self.bits / self.seconds
    }
}

/// What surrounds a test.
pub(super) struct Terms<'a> {
    pub(super) grid: &'a RateGrid,
    pub(super) epsilon: f64,
    pub(super) run_seconds: f64,
    pub(super) machines: u32,
    pub(super) most_runs: u32,
}

/// The number of runs with the most information for its cost.
///
/// `bad` is the mass by rate of "this revision is bad" within the whole posterior, `seen` what its
/// image has shown already, `build` the seconds to get it, `works` the chance that it can be
/// tested. Runs stop at the first crash. Returns nothing when no run can tell anything.
pub(super) fn best(
    terms: &Terms<'_>,
    bad: &[f64; POINTS],
    seen: &Counts,
    build: f64,
    works: f64,
) -> Option<Prospect> {
    let prior: f64 = bad.iter().sum::<f64>().clamp(0.0, 1.0);
    let start = entropy_bits(prior);
    if start <= 0.0 || works <= 0.0 {
        return None;
    }
    // Runs that say something among those made: a revision that mostly shows other crashes is dear.
    let telling = (f64::from(seen.informative()) + 9.5) / (f64::from(seen.total()) + 10.0);
    let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
    let machines = terms.machines.max(1);
    let mut quiet_bad = *bad;
    let mut quiet_good = 1.0 - prior;
    let mut after_crash = 0.0;
    let mut seconds = 0.0;
    let mut before = prior;
    let mut best: Option<Prospect> = None;
    for run in 0..terms.most_runs {
        if run % machines == 0 {
            seconds += terms.run_seconds / telling * (before + quiet_good);
        }
        let mut left = 0.0;
        for (k, mass) in quiet_bad.iter_mut().enumerate() {
            let quiet = terms.grid.clean[k] + clean + f64::from(run);
            *mass *= quiet / (terms.grid.crash[k] + crashes + quiet);
            left += *mass;
        }
        let (crash_bad, crash_good) = (before - left, quiet_good * terms.epsilon);
        before = left;
        quiet_good -= crash_good;
        let crash = crash_bad + crash_good;
        if crash > 0.0 {
            after_crash += crash * entropy_bits(crash_bad / crash);
        }
        if (run + 1) % machines != 0 {
            continue;
        }
        let quiet = left + quiet_good;
        let rest = if quiet > 0.0 { quiet * entropy_bits(left / quiet) } else { 0.0 };
        let prospect = Prospect {
            runs: run + 1,
            bits: works * (start - after_crash - rest).max(0.0),
            seconds: build + works * seconds,
        };
        match best {
            Some(b) if prospect.value() <= b.value() => {
                // The value has one peak: past it, more runs only dilute.
                if run > 2 * b.runs + 4 * machines {
                    break;
                }
            }
            _ => best = Some(prospect),
        }
    }
    best.filter(|b| b.bits > 0.0)
}
