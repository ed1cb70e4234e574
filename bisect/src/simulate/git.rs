//! What `git bisect run` does, for comparison.

use crate::graph::Graph;
use crate::plan::Place;

use super::lab::{Lab, Seen};

/// Halves the range as git does; each revision gets `runs` runs, and any crash makes it bad. A
/// revision that does not build, or whose runs all fail, is skipped. Nothing when only skipped
/// ones remain.
pub(super) fn play(lab: &mut Lab<'_>, runs: u32) -> Option<u32> {
    let graph = std::sync::Arc::clone(&lab.history.graph);
    let mut left = vec![true; graph.len()];
    let mut skipped = vec![false; graph.len()];
    let mut bad = graph.tip();
    while let Some(commit) = midpoint(&graph, &left, &skipped, bad) {
        let place = Place::Commit(commit);
        let seen = if lab.build(place) {
            lab.run(place, runs, |seen| matches!(seen, Seen::Target | Seen::OtherCrash))
        } else {
            Vec::new()
        };
        let crashed = seen.iter().any(|s| matches!(s, Seen::Target | Seen::OtherCrash));
        if crashed {
            bad = commit;
            let keep = graph.ancestors(commit);
            left.iter_mut().zip(keep).for_each(|(l, k)| *l &= k);
        } else if seen.contains(&Seen::Clean) {
            let gone = graph.ancestors(commit);
            left.iter_mut().zip(gone).for_each(|(l, g)| *l &= !g);
        } else {
            skipped[commit as usize] = true;
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
