//! What is asked, and what is answered.

use std::path::PathBuf;

use kiln_builder::{Config, How, Revision};
use kiln_cache::InputKey;
use serde::{Deserialize, Serialize};

use super::options::Difference;
use crate::record::{Limits, Obtained, TestSpec};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Folder of the git repository.
    pub repository: PathBuf,
    /// The revision that crashes with `config` and not with `base`.
    pub revision: Revision,
    /// The baseline.
    pub base: Config,
    /// The configuration with which it crashes.
    pub config: Config,
    /// How it is built.
    pub how: How,
    /// The toolchain, by a name that the builder understands.
    pub toolchain: String,
    /// How images are tested.
    pub test: TestSpec,
    /// Pattern of the target title; without, the one that `config` shows most.
    pub title: Option<String>,
    /// Limits and shares of the machine.
    pub limits: Limits,
}

/// One configuration that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Differences that it has from the baseline, by their place in the list of all.
    pub options: Vec<usize>,
    /// Its build.
    pub build: InputKey,
    /// Where that came from.
    pub obtained: Obtained,
    /// Target crashes.
    pub target: u32,
    /// Clean runs.
    pub clean: u32,
    /// Runs that say nothing.
    pub other: u32,
    /// Runs that the store had.
    pub known_runs: u32,
    /// Probability that it shows the target.
    pub probability: f64,
    /// First error, when it does not build; or that it does not boot.
    pub unusable: Option<String>,
}

/// A difference that the crash needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Needed {
    /// Which.
    #[serde(flatten)]
    pub difference: Difference,
    /// Clean runs without it, with the others.
    pub clean_without: u32,
    /// Probability that the crash does not show without it; none when that does not build or boot.
    pub probability: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduced {
    /// The title that was hunted.
    pub target: String,
    /// How the search ended.
    pub result: Found,
    /// All differences between the two configurations, once completed by the tree.
    pub differences: Vec<Difference>,
    /// Every configuration that was tried, in order.
    pub tried: Vec<Tried>,
    /// Builds compiled.
    pub builds_compiled: u32,
    /// Builds that the store had.
    pub builds_avoided: u32,
    /// Runs made.
    pub runs_made: u32,
    /// Runs that the store had.
    pub runs_avoided: u32,
    /// Seconds in all.
    pub seconds: f64,
}

/// How a search ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Found {
    /// The crash needs these.
    Needs {
        /// The differences.
        options: Vec<Needed>,
        /// Probability that none of them can be left out.
        probability: f64,
        /// What else the tree's configuration changes along with them.
        along: Vec<Difference>,
    },
    /// The baseline shows it too.
    BaseShows,
    /// The configuration given does not show it.
    NotReproduced,
    /// One of the two does not build or boot.
    Unusable {
        /// "the baseline" or "the configuration".
        which: String,
        /// What is wrong.
        why: String,
        /// It builds, and does not boot.
        builds: bool,
    },
    /// The configuration given shows several crashes equally often: one has to be named.
    Tie {
        /// Their titles.
        titles: Vec<String>,
    },
    /// The budget does not suffice.
    Budget {
        /// The smallest set that is known to show it; empty while nothing is.
        smallest: Vec<Difference>,
    },
}
