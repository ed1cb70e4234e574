//! What an answer rests on that was not compiled: a stage was right about a closure.

use std::fmt;

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

/// By what a build was obtained without being compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// T0: nothing that a known build reads differs.
    Closure,
    /// T1: configuration and commands come out the same.
    Commands,
    /// T2: so do the tokens of every object that is made from a changed file.
    Tokens,
    /// T3: so do the objects themselves.
    Objects,
}

impl Stage {
    /// All of them, from the cheapest on.
    pub const ALL: [Self; 4] = [Self::Closure, Self::Commands, Self::Tokens, Self::Objects];

    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closure => "closure",
            Self::Commands => "commands",
            Self::Tokens => "tokens",
            Self::Objects => "objects",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// That a stage was right about what one build read. Objects that were taken for current by it are as
/// good as that is, and so is everything that make later makes upon them: when an audit refutes it, all
/// of that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The stage.
    pub stage: Stage,
    /// The closure (a blob) by which changes were judged.
    pub closure: Digest,
    /// The build that it was held against.
    pub from: InputKey,
}

impl Ground {
    /// Whether an audit that refutes the one refutes the other.
    pub(crate) fn is_one_with(&self, other: &Self) -> bool {
        (self.stage, self.closure) == (other.stage, other.closure)
    }
}
