//! The tested revisions in the order of history, and how many commits lie between them.

use crate::log::import::{Answer, Imported, Mark, Role};

/// Commits between two releases, where the log does not count them: mainline has had 12,000 to
/// 16,000 in each since 2017.
const RELEASE: f64 = 13_000.0;

/// A line of revisions, from the end without the crash to the end with it.
///
/// In a search for a fix, time runs the other way: the newest commit comes first.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// Indices into the log's tests. Skipped ones have no place on the line and are left out.
    pub(super) order: Vec<usize>,
    /// Commits before each of them, since the one before it (in the first place: unused).
    pub(super) sizes: Vec<f64>,
    /// The place whose commits the log's answer names: those between it and the one before it.
    pub(super) answer: Option<usize>,
}

/// What the verdicts have cut off on either side.
#[derive(Default)]
struct Cuts {
    /// Towards the ancestors: tests, and how many commits each cut off.
    older: Vec<(usize, f64)>,
    /// Towards the descendants.
    newer: Vec<(usize, f64)>,
    /// Commits left.
    left: f64,
}

impl Chain {
    /// The line of a log.
    ///
    /// git prints `N revisions left` = candidates - reached - 1, where `reached` counts the
    /// candidates that the next revision contains (git's `bisect.c`). A verdict keeps the reached
    /// ones or the others, so the counts of a log give the size of each part cut off.
    pub(super) fn of(log: &Imported) -> Self {
        let cuts = cuts(log);
        let sides = !cuts.older.is_empty() && !cuts.newer.is_empty();
        let middle = cuts.older.len();
        let mut order: Vec<usize> = cuts.older.iter().map(|cut| cut.0).collect();
        let mut sizes: Vec<f64> = cuts.older.iter().map(|cut| cut.1).collect();
        let mut before = cuts.left;
        for (test, size) in cuts.newer.iter().rev() {
            order.push(*test);
            sizes.push(before);
            before = *size;
        }
        if log.fix && !sizes.is_empty() {
            order.reverse();
            // A gap belongs to the revision behind it, which is now the one on its other side.
            sizes.rotate_left(1);
            sizes.reverse();
        }
        let answer = match log.answer {
            Answer::Culprit { .. } | Answer::Inconclusive { .. } if sides => {
                Some(if log.fix { order.len() - middle } else { middle })
            }
            Answer::BeyondRange if !order.is_empty() => Some(0),
            _ => None,
        };
        Self { order, sizes, answer }
    }

    /// The verdict that ruled out the commits of a place: of the revisions on its two sides, the
    /// one that was tested later. None rules out what the answer names.
    pub(super) fn ruled_out_by(&self, place: usize) -> Option<usize> {
        if Some(place) == self.answer {
            return None;
        }
        let behind = self.order.get(place).copied();
        let before = place.checked_sub(1).and_then(|at| self.order.get(at).copied());
        // The ends of the range come first in the log, so on either side the later test is the one
        // nearer to the answer; before the first place there is only one.
        before.max(behind)
    }
}

fn cuts(log: &Imported) -> Cuts {
    let steps = || log.tests.iter().enumerate().filter(|(_, test)| test.role == Role::Step);
    // About as many are left on either side of the first revision that git chose.
    let range =
        steps().find_map(|(_, test)| test.left).map_or(RELEASE, |left| 2.0 * f64::from(left) + 2.0);
    let mut cuts = Cuts { left: range, ..Cuts::default() };
    // The end where the search begins, then releases away from it until one differs.
    let (near, far) = match log.fix {
        false => (Mark::Bad, Mark::Good),
        true => (Mark::Good, Mark::Bad),
    };
    for (index, test) in log.tests.iter().enumerate() {
        let own_side = match (test.role, test.mark) {
            (Role::Start, _) => !log.fix,
            (Role::Range, Some(mark)) if mark == near => true,
            (Role::Range, Some(mark)) if mark == far => false,
            _ => continue,
        };
        let list = if own_side { &mut cuts.newer } else { &mut cuts.older };
        // Tests of one commit have nothing between them.
        let size = if list.is_empty() || test.role == Role::Start { 0.0 } else { range };
        list.push((index, size));
    }
    for (index, test) in steps() {
        let Some(mark) = test.mark else { continue };
        // Kiln's own logs have no counts: a revision is chosen to part what is left in two.
        let others = test.left.map_or(cuts.left / 2.0, |left| f64::from(left) + 1.0);
        if mark == Mark::Skip {
            continue;
        }
        if mark == near {
            let cut = others.min(cuts.left - 1.0).max(0.0);
            cuts.newer.push((index, cut));
            cuts.left -= cut;
        } else {
            cuts.older.push((index, (cuts.left - others).max(1.0)));
            cuts.left = others;
        }
        cuts.left = cuts.left.max(1.0);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::import::Tested;

    fn test(role: Role, mark: Mark, left: Option<u32>) -> Tested {
        Tested { role, mark: Some(mark), left, ..Tested::default() }
    }

    /// Both ends, then two steps: the first keeps what contains it, the second its ancestors.
    fn log(fix: bool) -> Imported {
        let (near, far) = if fix { (Mark::Good, Mark::Bad) } else { (Mark::Bad, Mark::Good) };
        Imported {
            fix,
            tests: vec![
                test(Role::Start, Mark::Bad, None),
                test(Role::Range, Mark::Good, None),
                test(Role::Step, far, Some(7)),
                test(Role::Step, Mark::Skip, Some(7)),
                test(Role::Step, near, Some(3)),
            ],
            answer: Answer::Culprit { commit: String::new(), title: String::new() },
            ..Imported::default()
        }
    }

    #[test]
    fn revisions_lie_where_the_verdicts_put_them() {
        let chain = Chain::of(&log(false));
        assert_eq!(chain.order, [1, 2, 4, 0]);
        assert_eq!(chain.sizes, [0.0, 8.0, 4.0, 4.0]);
        assert_eq!(chain.answer, Some(2));
        let out: Vec<_> = (0..4).map(|place| chain.ruled_out_by(place)).collect();
        assert_eq!(out, [Some(1), Some(2), None, Some(4)]);
    }

    #[test]
    fn without_counts_each_step_halves() {
        let mut log = log(false);
        log.tests.iter_mut().for_each(|test| test.left = None);
        let chain = Chain::of(&log);
        assert_eq!(chain.order, [1, 2, 4, 0]);
        assert_eq!(chain.sizes, [0.0, RELEASE / 2.0, RELEASE / 4.0, RELEASE / 4.0]);
    }

    #[test]
    fn time_runs_backwards_in_a_search_for_a_fix() {
        let chain = Chain::of(&log(true));
        assert_eq!(chain.order, [1, 4, 2, 0]);
        assert_eq!(chain.sizes, [0.0, 4.0, 4.0, 8.0]);
        assert_eq!(chain.answer, Some(2));
    }
}
