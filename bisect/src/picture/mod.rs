//! A bisection as it stands, for people: where the commit may be, what was seen where, and how much
//! is probably left to do.

mod forecast;

use serde::{Deserialize, Serialize};

use crate::belief::{Posterior, Rate, entropy_of};
use crate::plan::State;
use crate::record::Commit;
use crate::watch::Paid;

pub use forecast::{Forecast, Left};

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
        entropy_of(shares.chain([self.all_bad, self.not_reproducible]))
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
