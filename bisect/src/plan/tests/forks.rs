//! Branches that forked off before the good end.

use super::*;
use crate::graph::Outside;

/// Main 0 to 19; 20 to 29 forked off before the good end; 30 merges them, and 31 to 35 follow.
fn graph() -> Graph {
    let line = (0u32..36).map(|at| at.checked_sub(1).into_iter().collect());
    let mut parents: Vec<Vec<u32>> = line.collect();
    parents[20].clear();
    parents[30] = vec![19, 29];
    let outside = vec![(0, Outside::Base), (20, Outside::Fork(0))];
    Graph::with_outside(parents, outside).unwrap()
}

const FORK: Place = Place::Fork(0);

/// Crashes in one of three runs of what `is_bad`. The branch's tip has crashed already.
fn play(is_bad: impl Fn(Place) -> bool + 'static) -> Play {
    let mut play = Play::new(graph(), move |place, nth| match is_bad(place) {
        true if nth % 3 == 1 => crash(),
        _ => clean(),
    });
    play.problem.images.push(Counts { crashes: 3, clean: 6, censored: 0 });
    *play.status(Place::Commit(29)) = Status { image: Some(0), state: State::Built };
    play
}

fn is_on_branch(place: Place) -> bool {
    matches!(place, Place::Commit(20..=29))
}

/// The first commit of the branch is the culprit.
fn branch_is_bad(place: Place) -> bool {
    is_on_branch(place) || matches!(place, Place::Commit(30..))
}

#[test]
fn the_first_commit_of_a_branch_is_named_beside_its_own_parent() {
    let mut play = play(branch_is_bad);
    let verdict = play.finish();
    let Verdict::Culprit { commit: 20, parents, .. } = verdict else { panic!("{verdict:?}") };
    assert!(matches!(parents[..], [Cleared { parent: FORK, .. }]), "{parents:?}");
    assert!(parents[0].is_settled());
    assert_eq!(play.counts(FORK).crashes, 0);
    let asked = play.tested.iter().find(|(place, ..)| *place == FORK).unwrap();
    assert!(asked.2.contains("before the culprit's branch forked off"), "{asked:?}");
}

#[test]
fn a_branch_that_was_bad_when_it_forked_off_does_not_stop_the_search() {
    // What the good end has mended is mended in the merge, too; 33 is another cause.
    let bad = |place| is_on_branch(place) || matches!(place, FORK | Place::Commit(33..));
    let mut play = play(bad);
    let verdict = loop {
        if play.counts(FORK).crashes >= 2 {
            // As `Knowledge::problem` tells of them.
            let unclear = Status { image: None, state: State::Unclear };
            (20..30).for_each(|commit| play.problem.revisions[commit] = unclear);
        }
        match decide(&play.problem, &play.settings).unwrap() {
            Decision::Test(test) => play.step(&test),
            Decision::Stop(verdict) => break verdict,
        }
    };
    assert!(matches!(verdict, Verdict::Culprit { commit: 33, .. }), "{verdict:?}");
    assert_eq!(play.counts(FORK).crashes, 2);
}

#[test]
fn one_crash_at_the_fork_point_may_be_chance() {
    let mut play = play(branch_is_bad);
    play.problem.images.push(Counts { crashes: 1, ..Counts::default() });
    *play.status(FORK) = Status { image: Some(1), state: State::Built };
    let Verdict::Culprit { commit: 20, parents, .. } = play.finish() else { panic!("not named") };
    let once = clean_runs(1.0 / 3.0, play.settings.parent_doubt);
    assert!(parents[0].is_settled() && parents[0].seen > 3 * once / 2, "{parents:?}");
}

#[test]
fn a_fork_point_that_cannot_be_tested_is_not_called_good() {
    let mut play = play(branch_is_bad);
    play.works = Box::new(|place| place != FORK);
    let Verdict::Culprit { commit: 20, parents, .. } = play.finish() else { panic!("not named") };
    assert!(matches!(parents[..], [Cleared { parent: FORK, seen: 0, .. }]), "{parents:?}");
    assert!(!parents[0].is_settled());
}

#[test]
fn a_budget_without_the_fork_point_ends_with_what_is_missing() {
    let mut play = play(branch_is_bad);
    let verdict = loop {
        match decide(&play.problem, &play.settings).unwrap() {
            Decision::Test(test) if test.revision == FORK => {
                play.settings.max_builds = Some(play.problem.spent.builds);
            }
            Decision::Test(test) => play.step(&test),
            Decision::Stop(verdict) => break verdict,
        }
    };
    let Verdict::Inconclusive { why, more: Some(more), .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(why.contains("budget") && why.contains("branch forked off"), "{why}");
    assert!(more.revision == FORK && more.build, "{more:?}");
}

#[test]
fn a_merge_of_the_good_end_into_a_branch_has_it_as_a_parent_too() {
    // 0 forked off before the good end, 1 merges that, 2 follows.
    let outside = vec![(0, Outside::Fork(0)), (1, Outside::Base)];
    let graph = Graph::with_outside(vec![vec![], vec![0], vec![1]], outside).unwrap();
    let mut play = Play::new(graph, |place, nth| match place {
        Place::Commit(1..) if nth % 3 == 1 => crash(),
        _ => clean(),
    });
    let verdict = play.finish();
    let Verdict::Culprit { commit: 1, parents, .. } = verdict else { panic!("{verdict:?}") };
    let places: Vec<Place> = parents.iter().map(|parent| parent.parent).collect();
    assert_eq!(places, [Place::Commit(0), Place::Base]);
    assert!(parents.iter().all(Cleared::is_settled), "{parents:?}");
}

#[test]
fn a_commit_that_gives_the_image_of_its_fork_point_is_not_the_one() {
    let mut play = play(|place| place != Place::Commit(20) && branch_is_bad(place));
    play.problem.images.push(Counts::default());
    for place in [FORK, Place::Commit(20)] {
        *play.status(place) = Status { image: Some(1), state: State::Built };
    }
    let verdict = play.finish();
    let Verdict::Culprit { commit: 21, parents, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(parents[0].parent, Place::Commit(20));
}

#[test]
fn fork_points_are_those_of_the_graph() {
    let mut problem = Problem::new(Arc::new(graph()), Costs::default());
    problem.forks.clear();
    let error = decide(&problem, &Settings::default()).unwrap_err();
    assert!(matches!(error, ProblemError::Forks { forks: 1, statuses: 0 }), "{error}");
}
