//! What `git bisect` does with verdicts, whoever gives them.

use crate::graph::Graph;
use crate::plan::Place;

use super::lab::{Lab, Seen};

/// What is told to git of one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Good,
    Bad,
    Skip,
    /// The whole bisection is given up.
    Abort,
}

/// `git bisect run` with a script that makes `runs` runs and calls any crash bad. A revision that
/// does not build, or whose runs all fail, is skipped. Nothing when only skipped ones remain.
pub(super) fn play(lab: &mut Lab<'_>, runs: u32) -> Option<u32> {
    halve(lab, |lab, place| {
        if !lab.build(place) {
            return Told::Skip;
        }
        let seen = lab.run(place, runs, Seen::crashed);
        if seen.iter().any(|s| s.crashed()) {
            Told::Bad
        } else if seen.contains(&Seen::Clean) {
            Told::Good
        } else {
            Told::Skip
        }
    })
}

/// Halves the range by verdicts, as git does, until one commit is left. Nothing when only skipped
/// ones remain, or it is given up.
pub(super) fn halve(
    lab: &mut Lab<'_>,
    mut verdict: impl FnMut(&mut Lab<'_>, Place) -> Told,
) -> Option<u32> {
    let graph = std::sync::Arc::clone(&lab.history.graph);
    let mut left = vec![true; graph.len()];
    let mut skipped = vec![false; graph.len()];
    let mut bad = graph.tip();
    while let Some(commit) = midpoint(&graph, &left, &skipped, bad) {
        match verdict(lab, Place::Commit(commit)) {
            Told::Bad => {
                bad = commit;
                let keep = graph.ancestors(commit);
                left.iter_mut().zip(keep).for_each(|(l, k)| *l &= k);
            }
            Told::Good => {
                let gone = graph.ancestors(commit);
                left.iter_mut().zip(gone).for_each(|(l, g)| *l &= !g);
            }
            Told::Skip => skipped[commit as usize] = true,
            Told::Abort => return None,
        }
    }
    (left.iter().filter(|l| **l).count() == 1).then_some(bad)
}

/// The commit, other than the bad one, whose ancestors come nearest to half of what is left. When
/// some are skipped it looks a third of the way off, away from them.
fn midpoint(graph: &Graph, left: &[bool], skipped: &[bool], bad: u32) -> Option<u32> {
    let weight = graph.ancestor_mass(|c| [f64::from(u8::from(left[c as usize]))]);
    let total = weight[bad as usize][0];
    let any_skipped = left.iter().zip(skipped).any(|(l, s)| *l && *s);
    let aim = if any_skipped { total / 3.0 } else { total / 2.0 };
    (0..graph.len() as u32)
        .filter(|c| left[*c as usize] && !skipped[*c as usize] && *c != bad)
        .min_by(|a, b| {
            let off = |c: u32| (weight[c as usize][0] - aim).abs();
            off(*a).total_cmp(&off(*b))
        })
}
