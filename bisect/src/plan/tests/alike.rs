//! Commits that can't be told apart.

use super::*;
use crate::belief::Find;

/// 400 commits of which 200 and 221 don't build; 199 is clean and 222 crashes.
fn between(culprit: u32, works: impl Fn(u32) -> bool + 'static) -> Play {
    let mut play = Play::new(Graph::linear(400).unwrap(), from(culprit, 1));
    play.works = Box::new(move |place| place.commit().is_none_or(&works));
    let seen = [(199, 0, 30), (222, 3, 0), (399, 3, 0)];
    for (image, (commit, crashes, clean)) in (0..).zip(seen) {
        play.problem.images.push(Counts { crashes, clean, censored: 0 });
        play.problem.revisions[commit] = Status { image: Some(image), state: State::Built };
    }
    for commit in [200, 221] {
        play.problem.revisions[commit].state = State::Broken;
    }
    play
}

#[test]
fn one_of_the_commits_between_two_that_fail_is_tried() {
    let mut play = between(212, |commit| commit != 200 && commit != 221);
    let verdict = play.finish();
    assert!(matches!(verdict, Verdict::Culprit { commit: 212, .. }), "{verdict:?}");
    assert_eq!(play.tested[0].0, Place::Commit(211), "{:?}", play.tested[0]);
}

#[test]
fn a_few_between_several_that_fail_are_tried() {
    // 13, 14, 17 and 18 don't build; 16 brings the bug.
    let mut play = Play::new(Graph::linear(20).unwrap(), from(16, 1));
    play.works = Box::new(|place| !place.commit().is_some_and(|c| [13, 14, 17, 18].contains(&c)));
    let seen = [(12, 0, 30), (19, 3, 0)];
    for (image, (commit, crashes, clean)) in (0..).zip(seen) {
        play.problem.images.push(Counts { crashes, clean, censored: 0 });
        play.problem.revisions[commit] = Status { image: Some(image), state: State::Built };
    }
    for commit in [13, 14, 17, 18] {
        play.problem.revisions[commit].state = State::Broken;
    }
    let verdict = play.finish();
    assert!(matches!(verdict, Verdict::Culprit { commit: 16, .. }), "{verdict:?}");
    assert_eq!(play.problem.spent.builds, 2, "{:?}", play.tested);
}

#[test]
fn what_was_tried_and_what_was_not_is_said() {
    let mut play = between(212, |commit| !(200..222).contains(&commit));
    let Verdict::Inconclusive { why, set, more, .. } = play.finish() else { panic!("named one") };
    let mut commits: Vec<u32> = set.commits.iter().map(|(commit, _)| *commit).collect();
    commits.sort_unstable();
    assert_eq!(commits, Vec::from_iter(200..223), "all of them, the last one too");
    assert_eq!(play.problem.spent.builds, 3, "three are enough: {:?}", play.tested);
    let says = "23 commits in a row can't be told apart: 5 don't build or boot, 17 lie between such as \
                don't, and were not tried";
    assert_eq!(why, says);
    assert!(more.is_some_and(|more| more.build && (201..221).contains(&more.revision.commit().unwrap())));
    // No more than the budget has.
    let mut play = between(212, |_| true);
    play.settings.max_builds = Some(0);
    let Verdict::Inconclusive { why, .. } = play.finish() else { panic!("named one") };
    assert!(why.contains("2 don't build or boot, 20 lie between"), "{why}");
}

#[test]
fn a_branch_that_may_never_have_had_the_bug_is_no_row_of_broken_commits() {
    // 1 and 2 are such a branch, which 3 merges.
    let graph = Graph::new(vec![vec![], vec![], vec![1], vec![0, 2]]).unwrap();
    let mut problem = Problem::new(Arc::new(graph), Costs::default());
    problem.find = Find::Fix;
    let shown = Counts { crashes: 9, clean: 9, censored: 0 };
    problem.images = vec![shown, shown, Counts { clean: 90, ..Counts::default() }];
    let status = |image| Status { image: Some(image), state: State::Built };
    (problem.base, problem.revisions[0], problem.revisions[3]) = (status(0), status(1), status(2));
    for commit in [1, 2] {
        problem.revisions[commit].state = State::Unclear;
    }
    let Decision::Stop(Verdict::Inconclusive { why, .. }) =
        decide(&problem, &Settings::default()).unwrap()
    else {
        panic!("sure")
    };
    let says = "3 commits can't be told apart: all but the last are not known to have had the bug";
    assert_eq!(why, says);
}
