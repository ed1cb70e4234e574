//! Which releases can probably be built and booted.

use super::problem::Problem;
use crate::plan::State;

/// Chance that a release fails when the next newer one works. Of the releases that public bisections
/// tried on their walks, 58 of 1156 did; and of those after one that failed, 22 of 775 worked: what is
/// too old stays too old. (Counted over `../shared/data/syzbot-bisections`: a release fails when no
/// run of it is `OK` or `crashed`.)
const FAILS: f64 = 0.05;
/// Chance that one works when the next newer one fails.
const WORKS: f64 = 0.03;

/// Releases that fail in one way, none of those between them working, after which older ones are not
/// tried: each would take a build, and of those after one failure 3 % worked.
const ROW: usize = 3;

/// The release that is too old, if one is known to be: it and others before it fail in the same way,
/// and nothing before it works. Older ones are not tried. While no newer one works either, age is not
/// why they fail, and whatever may work is tried: without a good end there is no answer.
pub fn too_old(problem: &Problem, patience: u32) -> Option<usize> {
    let mut row: Option<(State, usize, usize)> = None;
    let mut works = false;
    for (at, release) in problem.releases.iter().enumerate() {
        match (problem.failure(at, patience), row) {
            (Some(_), Some((.., ROW..))) => {}
            (Some(how), Some((same, first, failed))) if how == same => {
                row = Some((how, first, failed + 1));
            }
            (Some(how), _) => row = Some((how, at, 1)),
            (None, _) if release.status.state != State::Unknown => (works, row) = (true, None),
            (None, _) => {}
        }
    }
    row.filter(|row| works && row.2 >= ROW).map(|row| row.1)
}

/// For each release the probability that it works: a chain from the bad end, which does, back in time,
/// through what is known.
pub(super) fn works(problem: &Problem, patience: u32) -> Vec<f64> {
    let n = problem.releases.len();
    let too_old = too_old(problem, patience);
    let known: Vec<Option<bool>> = (0..n)
        .map(|at| match problem.failure(at, patience) {
            Some(_) => Some(false),
            None if problem.releases[at].status.state != State::Unknown => Some(true),
            None => too_old.is_some_and(|floor| at > floor).then_some(false),
        })
        .collect();
    let held = |at: usize, works: bool| match known[at] {
        Some(is) => f64::from(u8::from(is == works)),
        None => 1.0,
    };
    // Likelihood of what is known from each one on, if the next newer one works or fails.
    let mut older = vec![(1.0, 1.0); n + 1];
    for at in (0..n).rev() {
        let (good, bad) = (held(at, true) * older[at + 1].0, held(at, false) * older[at + 1].1);
        older[at] = ((1.0 - FAILS) * good + FAILS * bad, WORKS * good + (1.0 - WORKS) * bad);
    }
    // By what is known of it and of newer ones alone.
    let mut newer = (1.0, 0.0);
    (0..n)
        .map(|at| {
            let (good, bad) = newer;
            newer = (
                (good * (1.0 - FAILS) + bad * WORKS) * held(at, true),
                (good * FAILS + bad * (1.0 - WORKS)) * held(at, false),
            );
            let (good, bad) = (newer.0 * older[at + 1].0, newer.1 * older[at + 1].1);
            good / (good + bad)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{State, Status};
    use crate::walk::Release;

    fn chain(states: &[State]) -> Vec<f64> {
        let release = |state: &State| Release {
            back: 1,
            status: Status { image: (*state == State::Built).then_some(0), state: *state },
        };
        let problem = Problem {
            releases: states.iter().map(release).collect(),
            images: vec![Default::default()],
            ..Problem::default()
        };
        works(&problem, 20)
    }

    #[test]
    fn older_ones_are_given_up_after_three_that_fail_alike() {
        use State::{Broken, Built, Unclear, Unknown, Untestable};
        let all = chain(&[Built, Unknown, Broken, Unknown, Broken, Unknown]);
        assert!(all[3] > 0.0 && all[5] > 0.0, "{all:?}");
        let all = chain(&[Built, Unknown, Broken, Unknown, Broken, Broken, Unknown]);
        assert!(all[1] > 0.4 && all[3] == 0.0 && all[6] == 0.0, "{all:?}");
        // Not alike; or one of them worked; or it is known how later ones fail.
        let all = chain(&[Built, Broken, Untestable, Broken, Unknown]);
        assert!(all[4] > 0.0, "{all:?}");
        for works in [Built, Unclear] {
            let all = chain(&[Broken, Broken, works, Broken, Unknown]);
            assert!(all[4] > 0.0, "{all:?}");
        }
        let all = chain(&[Built, Broken, Broken, Broken, Untestable, Unknown]);
        assert_eq!(all[5], 0.0);
        // While none works.
        let all = chain(&[Broken, Broken, Broken, Broken, Unknown]);
        assert!(all[4] > 0.0, "{all:?}");
    }

    #[test]
    fn what_is_too_old_stays_too_old() {
        use State::{Broken, Built, Unknown, Untestable};
        let all = chain(&[Unknown, Unknown, Unknown, Broken, Unknown, Unknown]);
        assert!(all[0] > 0.7 && all[0] > all[1] && all[1] > all[2] && all[2] > 0.2, "{all:?}");
        assert_eq!(all[3], 0.0);
        assert!((all[4] - WORKS).abs() < 1e-12 && all[5] > all[4] && all[5] < 0.06, "{all:?}");
        let between = chain(&[Broken, Unknown, Untestable]);
        assert!(between[1] < 0.01, "{between:?}");
        let between = chain(&[Unknown, Built]);
        assert!(between[0] > 0.99, "{between:?}");
        assert_eq!(between[1], 1.0);
    }
}
