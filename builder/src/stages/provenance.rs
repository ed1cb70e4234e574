//! How a build came about, as it is kept with it.

use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};

use crate::ground::{Ground, Stage};

/// Name of the artifact that holds a [`Provenance`], as JSON. Builds that were compiled from nothing
/// have none unless something is to be said of them.
pub(crate) const PROVENANCE: &str = kiln_cache::build_draft::PROVENANCE;

/// What a build rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The stage that answered; `None`: it was compiled.
    pub stage: Option<Stage>,
    /// The build that this one was shown to equal, or was held against; `None` when no stage was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<InputKey>,
    /// The closure (a blob) of that build, by which the changes were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<Digest>,
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
    /// Upon whose objects it was made: all builds before it in that pair since the last build from
    /// nothing there, by their [own names](kiln_cache::Manifest::own_name). When one of them is withdrawn,
    /// nobody knows which of its objects are in this one. (Builds of an older Kiln name none.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upon: Vec<Digest>,
}

impl Provenance {
    /// Of what was made in a pair with such objects; `said`: what a stage says of it, if one was tried.
    /// `None` when there is nothing to say.
    pub(crate) fn in_pair(
        said: Option<Self>,
        rests_on: &[Ground],
        upon: &[Digest],
    ) -> Option<Self> {
        let resting = || rests_on.last().copied().map(Self::resting);
        let plain = || (!upon.is_empty()).then(Self::plain);
        let said = said.or_else(resting).or_else(plain)?;
        Some(Self { rests_on: rests_on.to_vec(), upon: upon.to_vec(), ..said })
    }

    /// Of what was made upon objects that rest on a stage, while no stage was tried.
    fn resting(last: Ground) -> Self {
        let because = format!("made upon objects that rest on stage {}", last.stage);
        let (from, closure) = (Some(last.from), Some(last.closure));
        Self { from, closure, because: Some(because), ..Self::plain() }
    }

    /// Of what was compiled.
    fn plain() -> Self {
        Self {
            stage: None,
            from: None,
            closure: None,
            changed: Vec::new(),
            units: Vec::new(),
            because: None,
            from_nothing: false,
            rests_on: Vec::new(),
            upon: Vec::new(),
        }
    }

    /// What a person is told of it: not upon what it was made. `None` when that is all there is to say.
    pub(crate) fn told(&self) -> Option<Self> {
        self.from?;
        Some(Self { upon: Vec::new(), ..self.clone() })
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
        Some(Ground { stage: self.stage?, closure: self.closure?, from: self.from? })
    }

    /// Of what the closure of a build proves.
    pub(crate) fn of_closure(from: InputKey, closure: Digest) -> Self {
        let (from, closure) = (Some(from), Some(closure));
        Self { stage: Some(Stage::Closure), from, closure, ..Self::plain() }
    }
}

/// Paths and objects that a provenance names at most.
pub(super) const NAMED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kiln_wrote_is_understood() {
        let digest = Digest::of(b"closure");
        let text = format!(
            r#"{{"stage":"tokens","from":"{digest}","closure":"{digest}","changed":[],"units":[],
                "from_nothing":false}}"#
        );
        let said: Provenance = serde_json::from_str(&text).unwrap();
        let ground = Ground { stage: Stage::Tokens, closure: digest, from: InputKey(digest) };
        assert_eq!((said.grounds(), said.upon.len()), (vec![ground], 0));
    }

    #[test]
    fn only_what_was_made_from_nothing_has_nothing_to_say() {
        let digest = Digest::of(b"build");
        let ground = Ground { stage: Stage::Tokens, closure: digest, from: InputKey(digest) };
        assert_eq!(Provenance::in_pair(None, &[], &[]), None);
        let plain = Provenance::in_pair(None, &[], &[digest]).unwrap();
        assert_eq!((&plain.upon, plain.grounds(), plain.told()), (&vec![digest], vec![], None));
        let resting = Provenance::in_pair(None, &[ground], &[digest]).unwrap();
        assert_eq!((&resting.upon, resting.grounds()), (&vec![digest], vec![ground]));
        let told = resting.told().unwrap();
        assert_eq!((told.from, told.upon.len()), (Some(InputKey(digest)), 0));
        let tried = Provenance::of_closure(InputKey(digest), digest);
        let tried = Provenance::in_pair(Some(tried), &[], &[digest]).unwrap();
        assert_eq!((tried.stage, tried.upon.len()), (Some(Stage::Closure), 1));
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), plain);
    }
}
