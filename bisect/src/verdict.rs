//! The answer of a bisection.

use serde::{Deserialize, Serialize};

use crate::record::Commit;

/// What a bisection ends with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// One commit brought the crash; or ended it, when the fix was sought.
    Culprit {
        /// The commit.
        commit: Commit,
        /// Posterior probability that it is the one.
        probability: f64,
        /// Its parents that were found to be otherwise: good, or bad when the fix was sought.
        /// (Records from before `untested` name all here.)
        parents: Vec<Commit>,
        /// Its parents that can't be tested, or not often enough.
        #[serde(default)]
        untested: Vec<Commit>,
    },
    /// The good end shows the crash too: look for the culprit before it.
    OlderThanGood {
        /// Posterior probability.
        probability: f64,
        /// Target crashes and clean runs of the good end.
        target: u32,
        /// Clean runs of the good end.
        clean: u32,
    },
    /// The fix was sought, and the good end shows the crash too: it is not fixed there.
    NotFixed {
        /// Posterior probability.
        probability: f64,
        /// Target crashes of the good end.
        target: u32,
        /// Clean runs of the good end.
        clean: u32,
    },
    /// The bad end does not show the crash (often enough to hunt it).
    NotReproduced {
        /// Runs of the bad end that ended well.
        clean: u32,
        /// Crash titles seen there, with counts.
        crashes: Vec<(String, u32)>,
    },
    /// An end of the range can't be built or booted.
    EndUnusable {
        /// Which end.
        commit: Commit,
        /// What is wrong with it.
        why: String,
    },
    /// The evidence does not single out one commit.
    Inconclusive {
        /// The smallest set of commits that holds 95 % of the posterior, most probable first. Empty
        /// when nothing is known of any commit yet.
        credible: Vec<(Commit, f64)>,
        /// Probability that the good end shows the crash too: the bug is older, or not fixed.
        older: f64,
        /// Why no more could be done, and what would help.
        why: String,
        /// The runs speak against every commit, the credible ones included. Records from before
        /// this was written down say nothing of it.
        #[serde(default)]
        contradiction: bool,
    },
}

impl Verdict {
    /// The commit that was sought, if one was singled out.
    pub fn culprit(&self) -> Option<&Commit> {
        match self {
            Self::Culprit { commit, .. } => Some(commit),
            _ => None,
        }
    }

    /// The answer in a word or two, for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Culprit { .. } => "culprit",
            Self::OlderThanGood { .. } => "older",
            Self::NotFixed { .. } => "not fixed",
            Self::NotReproduced { .. } => "not reproduced",
            Self::EndUnusable { .. } => "unusable end",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_from_before_a_field_are_read() {
        let text = r#"{"verdict":"inconclusive","credible":[],"older":0.1,"why":"x"}"#;
        let verdict: Verdict = serde_json::from_str(text).unwrap();
        assert!(matches!(verdict, Verdict::Inconclusive { contradiction: false, .. }));
        let text = r#"{"verdict":"culprit","commit":{"id":"a","subject":"b"},"probability":0.9,
            "parents":[{"id":"c","subject":"d"}]}"#;
        let Verdict::Culprit { parents, untested, .. } = serde_json::from_str(text).unwrap() else {
            panic!()
        };
        assert_eq!((parents.len(), untested.len()), (1, 0));
    }
}
