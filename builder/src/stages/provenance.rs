//! How a build came about, as it is kept with it.

use std::fmt;

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

/// Name of the artifact that holds a [`Provenance`], as JSON. Builds that were plainly compiled
/// have none unless something is to be said of them.
pub(crate) const PROVENANCE: &str = kiln_cache::build_draft::PROVENANCE;

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

/// What a build rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The stage that answered; `None`: it was compiled.
    pub stage: Option<Stage>,
    /// The build that this one was shown to equal, or was held against.
    pub from: InputKey,
    /// The closure (a blob) of that build, by which the changes were judged.
    pub closure: Digest,
    /// Changed paths that the build reads, at most [`NAMED`] of them.
    pub changed: Vec<String>,
    /// Objects that were compared, at most [`NAMED`] of them.
    pub units: Vec<String>,
    /// Why no stage answered, when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Everything was compiled anew: make might have overlooked something of what differs.
    #[serde(default)]
    pub from_nothing: bool,
}

impl Provenance {
    /// Of what the closure of a build proves.
    pub(crate) fn of_closure(from: InputKey, closure: Digest) -> Self {
        let (changed, units) = (Vec::new(), Vec::new());
        let stage = Some(Stage::Closure);
        Self { stage, from, closure, changed, units, because: None, from_nothing: false }
    }
}

/// Paths and objects that a provenance names at most.
pub(super) const NAMED: usize = 32;
