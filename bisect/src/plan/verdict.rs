//! How a bisection ends.

use serde::{Deserialize, Serialize};

use crate::belief::{Credible, Rate};

use super::problem::Place;

/// A parent of the commit that is named, and what speaks for its being unlike it, if anything can.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cleared {
    /// The parent: a commit, the older end, or the point where the commit's branch forked off before that.
    pub parent: Place,
    /// Clean runs (target crashes, when the fix is sought) of it, or of revisions that contain it
    /// and not the commit.
    pub seen: u32,
    /// How many were asked for.
    pub needed: u32,
}

impl Cleared {
    /// Whether it was found unlike the commit: good, or bad when the fix is sought. Else it can't be
    /// tested, or not often enough.
    pub fn is_settled(&self) -> bool {
        self.seen >= self.needed
    }
}

/// What another test would bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct More {
    /// The revision to test next.
    pub revision: Place,
    /// Runs of it.
    pub runs: u32,
    /// Whether it must be built first.
    pub build: bool,
    /// Expected information in bits.
    pub bits: f64,
    /// Expected seconds.
    pub seconds: f64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// One commit brought the crash (or ended it), and no run speaks loudly against it.
    Culprit {
        /// The commit.
        commit: u32,
        /// Posterior probability.
        probability: f64,
        /// Its parents, with the runs that clear them.
        parents: Vec<Cleared>,
        /// Target crashes of its own revision.
        crashes: u32,
        /// How often a bad kernel crashes.
        rate: Rate,
    },
    /// The good end is bad: the bug is older, or not fixed.
    OlderThanGood {
        /// Posterior probability.
        probability: f64,
        /// Target crashes of the good end.
        crashes: u32,
        /// Clean runs of the good end.
        clean: u32,
    },
    /// The bad end does not show the target, or too rarely to bisect.
    NotReproduced {
        /// Target crashes of the bad end.
        crashes: u32,
        /// Clean runs of the bad end.
        clean: u32,
        /// Runs of the bad end that say nothing.
        censored: u32,
        /// Probability that a rate of crashing worth pursuing was missed.
        missed: f64,
    },
    /// The evidence does not single out a commit.
    Inconclusive {
        /// Why it ends here.
        why: String,
        /// What remains possible.
        set: Credible,
        /// The next test, if a further one would help.
        more: Option<More>,
        /// Some runs speak against every commit: see the evidence.
        contradiction: bool,
    },
}
