//! Budgets of time: kept, and used.

use super::*;

/// A bisection of a bug that shows in half of the runs, with so many seconds; the seconds that it left, and
/// what it said.
fn within(seconds: f64, machines: u32) -> (f64, Verdict, Play) {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 2));
    play.problem.machines = machines;
    play.problem.seconds_left = Some(seconds);
    let verdict = play.finish();
    (play.problem.seconds_left.unwrap(), verdict, play)
}

#[test]
fn no_test_is_begun_that_may_not_end_in_time() {
    for machines in [1, 4] {
        for seconds in [3000.0, 5000.0, 8000.0, 20_000.0] {
            let (left, verdict, play) = within(seconds, machines);
            // (What a test does not use, since a run crashes, is charged here all the same.)
            assert!(left >= 0.0, "{seconds} s, {left} left, {:?}", play.tested);
            if let Verdict::Inconclusive { why, more, set, .. } = verdict {
                assert!(why.contains("the budget of time is used up"), "{why}");
                assert!(more.is_some_and(|more| more.runs > 0 && more.seconds > 0.0));
                assert!(set.commits.iter().any(|(commit, _)| *commit == 371));
            }
        }
        let (_, verdict, _) = within(200_000.0, machines);
        assert!(matches!(verdict, Verdict::Culprit { commit: 371, .. }), "{verdict:?}");
    }
}

#[test]
fn what_a_run_takes_is_found_out_in_however_little_time() {
    let mut problem = Problem::new(Arc::new(Graph::linear(64).unwrap()), Costs::default());
    problem.images.push(Counts::default());
    problem.set(Place::Commit(63), Status { image: Some(0), state: State::Built });
    let asked = |problem: &Problem| decide(problem, &Settings::default()).unwrap();
    for (seconds, runs) in [(1800.0, 15), (130.0, 1), (6.0, 1)] {
        problem.seconds_left = Some(seconds);
        let Decision::Test(test) = asked(&problem) else { panic!("{seconds} s: no test") };
        assert_eq!((test.revision, test.runs), (Place::Commit(63), runs), "{seconds} s");
    }
    problem.seconds_left = Some(0.0);
    assert!(matches!(asked(&problem), Decision::Stop(Verdict::Inconclusive { .. })));
    // Once it is known, no test is begun that lasts longer.
    problem.images[0].clean = 1;
    problem.spent.runs = 1;
    problem.seconds_left = Some(6.0);
    assert!(matches!(asked(&problem), Decision::Stop(Verdict::Inconclusive { .. })));
}

#[test]
fn what_is_built_is_run_where_there_is_no_time_for_a_build() {
    let mut play = Play::new(Graph::linear(1000).unwrap(), from(371, 8));
    // Until a revision in the middle is built and has run a little.
    while play.problem.spent.builds < 4 {
        let Decision::Test(test) = decide(&play.problem, &play.settings).unwrap() else { panic!() };
        play.step(&test);
    }
    let doubtful = (1..999).map(Place::Commit).find(|place| {
        let counts = play.counts(*place);
        counts.crashes == 0 && counts.clean > 0
    });
    let doubtful = doubtful.expect("one that stayed silent");
    let image = play.problem.status(doubtful).image.unwrap() as usize;
    play.problem.images[image].clean = 4;
    play.problem.seconds_left = Some(500.0);
    let Decision::Test(test) = decide(&play.problem, &play.settings).unwrap() else {
        panic!("a run takes two minutes: there is time for four")
    };
    assert!(!test.build && test.runs <= 4, "{test:?}");
}
