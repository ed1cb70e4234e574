//! The answer of a bisection.

use kiln_cache::InputKey;
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
        /// What else there is to say of it.
        #[serde(default)]
        findings: Vec<Finding>,
    },
    /// The good end shows the crash too: look for the culprit before it.
    OlderThanGood {
        /// Posterior probability.
        probability: f64,
        /// Target crashes and clean runs of the good end.
        target: u32,
        /// Clean runs of the good end.
        clean: u32,
        /// The release that it is, when the good end was looked for: the oldest that can be tested.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<String>,
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
        /// The commits of the smallest set that holds 95 % of the posterior, most probable first: what
        /// else may be in it follows. Empty when nothing is known of any commit yet.
        credible: Vec<(Commit, f64)>,
        /// Probability that the good end shows the crash too: the bug is older, or not fixed.
        older: f64,
        /// Probability that the bad end does not have the bug, and showed it by chance. Records from
        /// before this was written down say nothing of it.
        #[serde(default)]
        not_reproducible: f64,
        /// What all of this holds of the posterior, where that was written down: `credible`, `older` and
        /// `not_reproducible` are as much as 95 % takes, and the rest is not among them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share: Option<f64>,
        /// Why no more could be done.
        why: String,
        /// What would help most.
        #[serde(default)]
        more: Option<MoreRuns>,
        /// The runs speak against every commit, the credible ones included. Records from before
        /// this was written down say nothing of it.
        #[serde(default)]
        contradiction: bool,
    },
}

/// What another test would cost, and bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoreRuns {
    /// The revision to test.
    pub commit: Commit,
    /// Runs of it, at most.
    pub runs: u32,
    /// Whether it must be built first.
    pub build: bool,
    /// Information expected about the commit that is sought; one bit halves the doubt.
    pub bits: f64,
    /// Seconds expected, the build included.
    pub seconds: f64,
}

/// What was found out about a named commit beyond the runs of the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// The newer end was built and run without the commit.
    Reverted {
        /// The commit that undoes it, kept beside the user's repository.
        revision: Commit,
        /// Its build.
        build: InputKey,
        /// Target crashes.
        target: u32,
        /// Clean runs.
        clean: u32,
        /// Runs that say nothing.
        other: u32,
        /// Whether it behaves as it must when the commit alone is the one; unknown when too few runs
        /// say something.
        holds: Option<bool>,
    },
    /// The commit can't be undone on top of the newer end.
    NotReverted {
        /// Why.
        why: String,
    },
    /// A parent of the commit lies before the good end, where a branch forked off, and can't be tested:
    /// the bug may have been there already.
    ForkUntested {
        /// That parent.
        fork: Commit,
    },
    /// A branch forked off before the good end where the bug was already: what its commits show was left
    /// out.
    ForkShows {
        /// Where.
        fork: Commit,
    },
    /// The crashing one of the commit and its parent can show what the other can't: the commit may
    /// have made the bug visible (or hidden it).
    Visibility {
        /// What only one side has, for people.
        reasons: Vec<String>,
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
