//! Builds and pairs that are believed no more, since an audit has refuted what they rest on or has left
//! them in doubt.

use std::sync::Arc;

use kiln_cache::Digest;
use kiln_cache::manifest::Manifest;

use crate::builder::Builder;
use crate::error::BuildError;
use crate::pool::Folder;
use crate::revoked::Footing;
use crate::stages::{PROVENANCE, Provenance, Stage};

impl Builder {
    /// Whether the objects of a pair are to go; see [`crate::revoked::Revoked::doubts`].
    pub(crate) async fn is_doubted(&self, pair: &Folder) -> Result<bool, BuildError> {
        self.load_revoked().await?;
        Ok(self.closures.revoked().doubts(pair))
    }

    /// Whether an audit has refuted that a closure alone proves anything.
    pub(crate) async fn proves_nothing(&self, closure: &Digest) -> Result<bool, BuildError> {
        self.load_revoked().await?;
        Ok(self.closures.is_revoked(Stage::Closure, closure))
    }

    /// Whether a build rests on what an audit has refuted or left in doubt, by the blob of its provenance.
    /// One that can't be read is no witness: where there is anything of that, the build is then not
    /// believed.
    pub(crate) async fn rests_on_refuted(&self, provenance: &Digest) -> Result<bool, BuildError> {
        self.load_revoked().await?;
        if self.closures.nothing_is_revoked() {
            return Ok(false);
        }
        if let Some(footing) = self.closures.footing_in(provenance) {
            return Ok(self.closures.is_gone(&footing));
        }
        let bytes = self.blob(provenance).await?;
        let known = bytes.and_then(|bytes| serde_json::from_slice::<Provenance>(&bytes).ok());
        let Some(known) = known else { return Ok(true) };
        let footing = Arc::new(Footing::of(known));
        let is_gone = self.closures.is_gone(&footing);
        self.closures.keep_footing(*provenance, footing);
        Ok(is_gone)
    }

    /// The same of a build that is not here yet, by what it says of itself.
    pub(crate) async fn would_be_void(
        &self,
        provenance: Option<&Provenance>,
    ) -> Result<bool, BuildError> {
        self.load_revoked().await?;
        if self.closures.nothing_is_revoked() {
            return Ok(false);
        }
        let is_gone = |known: &Provenance| self.closures.is_gone(&Footing::of(known.clone()));
        Ok(provenance.is_none_or(is_gone))
    }

    /// Whether just this build is in doubt, wherever it lies.
    pub(crate) async fn is_withdrawn(&self, build: &Manifest) -> Result<bool, BuildError> {
        self.load_revoked().await?;
        Ok(self.closures.is_withdrawn(build))
    }

    /// Whether a build is in doubt, or rests on what an audit has refuted or left in doubt.
    pub(crate) async fn is_void(&self, build: &Manifest) -> Result<bool, BuildError> {
        if self.is_withdrawn(build).await? {
            return Ok(true);
        }
        match build.artifact(PROVENANCE) {
            Some(artifact) => self.rests_on_refuted(&artifact.digest).await,
            None => Ok(false),
        }
    }
}
