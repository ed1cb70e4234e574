//! How much is probably left to do, from what is not known yet and what is built already.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Picture;
use crate::belief::Find;
use crate::plan::{Place, Problem, State, clean_runs};

/// Builds for each bit that only builds can tell: where crashes are rare, a revision tells less than one
/// (as in `walk::cost`).
const BUILDS: f64 = 1.2;
/// Runs for each bit, by the rate of crashing, of the design's reference bisections without the runs that
/// confirm their answers.
const RUNS: f64 = 2.5;

/// What is probably left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Builds.
    pub builds: f64,
    /// Runs.
    pub runs: f64,
    /// Seconds.
    pub seconds: f64,
    /// What the user's budgets leave, as far as it is less than that.
    #[serde(default, skip_serializing_if = "Left::is_enough")]
    pub budget: Left,
}

/// What budgets leave; nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<u32>,
    /// Runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Left {
    /// Whether no budget is said to be too small.
    pub fn is_enough(&self) -> bool {
        *self == Self::default()
    }
}

impl Forecast {
    /// Builds for what no run of a kernel at hand can tell, runs for all that is not known and to confirm
    /// the answer, and the time for both. Each part is the same whichever test is next. `left`: what the
    /// budgets leave.
    pub(crate) fn of(picture: &Picture, problem: &Problem, left: Left) -> Self {
        let machines = f64::from(problem.machines.max(1));
        let rate = picture.rate.mean.max(1e-3);
        let builds = BUILDS * between_builds(picture, problem);
        // A test takes a run of each machine at least, and tells a bit at most.
        let runs = picture.entropy() * (RUNS / rate).max(machines);
        let runs = runs + f64::from(clean_runs(rate, 0.05)).max(machines);
        let run_seconds = problem.costs.run_seconds / machines;
        let seconds = builds * build_seconds(picture, problem) + runs * run_seconds;
        let budget = Left {
            builds: left.builds.filter(|left| f64::from(*left) < builds),
            runs: left.runs.filter(|left| f64::from(*left) < runs),
            seconds: left.seconds.filter(|left| *left < seconds),
        };
        Self { builds, runs, seconds, budget }
    }
}

/// What is not known, in bits, of where the commit lies between revisions that are built: what remains
/// when runs have told all that they can of these.
fn between_builds(picture: &Picture, problem: &Problem) -> f64 {
    // Twins tell the same, so one of them stands for all.
    let mut built: BTreeMap<u32, u32> = BTreeMap::new();
    for (commit, status) in (0u32..).zip(&problem.revisions) {
        if let (State::Built, Some(image)) = (status.state, status.image) {
            built.entry(image).or_insert(commit);
        }
    }
    let built: Vec<u32> = built.into_values().collect();
    // Which of them hold each commit.
    let mut holders: Vec<Vec<u64>> = vec![Vec::new(); picture.shares.len()];
    let mut sweep = vec![0u64; problem.graph.len()];
    for part in built.chunks(64) {
        sweep.fill(0);
        part.iter().enumerate().for_each(|(bit, commit)| sweep[*commit as usize] |= 1 << bit);
        problem.graph.carry_to_ancestors(&mut sweep);
        let places = picture.shares.iter().map(|(at, _)| *at as usize);
        holders.iter_mut().zip(places).for_each(|(own, at)| own.push(sweep[at]));
    }
    // That all revisions are bad shows in the good end, once that is built; before, it can't be told from
    // the commits next to it.
    let all_bad = match problem.find {
        Find::Cause if problem.base.state == State::Built => None,
        Find::Cause => {
            let word = |part: &[u32]| u64::MAX >> (64 - part.len());
            Some(built.chunks(64).map(word).collect::<Vec<_>>())
        }
        Find::Fix => Some(vec![0; built.chunks(64).len()]),
    };
    let shares = picture.shares.iter().map(|(_, share)| *share);
    let mut parts: HashMap<Vec<u64>, Vec<f64>> = HashMap::new();
    for (own, share) in holders.into_iter().zip(shares) {
        parts.entry(own).or_default().push(share);
    }
    if let Some(own) = all_bad {
        parts.entry(own).or_default().push(picture.all_bad);
    }
    let bits = |shares: Vec<f64>| {
        let whole: f64 = shares.iter().sum();
        let told = shares.iter().filter(|share| **share > 0.0);
        told.map(|share| share * (whole / share).log2()).sum::<f64>()
    };
    // In an order of their own: sums of floats depend on it.
    let mut sums: Vec<f64> = parts.into_values().map(bits).collect();
    sums.sort_by(f64::total_cmp);
    sums.into_iter().sum()
}

/// Seconds of a build, or of what is left of one, in the mean of the commits that may be the one.
fn build_seconds(picture: &Picture, problem: &Problem) -> f64 {
    let (mut sum, mut whole) = (0.0, 0.0);
    for (at, share) in &picture.shares {
        sum += share * problem.costs_of(Place::Commit(*at)).build_seconds;
        whole += share;
    }
    if whole > 0.0 { sum / whole } else { problem.costs.build_seconds }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::belief::{Counts, Rate};
    use crate::graph::Graph;
    use crate::plan::{Costs, Status};

    /// Sixteen commits that are equally probable, one build a minute, one run a second; what is built.
    fn forecast(built: &[u32], left: Left) -> Forecast {
        let costs = Costs { build_seconds: 60.0, run_seconds: 1.0 };
        let mut problem = Problem::new(Arc::new(Graph::linear(16).unwrap()), costs);
        problem.images = vec![Counts::default(); 16];
        for commit in built {
            problem.revisions[*commit as usize] =
                Status { image: Some(*commit), state: State::Built };
        }
        let picture = Picture {
            commits: 16,
            shares: (0..16).map(|at| (at, 1.0 / 16.0)).collect(),
            all_bad: 0.0,
            not_reproducible: 0.0,
            rate: Rate { mean: 0.5, low: 0.3, high: 0.7 },
            credible: 16,
            top: None,
            seen: Vec::new(),
        };
        Forecast::of(&picture, &problem, left)
    }

    #[test]
    fn what_is_built_needs_no_build_and_the_rest_does() {
        let from_nothing = forecast(&[15], Left::default());
        assert!((from_nothing.builds - 1.2 * 4.0).abs() < 1e-9, "{from_nothing:?}");
        assert!((from_nothing.runs - (4.0 * 5.0 + 6.0)).abs() < 1e-9, "{from_nothing:?}");
        // The next test may be a run of the middle one, which needs no build; those after it do.
        let halved = forecast(&[7, 15], Left::default());
        assert!((halved.builds - 1.2 * 3.0).abs() < 1e-9, "{halved:?}");
        assert_eq!(halved.runs, from_nothing.runs);
        let all: Vec<u32> = (0..16).collect();
        assert_eq!(forecast(&all, Left::default()).builds, 0.0);
        // The time is that of these builds and runs.
        for forecast in [from_nothing, halved] {
            let seconds = forecast.builds * 60.0 + forecast.runs;
            assert!((forecast.seconds - seconds).abs() < 1e-9, "{forecast:?}");
            assert!(forecast.budget.is_enough());
        }
    }

    #[test]
    fn a_budget_is_told_where_it_is_too_small() {
        let budgets = Left { builds: Some(4), runs: Some(100), seconds: Some(59.0) };
        let Forecast { budget, .. } = forecast(&[15], budgets);
        assert_eq!(budget, Left { builds: Some(4), runs: None, seconds: Some(59.0) });
        let text = serde_json::to_string(&forecast(&[15], Left::default())).unwrap();
        assert!(!text.contains("budget"), "{text}");
    }
}
