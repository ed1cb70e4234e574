//! What more runs can't settle is not run for ever.

use super::*;

#[test]
fn what_only_an_exception_explains_is_not_run_for_ever() {
    // Only 400 crashes, often: it may be the culprit, or have a bug of its own. And 399 never does:
    // good, or the bug is hidden on it. More runs of either can't tell.
    let mut problem = Problem::new(Arc::new(Graph::linear(6693).unwrap()), Costs::default());
    let seen = [(6692, 1, 38), (400, 200, 1800), (399, 0, 2000)];
    for (image, (commit, crashes, clean)) in seen.into_iter().enumerate() {
        problem.images.push(Counts { crashes, clean, censored: 0 });
        let image = Some(image as u32);
        problem.revisions[commit] = Status { image, state: State::Built };
    }
    let settings = Settings { threshold: 0.999, ..Settings::default() };
    match decide(&problem, &settings).unwrap() {
        Decision::Test(test) => assert!(test.build, "{test:?}"),
        Decision::Stop(verdict) => panic!("{verdict:?}"),
    }
}

/// Linear commits of which some are built and have been run.
fn having_run(commits: u32, seen: &[(u32, Counts)]) -> Problem {
    let mut problem = Problem::new(Arc::new(Graph::linear(commits).unwrap()), Costs::default());
    for (commit, counts) in seen {
        problem.images.push(*counts);
        let image = Some(problem.images.len() as u32 - 1);
        problem.set(Place::Commit(*commit), Status { image, state: State::Built });
    }
    problem
}

fn counts(crashes: u32, clean: u32) -> Counts {
    Counts { crashes, clean, censored: 0 }
}

fn stops(problem: &Problem) -> Verdict {
    match decide(problem, &Settings::default()).unwrap() {
        Decision::Stop(verdict) => verdict,
        Decision::Test(test) => panic!("goes on: {test:?}"),
    }
}

#[test]
fn a_bad_end_that_never_shows_the_target_is_not_run_for_ever() {
    // Others show it: there is a bug, and the bad end does not show it.
    let problem = having_run(10, &[(9, counts(0, 5000)), (4, counts(50, 50))]);
    let Verdict::NotReproduced { crashes: 0, clean: 5000, missed, .. } = stops(&problem) else {
        panic!("reproduced")
    };
    assert!(missed < 0.05, "{missed}");
    // A few clean runs more or less are no reason to give up.
    let problem = having_run(10, &[(9, counts(0, 3)), (4, counts(5, 50))]);
    assert!(matches!(decide(&problem, &Settings::default()), Ok(Decision::Test(_))));
}

#[test]
fn a_good_end_that_never_shows_the_target_is_not_run_for_ever() {
    // Every revision crashes, and none of the commits changes anything that runs.
    let mut problem = having_run(3, &[(0, counts(9, 9)), (2, counts(9, 9))]);
    problem.unchanged = vec![0, 1, 2];
    problem.images.push(counts(0, 2000));
    problem.base = Status { image: Some(2), state: State::Built };
    let Verdict::Inconclusive { why, .. } = stops(&problem) else { panic!("sure") };
    assert!(why.contains("never shows the target itself"), "{why}");
    problem.images[2] = counts(0, 2);
    assert!(matches!(decide(&problem, &Settings::default()), Ok(Decision::Test(_))));
}

#[test]
fn a_culprit_that_never_shows_the_target_is_not_run_for_ever() {
    // 1 changes nothing that runs, so it must be 0, whose own revision stays clean.
    let seen = [(0, counts(0, 2000)), (1, counts(9, 9)), (2, counts(9, 9))];
    let mut problem = having_run(3, &seen);
    problem.unchanged = vec![1, 2];
    problem.images.push(counts(0, 300));
    problem.base = Status { image: Some(3), state: State::Built };
    let Verdict::Inconclusive { why, contradiction: true, .. } = stops(&problem) else {
        panic!("sure")
    };
    assert!(why.contains("shows the target in 0 of 2000 runs"), "{why}");
}

#[test]
fn a_parent_that_gives_the_image_of_a_later_revision_is_not_run_for_ever() {
    // 1 brings the crash, 2 takes it back, and 3 brings it again; 4 branches off 0. Runs of 0, which are
    // runs of 2 as well, never speak for it alone.
    let graph = Graph::new(vec![vec![], vec![0], vec![1], vec![2], vec![0], vec![3, 4]]).unwrap();
    let mut problem = Problem::new(Arc::new(graph), Costs::default());
    let crashing = counts(20, 20);
    problem.images =
        vec![counts(0, 900), crashing, crashing, counts(0, 5), crashing, counts(0, 900)];
    for (commit, image) in [(0, 0), (1, 1), (2, 0), (3, 2), (4, 3), (5, 4)] {
        problem.revisions[commit] = Status { image: Some(image), state: State::Built };
    }
    problem.base = Status { image: Some(5), state: State::Built };
    problem.unchanged = vec![0, 2, 3, 4, 5];
    let mut settings = Settings { threshold: 0.8, ..Settings::default() };
    settings.model.older = 1e-12;
    for _ in 0..100 {
        match decide(&problem, &settings).unwrap() {
            Decision::Stop(verdict) => {
                let contradiction =
                    matches!(verdict, Verdict::Inconclusive { contradiction: true, .. });
                return assert!(contradiction, "{verdict:?}");
            }
            Decision::Test(test) => {
                let image = problem.status(test.revision).image.unwrap() as usize;
                problem.images[image].clean += test.runs;
            }
        }
    }
    panic!("no end");
}

#[test]
fn a_parent_that_mostly_shows_other_crashes_is_not_run_for_ever() {
    // Once in a thousand runs of 59 nothing else comes first.
    let mut play = Play::new(Graph::linear(100).unwrap(), |place, nth| match place {
        Place::Commit(c) if c >= 60 && nth % 4 == 0 => crash(),
        Place::Commit(59) if nth % 1000 != 3 => other(),
        _ => clean(),
    });
    let verdict = play.finish();
    let runs = play.counts(Place::Commit(59)).total();
    assert!(runs <= 200, "{runs} runs; {verdict:?}");
}

#[test]
fn blame_does_not_decide_between_commits_that_no_run_can_tell_apart() {
    // 200..207 don't build. The crash came with one of them, or with 207.
    for (blamed, culprit) in [(203, 207), (207, 204)] {
        let mut play = Play::new(Graph::linear(1000).unwrap(), from(culprit, 1));
        play.works = Box::new(|place| !matches!(place, Place::Commit(200..207)));
        play.problem.blamed = vec![blamed];
        let verdict = play.finish();
        let Verdict::Inconclusive { why, set, .. } = verdict else { panic!("{verdict:?}") };
        assert!(why.contains("8 commits in a row can't be told apart"), "{why}");
        let mut commits: Vec<u32> = set.commits.iter().map(|(commit, _)| *commit).collect();
        commits.sort_unstable();
        assert_eq!(commits, Vec::from_iter(200..208));
    }
}
