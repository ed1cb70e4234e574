//! What is assumed before anything has run.

use serde::{Deserialize, Serialize};

use super::evidence::Counts;

/// How many extents of drift are weighed against each other.
pub const DRIFTS: usize = 3;

/// One extent of drift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Prior probability that it is this one; all together are scaled to one.
    pub share: f64,
    /// Coefficient of variation of the rate from one bad image to another.
    pub variation: f64,
}

impl Drift {
    /// A drift of this prior probability and coefficient of variation.
    pub const fn new(share: f64, variation: f64) -> Self {
        Self { share, variation }
    }
}

/// Priors and noise of the world model (design section 7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Prior probability that all revisions are bad, the good end too: the bug is older than it, or,
    /// when the fix is sought, not fixed.
    pub older: f64,
    /// Runs of a kernel that is bad whichever commit is the one, and is none of the range: what it
    /// tells is how often bad kernels crash.
    pub shown: Counts,
    /// Prior probability that the target does not show on the bad end at all.
    pub not_reproducible: f64,
    /// Lowest rate of crashing that is considered, a probability for one run.
    pub lowest_rate: f64,
    /// Power of the rate to which its prior density on a logarithmic scale is proportional: zero
    /// prefers no order of magnitude, one half is Jeffreys' prior (little is lost whatever it is).
    pub rate_power: f64,
    /// How much that rate may vary from one bad image to another. Which of these holds is learned
    /// with the rate, but slowly: runs that end at the first crash hardly tell. So the shares say
    /// how long a clean streak must be, and trade hours for wrong answers: with 0.75, 0.2 and 0.05,
    /// simulated bisections (p .1, no drift) took 4 % fewer hours, and 17 of 700 were wrong instead
    /// of 5 of 800.
    pub drifts: [Drift; DRIFTS],
    /// Probability that one run of a good kernel shows the target's title for another cause.
    pub epsilon: f64,
    /// Probability that a bad image hides the bug altogether (another change masks it).
    pub hidden: f64,
    /// Probability that a good image shows the title at a rate of its own (another bug, same name).
    pub stray: f64,
    /// Prior probability that the commit is one of those that change nothing a build at hand reads, or only comments of it,
    /// when there are others; all of them share it. Builds far from the one that was watched may
    /// read more.
    pub untouched: f64,
    /// Prior probability that the commit is one of those that change a file of the functions that
    /// crashed, when there are others; all of them share it. Of 33 public bisections whose answer is
    /// known to be right, and whose log has both a crash with file names and the files of the commit,
    /// 27 changed one of them (`blamed_commits` in the tests of `bisection::blamed`). Less is taken
    /// here: such bugs may be the ones that are easily bisected. In simulated bisections, 400 of each
    /// rate, suspects that are right so often saved 24 to 27 % of the hours; such that are all wrong
    /// cost 1 to 7 % more, and made 3 % of wrong answers at most.
    pub blamed: f64,
    /// Weight left to a commit that would split revisions of one image: a bug that was reverted
    /// and brought back makes the data contradict themselves, and something must remain.
    pub split_floor: f64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            older: 0.05,
            shown: Counts::default(),
            not_reproducible: 0.05,
            lowest_rate: 0.005,
            rate_power: 0.5,
            drifts: [Drift::new(0.5, 0.1), Drift::new(0.45, 0.5), Drift::new(0.05, 1.0)],
            epsilon: 5e-4,
            hidden: 2e-4,
            stray: 1e-5,
            untouched: 0.02,
            blamed: 0.5,
            split_floor: 1e-9,
        }
    }
}
