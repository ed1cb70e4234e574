//! Walks over made-up releases.

use proptest::prelude::*;

use super::ages::younger;
use super::cost::Prices;
use super::*;
use crate::belief::{Counts, RateGrid};
use crate::plan::{Costs, Settings, State, Status, clean_runs};

const CRASHED: Counts = Counts { crashes: 2, clean: 2, censored: 0 };

/// Releases so many commits back, none tried; the bad end crashes in one of four runs.
fn releases(back: &[u32]) -> Problem {
    let untried = |back: &u32| Release { back: *back, status: Status::default() };
    Problem {
        releases: back.iter().map(untried).collect(),
        bad_end: Some(0),
        images: vec![Counts { crashes: 5, clean: 15, censored: 0 }],
        history: 900_000,
        costs: Costs::default(),
        machines: 1,
        ..Problem::default()
    }
}

/// As many releases of a kernel's size.
fn kernels(n: u32) -> Problem {
    let back: Vec<u32> = (0..n).map(|at| 4_000 + 14_000 * at).collect();
    releases(&back)
}

/// Takes note of runs of a release.
fn ran(problem: &mut Problem, release: usize, counts: Counts) {
    let image = problem.releases[release].status.image.unwrap_or_else(|| {
        problem.images.push(Counts::default());
        problem.images.len() as u32 - 1
    });
    problem.releases[release].status = Status { image: Some(image), state: State::Built };
    let all = problem.images[image as usize].and(&counts);
    problem.images[image as usize] = all;
}

fn decision(problem: &Problem) -> Decision {
    decide(problem, &Settings::default()).decision
}

fn test(problem: &Problem) -> Test {
    match decision(problem) {
        Decision::Test(test) => test,
        other => panic!("{other:?}"),
    }
}

/// Walks on where all releases from `truth` on are good, until there is a range to search.
fn walk_to_a_range(problem: &mut Problem, truth: usize) -> Range {
    for _ in 0..100 {
        match decision(problem) {
            Decision::Test(test) if test.release < truth => ran(problem, test.release, CRASHED),
            Decision::Test(test) => {
                let clean = Counts { clean: test.runs.max(40), ..Counts::default() };
                ran(problem, test.release, clean);
            }
            Decision::Search(range) => return range,
            other => panic!("{other:?}"),
        }
    }
    panic!("no end")
}

#[test]
fn releases_are_run_until_one_is_worth_a_search() {
    let mut problem = kernels(30);
    problem.costs.run_seconds = 10.0;
    let first = test(&problem);
    assert!(first.build && first.runs > 5, "{first:?}");
    ran(&mut problem, first.release, Counts { clean: 1, ..Counts::default() });
    assert!(test(&problem).runs > 1, "one clean run is not enough");
    let range = walk_to_a_range(&mut problem, 0);
    assert_eq!(range.bad, None);
    // What was assumed before its runs, which the planner counts itself.
    let before = 1.0 - younger(problem.releases[range.good].back, problem.history);
    assert!(range.older > 0.02 && range.older < before + 0.02, "{range:?} {before}");
}

#[test]
fn a_release_that_crashes_is_the_new_bad_end() {
    for truth in [1, 3, 12, 29] {
        let mut problem = kernels(30);
        let range = walk_to_a_range(&mut problem, truth);
        assert!(range.good >= truth && range.good < truth + 8, "{truth}: {range:?}");
        assert!(range.bad.is_none_or(|bad| bad < truth), "{truth}: {range:?}");
        assert!(range.bad.is_some() || truth < 3, "{truth}: {range:?}");
    }
}

#[test]
fn jumps_grow_with_what_the_search_of_a_range_is_cheap_against() {
    // Where builds are dear and runs cheap, each release passed over saves one.
    let jump = |build_seconds: f64, run_seconds: f64| {
        let mut problem = kernels(40);
        problem.costs = Costs { build_seconds, run_seconds };
        ran(&mut problem, 0, CRASHED);
        test(&problem).release
    };
    assert!(jump(600.0, 1.0) > 1, "{}", jump(600.0, 1.0));
}

#[test]
fn what_fails_is_passed_over() {
    let mut problem = kernels(12);
    let first = test(&problem).release;
    problem.releases[first].status.state = State::Broken;
    let second = test(&problem).release;
    assert_ne!(second, first);
    // Runs that all say nothing are a failure, too.
    ran(&mut problem, second, Counts { censored: 20, ..Counts::default() });
    let third = test(&problem).release;
    assert!(third != first && third != second, "{third}");
}

#[test]
fn all_bad_is_older_than_the_oldest_that_works() {
    let mut problem = kernels(3);
    for (at, counts) in [(0, CRASHED), (1, Counts { crashes: 1, clean: 3, censored: 0 })] {
        ran(&mut problem, at, counts);
    }
    problem.releases[2].status.state = State::Untestable;
    // One crash could be chance: no answer is built on it.
    let again = test(&problem);
    assert_eq!((again.release, again.build), (1, false), "{again:?}");
    let expected = decide(&problem, &Settings::default()).expected_seconds;
    assert!(expected > 0.0 && expected == again.expected_seconds, "{expected} {again:?}");
    ran(&mut problem, 1, Counts { crashes: 1, ..Counts::default() });
    let Decision::Oldest { release: 1, probability, crashes: 2, clean: 3 } = decision(&problem)
    else {
        panic!("{:?}", decision(&problem))
    };
    assert!(probability > 0.99);
    for release in &mut problem.releases {
        release.status = Status { image: None, state: State::Broken };
    }
    assert_eq!(decision(&problem), Decision::NoneWorks);
    assert_eq!(decision(&releases(&[])), Decision::NoneWorks);
}

#[test]
fn budgets_hold() {
    let mut problem = kernels(20);
    let spent = |problem: &Problem, max_builds, max_runs| {
        let settings = Settings { max_builds, max_runs, ..Settings::default() };
        decide(problem, &settings).decision
    };
    problem.spent.runs = 7;
    let Decision::Test(test) = spent(&problem, None, Some(8)) else { panic!() };
    assert_eq!(test.runs, 1);
    let Decision::Spent { next, .. } = spent(&problem, None, Some(7)) else { panic!() };
    assert!(next.runs > 0 && next.build);
    assert!(matches!(spent(&problem, Some(0), None), Decision::Spent { .. }));
    // What is built can be run.
    ran(&mut problem, 4, Counts { clean: 1, ..Counts::default() });
    let Decision::Test(test) = spent(&problem, Some(0), None) else { panic!() };
    assert_eq!((test.release, test.build), (4, false));
}

#[test]
fn twins_are_one() {
    let mut problem = releases(&[10, 20, 30, 40]);
    problem.history = 50;
    // The bad end's image is that of the first release, which is therefore bad.
    problem.releases[0].status = Status { image: Some(0), state: State::Built };
    assert!(bad(&problem, &Settings::default().model)[0] > 0.99);
    assert!(test(&problem).release > 0);
    ran(&mut problem, 2, Counts { clean: 60, ..Counts::default() });
    problem.releases[1].status = problem.releases[2].status;
    let Decision::Search(range) = decision(&problem) else { panic!("{:?}", decision(&problem)) };
    assert_eq!((range.good, range.bad), (1, Some(0)));
}

#[test]
fn runs_that_the_search_counts_say_nothing_before_it() {
    let mut problem = kernels(8);
    let settings = Settings::default();
    let older = |problem: &Problem, good, bad| {
        super::decide::older(problem, &settings.model, &RateGrid::new(&settings.model), good, bad)
    };
    ran(&mut problem, 1, CRASHED);
    ran(&mut problem, 4, Counts { clean: 1, ..Counts::default() });
    let before = [older(&problem, 4, Some(1)), older(&problem, 4, None)];
    // Between the ends, and the ends themselves.
    for release in [1, 2, 4] {
        ran(&mut problem, release, Counts { clean: 40, ..Counts::default() });
        assert_eq!(older(&problem, 4, Some(1)), before[0], "{release}");
        assert_eq!(older(&problem, 4, None), before[1], "{release}");
    }
    // An older one is not in the range.
    ran(&mut problem, 6, CRASHED);
    assert!(older(&problem, 4, Some(1)) > 0.89, "{}", older(&problem, 4, Some(1)));
}

#[test]
fn a_release_that_showed_the_target_too_rarely_is_no_end() {
    let mut problem = kernels(12);
    for release in [2, 5] {
        ran(&mut problem, release, CRASHED);
    }
    problem.releases[5].status.state = State::Unclear;
    let range = walk_to_a_range(&mut problem, 6);
    assert!(range.good > 5 && range.bad != Some(5), "{range:?}");
}

#[test]
fn too_old_ones_are_not_built_one_by_one() {
    let mut problem = kernels(40);
    ran(&mut problem, 0, CRASHED);
    let mut failed = 0;
    loop {
        match decision(&problem) {
            Decision::Test(test) if test.release < 8 => ran(&mut problem, test.release, CRASHED),
            Decision::Test(test) => {
                failed += 1;
                problem.releases[test.release].status.state = State::Broken;
            }
            Decision::Oldest { release, .. } => {
                assert_eq!(release, 7);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((3..8).contains(&failed), "{failed}");
    assert!(too_old(&problem, Settings::default().patience).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was seen, each decision is one that can be carried out, and the same again.
    #[test]
    fn decisions_are_sound(
        gaps in prop::collection::vec(1u32..40_000, 1..12),
        seen in prop::collection::vec((0usize..4, 0u32..3, 0u32..40, 0u32..25), 12),
        machines in 1u32..8,
    ) {
        let mut back = 0;
        let back: Vec<u32> = gaps.iter().map(|gap| { back += gap; back }).collect();
        let mut problem = releases(&back);
        problem.machines = machines;
        for (at, (state, crashes, clean, censored)) in seen.into_iter().take(back.len()).enumerate() {
            match state {
                0 => problem.releases[at].status.state = State::Broken,
                1 => ran(&mut problem, at, Counts { crashes, clean, censored }),
                _ => {}
            }
        }
        let belief = bad(&problem, &Settings::default().model);
        prop_assert!(belief.windows(2).all(|pair| pair[0] >= pair[1] - 1e-12), "{belief:?}");
        prop_assert!(belief.iter().all(|bad| (0.0..=1.0).contains(bad)), "{belief:?}");
        let walked = decide(&problem, &Settings::default());
        prop_assert!(walked.expected_seconds >= 0.0 && walked.expected_seconds.is_finite());
        let text = serde_json::to_string(&walked).unwrap();
        let again: Walked = serde_json::from_str(&text).unwrap();
        let redone = decide(&again.problem, &again.settings).decision;
        prop_assert_eq!(std::mem::discriminant(&redone), std::mem::discriminant(&walked.decision));
        match &walked.decision {
            Decision::Test(test) => {
                prop_assert!(test.runs > 0 && !problem.broken(test.release, 20));
                prop_assert_eq!(test.build, problem.releases[test.release].status.state != State::Built);
            }
            Decision::Search(Range { good, bad, older }) => {
                prop_assert!(problem.counts(*good).clean > 0 && (0.0..1.0).contains(older));
                prop_assert!(bad.is_none_or(|bad| bad < *good && problem.counts(bad).crashes > 0));
            }
            Decision::Oldest { release, .. } => prop_assert!(problem.counts(*release).crashes >= 2),
            Decision::NoneWorks => {}
            Decision::Spent { .. } => prop_assert!(false, "no budget was given"),
        }
    }
}

/// What a made-up walk costs, the search after it included, in seconds.
fn walk_costs(truth: usize, rate: f64, seed: u64, planned: bool) -> f64 {
    let mut random = seed | 1;
    let mut chance = move || {
        // xorshift: the same world for every policy is not needed, only the same every time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut problem = kernels(30);
    problem.images[0] = Counts { crashes: 5, clean: (5.0 / rate) as u32 - 5, censored: 0 };
    let prices = Prices::of(&problem, rate);
    let mut seconds = 0.0;
    for _ in 0..200 {
        let newest_untried = || {
            let known = (0..30).rev().find(|at| problem.counts(*at).crashes > 0);
            let release = known.map_or(0, |known| known + 1);
            if release == 30 {
                return Decision::NoneWorks;
            }
            let needed = clean_runs(rate, 0.05).saturating_sub(problem.counts(release).clean);
            match needed {
                0 => Decision::Search(Range { good: release, bad: known, older: 0.0 }),
                _ => Decision::Test(Test {
                    release,
                    runs: needed,
                    build: problem.needs_build(release),
                    why: String::new(),
                    expected_seconds: 0.0,
                }),
            }
        };
        let next = if planned { decision(&problem) } else { newest_untried() };
        match next {
            Decision::Test(test) => {
                seconds += if test.build { prices.build } else { 0.0 };
                let (mut crashes, mut clean) = (0, 0);
                while clean < test.runs && crashes == 0 {
                    seconds += prices.run;
                    match test.release < truth && chance() < rate {
                        true => crashes += 1,
                        false => clean += 1,
                    }
                }
                ran(&mut problem, test.release, Counts { crashes, clean, censored: 0 });
            }
            Decision::Search(range) => {
                let commits = problem.commits(range.good, range.bad);
                if range.good >= truth {
                    return seconds + prices.search(commits);
                }
                // The search finds out that its good end is bad.
                seconds += prices.misled(commits, 0.05);
                ran(&mut problem, range.good, CRASHED);
            }
            Decision::Oldest { .. } | Decision::NoneWorks => return seconds,
            Decision::Spent { .. } => panic!("no budget was given"),
        }
    }
    panic!("no end");
}

/// Where bugs are as old as is assumed, planned walks take fewer hours than those that try one release
/// after the other until one stays clean for `ln(20)/p` runs. Means over all ages, weighed by the prior.
#[test]
#[allow(clippy::print_stdout)] // The figures are what one runs this for.
fn planned_walks_are_cheaper_than_a_list() {
    const TRIALS: u64 = 4;
    let problem = kernels(30);
    for rate in [1.0, 0.25] {
        let mut hours = [0.0; 2];
        for truth in 0..=30usize {
            let from = truth.checked_sub(1).map_or(0.0, |at| age(&problem, at));
            let to = if truth < 30 { age(&problem, truth) } else { 1.0 };
            for (policy, hours) in hours.iter_mut().enumerate() {
                let all: f64 = (1..=TRIALS)
                    .map(|seed| walk_costs(truth, rate, seed * 0x9e37_79b9, policy == 0))
                    .sum();
                *hours += (to - from) * all / TRIALS as f64 / 3600.0;
            }
        }
        println!("p {rate}: planned {:.2} h, one after the other {:.2} h", hours[0], hours[1]);
        assert!(hours[0] < 0.97 * hours[1], "p {rate}: {hours:?}");
    }
}

fn age(problem: &Problem, release: usize) -> f64 {
    younger(problem.releases[release].back, problem.history)
}
