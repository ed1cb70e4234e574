//! Which revisions can probably not be tested, judged by their neighbours.

use super::problem::{Problem, State};
use super::settings::Settings;

/// Probability for each commit that it builds and boots.
///
/// Along history, "testable" is taken as a two-state Markov chain with the share and the mean
/// length of spans from the settings; each commit is judged by the nearest known revision before
/// and after it. Known ones give 1 or 0; [`State::Unclear`] gives 0, and says nothing of others. Nor
/// does a failure to build say anything of commits in which the file that failed is another.
pub(super) fn testable(problem: &Problem, settings: &Settings) -> Vec<f64> {
    let graph = &problem.graph;
    let n = graph.len();
    let share = settings.span_share.clamp(1e-6, 0.5);
    let stay = (1.0 - 1.0 / settings.span_length.max(1.5)).clamp(0.0, 0.999);
    let known = |commit: usize| match problem.revisions[commit].state {
        State::Built => Some(true),
        State::Broken | State::Untestable => Some(false),
        State::Unknown | State::Unclear => None,
    };
    // The nearest known revision on each side.
    let mut before: Vec<Option<Near>> = vec![None; n];
    let mut after: Vec<Option<Near>> = vec![None; n];
    let next = |at: usize, beyond: Option<Near>| match known(at) {
        Some(works) => Some(Near { distance: 1, works, at: at as u32 }),
        None => beyond.map(|near| Near { distance: near.distance + 1, ..near }),
    };
    for commit in 0..n {
        for p in graph.parents(commit as u32) {
            before[commit] = nearer(before[commit], next(*p as usize, before[*p as usize]));
        }
    }
    for commit in (0..n).rev() {
        let near = next(commit, after[commit]);
        for p in graph.parents(commit as u32) {
            after[*p as usize] = nearer(after[*p as usize], near);
        }
    }
    // How strongly a revision speaks for another, by distance; nothing beyond the table.
    let ties: Vec<f64> = std::iter::successors(Some(1.0), |tie| Some(tie * stay))
        .take_while(|t| *t > 1e-5)
        .collect();
    (0..n)
        .map(|commit| {
            if problem.revisions[commit].state == State::Unclear {
                return 0.0;
            }
            if let Some(ok) = known(commit) {
                return if ok { 1.0 } else { 0.0 };
            }
            let mut odds = share / (1.0 - share);
            for side in [before[commit], after[commit]].into_iter().flatten() {
                let tie = ties.get(side.distance as usize).copied().unwrap_or(0.0);
                if problem.faults.get(&side.at).is_some_and(|same| !same.contains(commit as u32)) {
                    continue;
                }
                odds *= if side.works {
                    (1.0 - share) * (1.0 - tie) / (1.0 - share + share * tie)
                } else {
                    (share + (1.0 - share) * tie) / (share * (1.0 - tie))
                };
            }
            1.0 / (1.0 + odds)
        })
        .collect()
}

/// A revision of which it is known whether it works, seen from another; the nearest comes first,
/// and of equals one that does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near {
    distance: u32,
    works: bool,
    at: u32,
}

fn nearer(a: Option<Near>, b: Option<Near>) -> Option<Near> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Groups commits that no possible test tells apart: for each commit the youngest of its group.
///
/// A commit that can't be tested, and whose children all belong to one group, belongs to it too.
/// A probability of testing below `hopeless` counts as none.
pub(super) fn indistinguishable(problem: &Problem, testable: &[f64], hopeless: f64) -> Vec<u32> {
    let graph = &problem.graph;
    let n = graph.len();
    const NONE: u32 = u32::MAX;
    const MANY: u32 = u32::MAX - 1;
    let mut child_group = vec![NONE; n];
    let mut group: Vec<u32> = (0..n as u32).collect();
    for commit in (0..n).rev() {
        if testable[commit] < hopeless && child_group[commit] < MANY {
            group[commit] = child_group[commit];
        }
        for p in graph.parents(commit as u32) {
            let slot = &mut child_group[*p as usize];
            *slot = match *slot {
                NONE => group[commit],
                same if same == group[commit] => same,
                _ => MANY,
            };
        }
    }
    group
}
