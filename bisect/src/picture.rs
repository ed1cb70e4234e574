//! A bisection as it stands, for people: where the commit may be, what was seen where, and how much
//! is probably left to do.

use serde::{Deserialize, Serialize};

use crate::belief::{Posterior, Rate};
use crate::plan::{Costs, State, Test, clean_runs};
use crate::record::Commit;
use crate::watch::Paid;

/// Shares of the posterior below this are left out.
const LEAST: f64 = 1e-6;

/// The state of a bisection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Commits in the range.
    pub commits: u32,
    /// The posterior by position in the range (parents first); next to nothing is left out.
    pub shares: Vec<(u32, f64)>,
    /// Probability that all revisions are bad, the good end too.
    pub all_bad: f64,
    /// Probability that the target does not show at all.
    pub not_reproducible: f64,
    /// How often a bad revision shows the target.
    pub rate: Rate,
    /// Commits in the 95 % credible set.
    pub credible: usize,
    /// The most probable commit.
    pub top: Option<(Commit, f64)>,
    /// What was seen, in the order of the range.
    pub seen: Vec<Seen>,
}

/// What was seen of one revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub commit: Commit,
    /// Its position in the range; none for the older end.
    pub at: Option<u32>,
    /// Target crashes.
    pub crashes: u32,
    /// Clean runs.
    pub clean: u32,
    /// Runs that say nothing.
    pub other: u32,
    /// Probability that it is bad, where anything can be said.
    pub bad: Option<f64>,
    /// It does not build.
    pub broken: bool,
}

/// The state of a walk over releases.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkPicture {
    /// The releases, newest first.
    pub releases: Vec<ReleaseSeen>,
    /// Those that were left out from the start, and why.
    pub left_out: Vec<(String, String)>,
    /// What was paid.
    pub spent: Paid,
    /// Seconds that the walk, and the search after it, are expected to take from here on.
    pub expected_seconds: f64,
}

/// What is known of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseSeen {
    /// Its tag.
    pub release: String,
    /// Target crashes.
    pub crashes: u32,
    /// Clean runs.
    pub clean: u32,
    /// Runs that say nothing.
    pub other: u32,
    /// Probability that it is bad.
    pub bad: f64,
    /// Whether it can be had.
    pub state: State,
}

impl Picture {
    /// Draws a posterior. `commit` names the one at a position.
    pub(crate) fn new(
        posterior: &Posterior,
        credible: usize,
        commit: impl Fn(u32) -> Commit,
        seen: Vec<Seen>,
    ) -> Self {
        let shares = (0u32..).zip(&posterior.commits).map(|(at, share)| (at, *share));
        let (top, share) = posterior.top();
        Self {
            commits: posterior.commits.len() as u32,
            shares: shares.filter(|(_, share)| *share >= LEAST).collect(),
            all_bad: posterior.older,
            not_reproducible: posterior.not_reproducible,
            rate: posterior.rate,
            credible,
            top: (share > 0.0).then(|| (commit(top), share)),
            seen,
        }
    }

    /// What is not known of the commit, in bits.
    pub fn entropy(&self) -> f64 {
        let shares = self.shares.iter().map(|(_, share)| *share);
        shares
            .chain([self.all_bad, self.not_reproducible])
            .filter(|share| *share > 0.0)
            .map(|share| -share * share.log2())
            .sum()
    }

    /// The posterior in `cells` equal parts of the range (as many as there are commits, at most).
    pub fn cells(&self, cells: usize) -> Vec<f64> {
        let cells = cells.min(self.commits as usize).max(1);
        let mut sums = vec![0.0; cells];
        for (at, share) in &self.shares {
            sums[self.cell(*at, cells)] += share;
        }
        sums
    }

    /// As [`Self::cells`], by commit: cells may differ by a commit in what they hold.
    pub fn density(&self, cells: usize) -> Vec<f64> {
        let mut density = self.cells(cells);
        let n = density.len();
        let mut sizes = vec![0.0; n];
        (0..self.commits).for_each(|at| sizes[self.cell(at, n)] += 1.0);
        density.iter_mut().zip(sizes).for_each(|(share, size): (_, f64)| *share /= size.max(1.0));
        density
    }

    /// The cell of a position, of `cells`.
    pub fn cell(&self, at: u32, cells: usize) -> usize {
        (at as usize * cells / (self.commits as usize).max(1)).min(cells.saturating_sub(1))
    }
}

/// What is probably left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Builds.
    pub builds: f64,
    /// Runs.
    pub runs: f64,
    /// Seconds.
    pub seconds: f64,
}

impl Forecast {
    /// If the next tests tell as much for their cost as this one: what is not known, shared out in
    /// tests like it, and the runs that confirm the answer. Nothing when the test tells nothing of
    /// the commit, and so is no measure.
    pub(crate) fn of(picture: &Picture, test: &Test, costs: &Costs, machines: u32) -> Option<Self> {
        if test.expected_gain <= 0.0 {
            return None;
        }
        let tests = picture.entropy() / test.expected_gain;
        let building = if test.build { costs.build_seconds } else { 0.0 };
        let machines = f64::from(machines.max(1));
        let runs = (test.expected_seconds - building).max(0.0) / costs.run_seconds * machines;
        let confirming = f64::from(clean_runs(picture.rate.mean, 0.05));
        Some(Self {
            // Each build parts the range in two at best.
            builds: if test.build {
                tests.min((picture.credible.max(1) as f64).log2() + 1.0)
            } else {
                0.0
            },
            runs: tests * runs + confirming,
            seconds: tests * test.expected_seconds + confirming / machines * costs.run_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Place;

    fn picture(shares: &[(u32, f64)], commits: u32) -> Picture {
        Picture {
            commits,
            shares: shares.to_vec(),
            all_bad: 0.0,
            not_reproducible: 0.0,
            rate: Rate { mean: 0.5, low: 0.3, high: 0.7 },
            credible: shares.len(),
            top: None,
            seen: Vec::new(),
        }
    }

    #[test]
    fn cells_hold_the_whole_posterior() {
        let shares: Vec<(u32, f64)> = (0..1000).map(|at| (at, 0.001)).collect();
        let cells = picture(&shares, 1000).cells(72);
        assert_eq!(cells.len(), 72);
        assert!((cells.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let density = picture(&shares, 1000).density(72);
        assert!(density.iter().all(|share| (share - 0.001).abs() < 1e-12), "an even one is flat");
        assert_eq!(picture(&[(2, 1.0)], 3).cells(72), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn four_bits_take_four_tests_of_one() {
        let shares: Vec<(u32, f64)> = (0..16).map(|at| (at, 1.0 / 16.0)).collect();
        let picture = picture(&shares, 16);
        assert!((picture.entropy() - 4.0).abs() < 1e-9);
        let test = Test {
            revision: Place::Commit(7),
            runs: 4,
            build: true,
            why: String::new(),
            expected_gain: 1.0,
            expected_seconds: 64.0,
        };
        let costs = Costs { build_seconds: 60.0, run_seconds: 1.0 };
        let forecast = Forecast::of(&picture, &test, &costs, 1).unwrap();
        assert!((forecast.builds - 4.0).abs() < 1e-9, "{forecast:?}");
        assert!((forecast.runs - (16.0 + 5.0)).abs() <= 1.0, "{forecast:?}");
        assert!(forecast.seconds > 256.0 && forecast.seconds < 270.0, "{forecast:?}");
        assert_eq!(Forecast::of(&picture, &Test { expected_gain: 0.0, ..test }, &costs, 1), None);
    }
}
