//! One audit: the build is compiled, compared and written down.

use std::sync::Arc;

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey, StoreError};

use super::finding::{Finding, JOURNAL, kind_of};
use super::report::findings;
use crate::builder::{Builder, Built};
use crate::error::BuildError;
use crate::proving::Proof;
use crate::request::Request;
use crate::toolchain::Toolchain;
use crate::tree::Repository;

/// Kinds of files that a finding names at most: a merge window touches hundreds.
const NAMED: usize = 12;

/// Whether a share of all requests, chosen by their keys, holds this one. The same request is
/// chosen every time.
pub(crate) fn is_chosen(key: &InputKey, share: f64) -> bool {
    let mut first = [0; 8];
    first.copy_from_slice(&key.0.as_bytes()[..8]);
    // 53 bits are what a float holds.
    ((u64::from_le_bytes(first) >> 11) as f64) < share * (1_u64 << 53) as f64
}

impl Builder {
    /// Compiles what was proved, and compares. The build that came out is the answer.
    pub(crate) async fn audit(
        &self,
        request: &Request,
        given: Digest,
        toolchain: Option<Arc<Toolchain>>,
        key: InputKey,
        proof: &Proof,
    ) -> Result<Built, BuildError> {
        let mut built = self.make(request, given, toolchain, key).await?;
        let kinds = self.changed_kinds(request, &proof.manifest).await?;
        let same = is_same(&built.manifest, &proof.manifest);
        let finding = Finding {
            commit: request.revision.commit.clone(),
            proved_by: proof.manifest.input_key,
            closure: proof.closure,
            compiled: built.manifest.input_key,
            kinds,
            same,
        };
        match self.store.journal_create(JOURNAL, JOURNAL, serde_json::Value::Null).await {
            Ok(()) | Err(StoreError::JournalExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let event = serde_json::to_value(&finding).unwrap_or_default();
        self.store.journal_append(JOURNAL, event).await?;
        if same {
            built.notes.push("audited: proved, compiled anyway, and the same".to_owned());
        } else {
            self.closures.revoke(proof.closure);
            let (commit, proved_by) = (&finding.commit, finding.proved_by);
            tracing::error!(%commit, %proved_by, "an audited build is not what was proved");
            built.notes.push(format!(
                "AUDIT: it was proved to be build {proved_by}, and is not; that proof is revoked: \
                 see `kiln audit report`, and please report it"
            ));
        }
        Ok(built)
    }

    /// Closures whose proofs an audit has refuted: read once, before the first proof.
    pub(crate) async fn load_revoked(&self) -> Result<(), BuildError> {
        if self.closures.knows_revoked() {
            return Ok(());
        }
        let all = findings(&self.store).await?;
        let wrong = all.into_iter().filter(|finding| !finding.same).map(|finding| finding.closure);
        self.closures.set_revoked(wrong);
        Ok(())
    }

    async fn changed_kinds(
        &self,
        request: &Request,
        proved: &Manifest,
    ) -> Result<Vec<String>, BuildError> {
        let repository = Repository::open(&request.repository)?;
        let (a, b) = (proved.input.tree.clone(), request.revision.tree.clone());
        let changes = tokio::task::spawn_blocking(move || repository.visible_changes(&a, &b)).await;
        let changes = changes.map_err(|_| BuildError::Stopped("comparing trees panicked"))??;
        let mut kinds: Vec<String> = changes.iter().map(|change| kind_of(&change.path)).collect();
        kinds.sort();
        kinds.dedup();
        kinds.truncate(NAMED);
        Ok(kinds)
    }
}

fn is_same(a: &Manifest, b: &Manifest) -> bool {
    a.is_built() == b.is_built() && a.image() == b.image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_chosen() {
        let keys = (0..10_000_u32).map(|n| InputKey(Digest::of(&n.to_le_bytes())));
        let chosen = keys.clone().filter(|key| is_chosen(key, 0.1)).count();
        assert!((900..1100).contains(&chosen), "{chosen}");
        assert!(keys.clone().all(|key| is_chosen(&key, 1.0)));
        assert!(!keys.clone().any(|key| is_chosen(&key, 0.0)));
    }
}
