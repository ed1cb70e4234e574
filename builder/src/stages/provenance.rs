//! How a build came about, as it is kept with it.

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, Stage};

/// Name of the artifact that holds a [`Provenance`], as JSON. Builds that were plainly compiled
/// have none unless something is to be said of them.
pub(crate) const PROVENANCE: &str = kiln_cache::build_draft::PROVENANCE;

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
    /// What the objects in its working pair rested on when it was made: its own stage's answer, and
    /// those of builds before it in that pair since the last build from nothing there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<Ground>,
}

impl Provenance {
    /// Of what was made upon objects that rest on a stage, while no stage was tried.
    pub(crate) fn upon(last: Ground) -> Self {
        let because = format!("made upon objects that rest on stage {}", last.stage);
        let plain = Self::of_closure(last.from, last.closure);
        Self { stage: None, because: Some(because), ..plain }
    }

    /// Everything that it rests on. (Builds of an older Kiln name their own stage's answer only.)
    pub(crate) fn grounds(&self) -> Vec<Ground> {
        let mut all = self.rests_on.clone();
        let own = self.own_ground();
        all.extend(own.filter(|own| !all.iter().any(|one| one.is_one_with(own))));
        all
    }

    /// What its own stage's answer rests on.
    pub(crate) fn own_ground(&self) -> Option<Ground> {
        Some(Ground { stage: self.stage?, closure: self.closure, from: self.from })
    }

    /// Of what the closure of a build proves.
    pub(crate) fn of_closure(from: InputKey, closure: Digest) -> Self {
        Self {
            stage: Some(Stage::Closure),
            from,
            closure,
            changed: Vec::new(),
            units: Vec::new(),
            because: None,
            from_nothing: false,
            rests_on: Vec::new(),
        }
    }
}

/// Paths and objects that a provenance names at most.
pub(super) const NAMED: usize = 32;
