//! Builds that take as long as they make anew.

use super::*;

/// Commits that change a header which most of the kernel reads.
const WIDE: [u32; 2] = [90, 210];
const COMMITS: u32 = 300;

/// Seconds of a build upon that of another commit.
fn seconds(from: u32, to: u32) -> f64 {
    let crossed = WIDE.iter().filter(|at| (from < **at) != (to < **at)).count();
    (12.0 + 0.1 * f64::from(from.abs_diff(to)) + 60.0 * crossed as f64).min(120.0)
}

/// A bisection in one working pair: seconds of its builds and its runs, and its builds; nothing when it
/// ended without an answer.
struct Told {
    /// The planner knows what each build would take, by this factor; else their mean.
    by: Option<fn(u32) -> f64>,
    most: Option<u32>,
}

fn play(culprit: u32, every: u32, told: &Told) -> Option<(f64, u32)> {
    let mut play = Play::new(Graph::linear(COMMITS).unwrap(), from(culprit, every));
    play.problem.costs = Costs { build_seconds: 120.0, run_seconds: 2.5 };
    play.settings.max_builds = told.most;
    let mut pair: Option<u32> = None;
    let mut spent: Vec<f64> = Vec::new();
    loop {
        if let (Some(by), Some(pair)) = (told.by, pair) {
            play.problem.builds = (0..COMMITS).map(|to| by(to) * seconds(pair, to)).collect();
        }
        match decide(&play.problem, &play.settings).unwrap() {
            Decision::Test(test) => {
                if test.build {
                    // (The good end stands before the first commit.)
                    let at = test.revision.commit().unwrap_or(0);
                    spent.push(pair.map_or(120.0, |pair| seconds(pair, at)));
                    pair = Some(at);
                }
                play.step(&test);
                let builds = spent.len() as f64;
                play.problem.costs.build_seconds = spent.iter().sum::<f64>() / builds;
            }
            Decision::Stop(Verdict::Culprit { commit, .. }) => {
                assert_eq!(commit, culprit);
                let Spent { builds, runs } = play.problem.spent;
                return Some((spent.iter().sum::<f64>() + f64::from(runs) * 2.5, builds));
            }
            Decision::Stop(Verdict::Inconclusive { .. }) => return None,
            Decision::Stop(other) => panic!("{culprit}: {other:?}"),
        }
    }
}

const BY_THE_MEAN: Told = Told { by: None, most: None };

fn culprits() -> impl Iterator<Item = u32> {
    (3..COMMITS).step_by(11)
}

#[test]
fn who_knows_what_each_build_takes_ends_sooner() {
    let all = |every, told: &Told| -> f64 {
        culprits().map(|culprit| play(culprit, every, told).unwrap().0).sum()
    };
    // Estimates that are off by up to half, this way and that, are nearly as good.
    let off = |to: u32| [0.7, 1.0, 1.5][to as usize / 10 % 3];
    for every in [2, 5, 10] {
        let mean = all(every, &BY_THE_MEAN);
        for by in [(|_| 1.0) as fn(u32) -> f64, off] {
            let own = all(every, &Told { by: Some(by), most: None });
            assert!(own < 0.9 * mean, "{every}: {own} of {mean}");
        }
    }
}

#[test]
fn where_builds_are_counted_a_cheap_one_costs_as_many() {
    let answers = |by| {
        let told = Told { by, most: Some(9) };
        culprits().filter(|culprit| play(*culprit, 2, &told).is_some()).count()
    };
    let (mean, own) = (answers(None), answers(Some(|_| 1.0)));
    assert!(mean > 10 && own >= mean, "{own} of {mean}");
}

#[test]
fn the_older_end_is_as_dear_as_what_follows_it() {
    let mut problem = Problem::new(Arc::new(Graph::linear(3).unwrap()), Costs::default());
    assert_eq!(problem.build_seconds(Place::Base), Costs::default().build_seconds);
    problem.builds = vec![7.0, 80.0, 9.0];
    assert_eq!(problem.build_seconds(Place::Base), 7.0);
    assert_eq!(problem.build_seconds(Place::Commit(1)), 80.0);
    let building = Building { place: Place::Commit(1), seconds: 2.0 };
    problem.building.push(building);
    assert_eq!(problem.costs_of(Place::Commit(1)).build_seconds, 2.0);
    problem.builds.pop();
    assert!(decide(&problem, &Settings::default()).is_err(), "one commit is left out");
}
