//! When to stop, and what may be spent.

use serde::{Deserialize, Serialize};

use crate::belief::Model;

/// How a bisection is steered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The world model.
    pub model: Model,
    /// A culprit is named at this posterior probability, once confirmed.
    pub threshold: f64,
    /// What a credible set must hold.
    pub credible: f64,
    /// Chance left for a parent of the culprit to be bad after its clean runs: `ln(1/x)/p` runs.
    pub parent_doubt: f64,
    /// Target crashes that the culprit's own revision, and the bad end or the good end where they
    /// decide, must have shown.
    pub crashes: u32,
    /// Lowest rate of crashing worth pursuing: when the bad end's clean runs leave less than
    /// `1 - credible` for anything above it, the target is not reproducible.
    pub least_rate: f64,
    /// Runs without one that says anything, after which a revision is left alone.
    pub patience: u32,
    /// Test the good end before the range, instead of when it is the best buy.
    pub good_end_first: bool,
    /// Share of revisions taken not to build or boot, before any has been tried.
    pub span_share: f64,
    /// Mean number of commits in a row that don't build or boot.
    pub span_length: f64,
    /// Most builds to compile.
    pub max_builds: Option<u32>,
    /// Most runs to make.
    pub max_runs: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: Model::default(),
            threshold: 0.95,
            credible: 0.95,
            parent_doubt: 0.05,
            crashes: 2,
            least_rate: 0.02,
            patience: 20,
            good_end_first: false,
            span_share: 0.02,
            span_length: 15.0,
            max_builds: None,
            max_runs: None,
        }
    }
}
