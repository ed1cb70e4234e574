//! The commit that ended a crash.

use super::*;
use crate::belief::Find;

/// Crashes in one of `every` runs unless the revision contains the fix.
fn until(graph: &Graph, fix: u32, every: u32) -> impl Fn(Place, u32) -> Counts + use<> {
    let fixed = graph.descendants(fix);
    move |place, nth| match place {
        Place::Commit(c) if fixed[c as usize] => clean(),
        _ if nth % every == every / 2 => crash(),
        _ => clean(),
    }
}

#[test]
fn finds_the_fix() {
    let graph = Graph::linear(1000).unwrap();
    let shows = until(&graph, 371, 4);
    let mut play = Play::new(graph, shows);
    play.problem.find = Find::Fix;
    let Verdict::Culprit { commit, parents, .. } = play.finish() else { panic!("no fix") };
    assert_eq!(commit, 371);
    assert_eq!(parents.len(), 1);
    assert!(parents[0].is_settled() && parents[0].parent == Place::Commit(370), "{parents:?}");
    assert!(play.counts(Place::Commit(370)).crashes >= 2);
    assert!(play.counts(Place::Commit(371)).clean >= 8, "the fix itself is confirmed");
    assert_eq!(play.tested[0].0, Place::Base, "the bad end is the older one");
    assert!(play.problem.spent.builds <= 18, "{}", play.problem.spent.builds);
}

#[test]
fn finds_the_fix_on_a_side_branch_and_at_a_merge() {
    let parents = side_branch();
    for fix in [0, 3, 43, 50, 55] {
        let graph = Graph::new(parents.clone()).unwrap();
        let shows = until(&graph, fix, 3);
        let mut play = Play::new(graph, shows);
        play.problem.find = Find::Fix;
        let verdict = play.finish();
        let Verdict::Culprit { commit, parents: settled, .. } = verdict else {
            panic!("no fix: {verdict:?}")
        };
        assert_eq!(commit, fix);
        assert_eq!(settled.len(), parents[fix as usize].len().max(1));
        assert!(settled.iter().all(Cleared::is_settled), "{settled:?}");
    }
}

#[test]
fn what_is_not_fixed_is_said_to_be() {
    let mut play = Play::new(Graph::linear(300).unwrap(), |_, nth| match nth % 4 {
        1 => crash(),
        _ => clean(),
    });
    play.problem.find = Find::Fix;
    let Verdict::OlderThanGood { crashes, .. } = play.finish() else { panic!("a fix") };
    assert!(crashes >= 2);
    assert!(play.counts(Place::Commit(299)).crashes >= 2, "the good end showed it itself");
}

#[test]
fn a_fix_that_only_renames_the_crash_is_not_named() {
    let mut play = Play::new(Graph::linear(200).unwrap(), |place, nth| match place {
        Place::Commit(c) if c >= 120 && nth % 3 == 1 => other(),
        Place::Commit(c) if c >= 120 => clean(),
        _ if nth % 3 == 1 => crash(),
        _ => clean(),
    });
    play.problem.find = Find::Fix;
    let Verdict::Inconclusive { why, .. } = play.finish_naming("BUG: renamed") else {
        panic!("named")
    };
    assert!(why.contains("BUG: renamed"), "{why}");
}
