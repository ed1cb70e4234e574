//! Does the whole configuration show the crash? Decided from what its runs say so far.

use kiln_cache::evidence::Counts;

use crate::bisection::knowledge::boots;
use crate::title::{self, Learning, Target};

/// Runs at a time, of which [`CRASHES`] must have crashed.
const BATCH: u32 = 8;
const CRASHES: u32 = 3;
/// Runs after which a crash that was not seen often enough is not hunted.
const MOST: u32 = 200;

/// What follows from the runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reproduction {
    /// It shows the target, and how often.
    Shown,
    /// It does not, or so rarely that no smaller configuration could be told from it; or it does
    /// not boot.
    NotShown,
    /// The target is this, not known before.
    Target(String),
    /// These titles were seen equally often.
    Tie(Vec<String>),
    /// More runs would tell, and there may be no more.
    OutOfBudget,
    /// This many more are needed.
    Runs(u32),
}

/// Decides. `left`: runs that may still be made, none when there is no more time for any.
pub(super) fn reproduction(target: Option<&Target>, counts: &Counts, left: u32) -> Reproduction {
    if !boots(counts) {
        return Reproduction::NotShown;
    }
    match target {
        Some(target) => {
            let seen = target.informative(counts);
            if seen.target >= CRASHES && seen.target + seen.clean >= BATCH {
                return Reproduction::Shown;
            }
        }
        None => match title::learn(counts) {
            Learning::Title(title) => return Reproduction::Target(title),
            Learning::Tie(titles) => return Reproduction::Tie(titles),
            Learning::NothingCrashes => return Reproduction::NotShown,
            Learning::RunMore => {}
        },
    }
    match left {
        // Failures of the host are no runs of the kernel.
        _ if counts.total() - counts.infra >= MOST => Reproduction::NotShown,
        0 => Reproduction::OutOfBudget,
        left => Reproduction::Runs(BATCH.min(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ok: u32, crashes: &[(&str, u32)]) -> Counts {
        let crashes = crashes.iter().map(|(title, n)| ((*title).to_owned(), *n)).collect();
        Counts { ok, crashes, ..Counts::default() }
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_no() {
        let target = Target::exactly("bug").unwrap();
        let titles = || vec!["bug".to_owned(), "other".to_owned()];
        let broken = Counts {
            boot_failures: [("no init".to_owned(), 8)].into_iter().collect(),
            ..Counts::default()
        };
        let faulty = Counts { infra: 500, ..counts(5, &[("bug", 1)]) };
        for (target, counts, left, wanted) in [
            (Some(&target), faulty, 100, Reproduction::Runs(8)),
            (Some(&target), counts(0, &[]), 100, Reproduction::Runs(8)),
            (Some(&target), counts(0, &[]), 5, Reproduction::Runs(5)),
            (Some(&target), counts(5, &[("bug", 3)]), 0, Reproduction::Shown),
            (Some(&target), counts(20, &[("bug", 2)]), 0, Reproduction::OutOfBudget),
            (Some(&target), counts(20, &[]), 0, Reproduction::OutOfBudget),
            (Some(&target), counts(200, &[("bug", 2)]), 100, Reproduction::NotShown),
            (Some(&target), broken, 100, Reproduction::NotShown),
            (None, counts(4, &[("bug", 4)]), 0, Reproduction::Target("bug".into())),
            (None, counts(4, &[("bug", 3)]), 0, Reproduction::OutOfBudget),
            (None, counts(40, &[]), 100, Reproduction::Runs(8)),
            (None, counts(149, &[]), 100, Reproduction::NotShown),
            (None, counts(34, &[("bug", 4), ("other", 4)]), 9, Reproduction::Runs(8)),
            (None, counts(34, &[("bug", 12), ("other", 12)]), 9, Reproduction::Tie(titles())),
        ] {
            let what = format!("{counts:?}, {left} left");
            assert_eq!(reproduction(target, &counts, left), wanted, "{what}");
        }
    }
}
