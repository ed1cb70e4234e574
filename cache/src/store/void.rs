//! Which builds are not believed any more, and which names.
//!
//! A build may rest on proofs, each of which concluded something from a closure; its file
//! [`PROVENANCE`] says which. That file is the builder's: here only as much of it is read as tells
//! whether something that the build rests on was refuted.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::build_draft::PROVENANCE;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::Manifest;

use super::push::RECIPE;
use super::{Mark, Store};

/// The stage that proves by a closure alone. When that is wrong, the closure proves nothing in any stage.
const BY_CLOSURE: &str = "closure";

/// More bytes than what says how a build came about has.
const LARGEST: u64 = 16 << 20;

/// Name of the mark [`Mark::Revoked`] which says that a stage (letters and digits) proves nothing any
/// more by a closure (a blob).
pub fn refutation(closure: &Digest, stage: &str) -> String {
    format!("{closure}-{stage}")
}

/// How a build came about, as far as it is read here.
#[derive(Deserialize)]
struct CameAbout {
    /// `None`: it was compiled.
    stage: Option<String>,
    closure: Digest,
    #[serde(default)]
    rests_on: Vec<Ground>,
}

/// What a stage concluded from a closure.
#[derive(Deserialize)]
struct Ground {
    stage: String,
    closure: Digest,
}

impl Store {
    /// Whether a build rests on a proof that was refuted: whoever asks for it is to be given another
    /// one. Where anything at all was refuted, so does one that doesn't say any more what it rests on.
    pub async fn is_void(&self, build: &Manifest) -> Result<bool, StoreError> {
        Refuted::by(self).voids(self, build).await
    }
}

/// What was refuted, in the eyes of a store, which is asked once and only when that matters.
pub(super) struct Refuted {
    by: Store,
    marks: Option<BTreeSet<String>>,
}

impl Refuted {
    pub(super) fn by(store: &Store) -> Self {
        Self { by: store.clone(), marks: None }
    }

    async fn marks(&mut self) -> Result<&BTreeSet<String>, StoreError> {
        let marks = match self.marks.take() {
            Some(marks) => marks,
            None => self.by.marks(Mark::Revoked).await?,
        };
        Ok(self.marks.insert(marks))
    }

    /// Whether a closure alone proves nothing any more.
    pub(super) async fn holds(&mut self, closure: &Digest) -> Result<bool, StoreError> {
        Ok(self.marks().await?.contains(&refutation(closure, BY_CLOSURE)))
    }

    /// Whether a build rests on anything of that. Its files are those of the store `of`.
    pub(super) async fn voids(&mut self, of: &Store, build: &Manifest) -> Result<bool, StoreError> {
        // Files that were pushed say nothing, whatever they are called.
        let said = build.artifact(PROVENANCE).filter(|_| build.input.recipe != RECIPE);
        let Some(said) = said else { return Ok(false) };
        let marks = self.marks().await?;
        if marks.is_empty() {
            return Ok(false);
        }
        if said.size > LARGEST {
            return Ok(true);
        }
        let bytes = match of.reader(&said.digest).await {
            Ok(reader) => reader.read(0..reader.size()).await,
            Err(error) => Err(error),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(StoreError::Missing(_) | StoreError::LetGo(_) | StoreError::Corrupt { .. }) => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let Ok(CameAbout { stage, closure, mut rests_on }) = serde_json::from_slice(&bytes) else {
            return Ok(true);
        };
        rests_on.extend(stage.map(|stage| Ground { stage, closure }));
        Ok(rests_on.iter().any(|Ground { stage, closure }| {
            marks.contains(&refutation(closure, stage))
                || marks.contains(&refutation(closure, BY_CLOSURE))
        }))
    }
}
