//! Runs of several revisions side by side, where that tells more than all machines running one.
//!
//! Ten machines that run one revision learn one bit at most, however sure it is that a bad kernel crashes.
//! Where builds are at hand they can divide the range in eleven instead. What another revision tells
//! depends on what the first will show, so futures are looked into as for builds ahead: a revision that
//! is asked for in a future is worth what it tells there, times that future's chance.

use super::ahead::{after, shows};
use super::choose::{Choice, Which};
use super::decide::{Test, searching};
use super::problem::{Place, Problem, ProblemError};
use super::settings::Settings;

/// How much more than one revision several must tell: futures are looked into with one rate, so what
/// they promise is less sure.
const MORE: f64 = 1.15;
/// Futures less probable than this are not looked into.
const LEAST: f64 = 0.02;
/// Futures that are looked into for each way to share the machines. Each costs a decision.
const FUTURES: usize = 16;
/// How often each revision may be run: about as often as a bad one needs for a crash. None where that is more
/// than half of the machines.
fn runs_each(rate: f64, machines: u32) -> Vec<u32> {
    let typical = 1.0 / rate.clamp(1e-3, 1.0);
    let mut each: Vec<u32> = [typical / 2.0, typical].map(|runs| runs.ceil() as u32).into();
    each.dedup();
    each.retain(|runs| runs * 2 <= machines);
    each
}

/// What the machines run side by side in the next round instead of `test`: at least two revisions, with
/// as many runs together as there are machines. Nothing where they had better all run the one.
pub(super) fn several(
    problem: &Problem,
    settings: &Settings,
    test: &Test,
) -> Result<Vec<Test>, ProblemError> {
    let machines = problem.machines;
    if machines < 2 || test.build || test.expected_gain <= 0.0 {
        return Ok(Vec::new());
    }
    let (alone, rate, scarce) = searching(problem, settings, |search| {
        let alone = search.best(Which::AtHand { runs: machines });
        let bits = alone.map_or(0.0, |choice| choice.prospect.bits);
        (bits, search.posterior.rate.mean, search.scarce)
    })?;
    // Each run then tells more by itself than among others.
    if scarce.runs {
        return Ok(Vec::new());
    }
    // A test of several rounds tells in its first at most what it tells in the mean. (A round ends when all
    // of its runs have, whatever they show.)
    let round = problem.costs.run_seconds;
    let mean = test.expected_gain * round / test.expected_seconds.max(round);
    let mut most = MORE * alone.max(mean);
    let mut best = Vec::new();
    for each in runs_each(rate, machines) {
        let (bits, round) = shared(problem, settings, each)?;
        if bits > most && round.len() > 1 {
            (most, best) = (bits, round);
        }
    }
    Ok(best)
}

/// A round in which each future has its best revision run so often, the likeliest futures first, until no
/// machine is left. With the bits that it tells.
fn shared(
    problem: &Problem,
    settings: &Settings,
    each: u32,
) -> Result<(f64, Vec<Test>), ProblemError> {
    let mut round: Vec<Test> = Vec::new();
    let mut left = problem.machines;
    let mut open: Vec<(f64, Problem)> = vec![(1.0, problem.clone())];
    for _ in 0..FUTURES {
        let likeliest = (0..open.len()).max_by(|a, b| open[*a].0.total_cmp(&open[*b].0));
        let Some(likeliest) = likeliest.filter(|_| left > 0) else { break };
        let (chance, stands) = open.swap_remove(likeliest);
        let runs = each.min(left);
        let found = searching(&stands, settings, |search| {
            let Choice { place, prospect, .. } = search.best(Which::AtHand { runs })?;
            let test = Test {
                revision: place,
                runs: prospect.runs,
                build: false,
                why: String::new(),
                expected_gain: prospect.bits,
                expected_seconds: problem.costs.run_seconds,
            };
            Some((shows(search, &test), search.posterior.rate.mean, test))
        })?;
        let Some((crashes, rate, test)) = found else { continue };
        left -= test.runs;
        for (crashed, share) in [(true, crashes), (false, 1.0 - crashes)] {
            if chance * share >= LEAST {
                open.push((chance * share, after(&stands, &test, crashed, rate)));
            }
        }
        let gain = chance * test.expected_gain;
        match round.iter_mut().find(|known| same(problem, known.revision, test.revision)) {
            Some(known) => {
                known.runs += test.runs;
                known.expected_gain += gain;
            }
            None => round.push(Test { expected_gain: gain, ..test }),
        }
    }
    let bits = round.iter().map(|test| test.expected_gain).sum();
    // What no future asked for goes to the first.
    if let Some(first) = round.first_mut() {
        first.runs += left;
    }
    let others = round.len().saturating_sub(1);
    for test in &mut round {
        test.why = format!("tells most side by side with {others} more");
    }
    Ok((bits, round))
}

/// Whether two revisions that are built have one image.
fn same(problem: &Problem, one: Place, other: Place) -> bool {
    one == other || problem.status(one).image == problem.status(other).image
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::belief::Counts;
    use crate::graph::Graph;
    use crate::plan::{Beside, Costs, Decision, State, Status, beside, decide};

    /// A thousand commits, all of them built; the bad end has shown this.
    fn built(machines: u32, shown: Counts) -> Problem {
        let graph = Arc::new(Graph::linear(1000).unwrap());
        let mut problem = Problem { machines, ..Problem::new(graph, Costs::default()) };
        problem.images = vec![Counts::default(); 1000];
        for commit in 0..1000 {
            let status = Status { image: Some(commit), state: State::Built };
            problem.set(Place::Commit(commit), status);
        }
        problem.images[999] = shown;
        problem
    }

    fn always() -> Counts {
        Counts { crashes: 20, ..Counts::default() }
    }

    fn asked(problem: &Problem, settings: &Settings) -> Vec<Test> {
        let decision = decide(problem, settings).unwrap();
        assert!(matches!(decision, Decision::Test(_)), "{decision:?}");
        let Beside { several, .. } = beside(problem, settings, 0, &decision).unwrap();
        several
    }

    #[test]
    fn ten_machines_divide_a_range_that_is_built_in_eleven() {
        let round = asked(&built(10, always()), &Settings::default());
        assert_eq!(round.iter().map(|test| test.runs).sum::<u32>(), 10, "{round:?}");
        let mut places: Vec<u32> =
            round.iter().map(|test| test.revision.commit().unwrap()).collect();
        places.sort_unstable();
        assert!(places.len() >= 8, "{places:?}");
        // No part is left much larger than a tenth: the gaps between them, and at both ends.
        let ends = [&[0], &places[..], &[999]].concat();
        assert!(ends.windows(2).all(|two| two[1] - two[0] < 260), "{places:?}");
        assert!(round.iter().all(|test| !test.build && test.expected_gain > 0.0), "{round:?}");
        let told: f64 = round.iter().map(|test| test.expected_gain).sum();
        assert!(told > 2.5, "{told} bits: {round:?}");
        assert_eq!(places.iter().collect::<HashSet<_>>().len(), places.len());
    }

    #[test]
    fn two_machines_divide_it_in_three() {
        let round = asked(&built(2, always()), &Settings::default());
        let places: Vec<u32> = round.iter().map(|test| test.revision.commit().unwrap()).collect();
        assert_eq!(places.len(), 2, "{round:?}");
        assert!(places[0].abs_diff(places[1]) > 150, "{places:?}");
    }

    #[test]
    fn all_machines_run_one_where_one_needs_them() {
        let seldom = Counts { crashes: 3, clean: 90, censored: 0 };
        assert_eq!(asked(&built(10, seldom), &Settings::default()), []);
        // With one there is nothing to share.
        assert_eq!(asked(&built(1, always()), &Settings::default()), []);
    }

    #[test]
    fn runs_that_are_scarce_are_made_one_by_one() {
        let settings = Settings { max_runs: Some(20), ..Settings::default() };
        assert_eq!(asked(&built(10, always()), &settings), []);
        let Decision::Test(test) = decide(&built(10, always()), &settings).unwrap() else {
            panic!("a test")
        };
        assert!(test.runs < 10, "{test:?}");
    }

    #[test]
    fn what_is_not_built_is_not_waited_for() {
        let mut problem = built(10, always());
        for commit in 0..999 {
            problem.set(Place::Commit(commit), Status::default());
        }
        assert_eq!(asked(&problem, &Settings::default()), []);
    }
}
