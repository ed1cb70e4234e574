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

/// A bisection in one working pair: seconds of its builds and its runs. `told`: whether the planner
/// knows what each build would take, or their mean.
fn play(culprit: u32, every: u32, told: bool) -> f64 {
    let mut play = Play::new(Graph::linear(COMMITS).unwrap(), from(culprit, every));
    play.problem.costs = Costs { build_seconds: 120.0, run_seconds: 2.5 };
    let mut pair: Option<u32> = None;
    let mut spent: Vec<f64> = Vec::new();
    loop {
        if let (true, Some(pair)) = (told, pair) {
            play.problem.builds = (0..COMMITS).map(|to| seconds(pair, to)).collect();
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
                return spent.iter().sum::<f64>() + f64::from(play.problem.spent.runs) * 2.5;
            }
            Decision::Stop(other) => panic!("{culprit}: {other:?}"),
        }
    }
}

#[test]
fn who_knows_what_each_build_takes_ends_sooner() {
    for every in [2, 5, 10] {
        let mut sums = [0.0; 2];
        for culprit in (3..COMMITS).step_by(11) {
            for told in [false, true] {
                sums[usize::from(told)] += play(culprit, every, told);
            }
        }
        assert!(sums[1] < 0.9 * sums[0], "{every}: {sums:?}");
    }
}
