//! The store in numbers.

use futures::TryStreamExt;

use crate::blob::store::{PREFIX, digest_of};
use crate::error::StoreError;
use crate::stats::Stats;

use super::Store;

impl Store {
    /// Counts builds, files, runs and what they take. Lists all blobs, so it takes longer the more
    /// there are.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let numbers = self.inner.index.numbers().await?;
        let sizes = self.inner.index.artifact_sizes().await?;
        let consoles = self.inner.index.consoles().await?;
        let mut stats = Stats {
            builds: numbers.builds,
            failed_builds: numbers.failed_builds,
            images: numbers.images,
            artifacts: numbers.artifacts,
            artifact_bytes: numbers.artifact_bytes,
            distinct_artifacts: sizes.len() as u64,
            plain_bytes: sizes.values().sum(),
            runs: numbers.runs,
            journals: numbers.journals,
            ..Stats::default()
        };
        let objects = &self.inner.objects;
        let mut blobs = objects.list(PREFIX);
        let fail = |source| objects.fail("listing blobs".into(), source);
        while let Some(blob) = blobs.try_next().await.map_err(fail)? {
            let Some(digest) = digest_of(&blob.location) else { continue };
            stats.blobs += 1;
            if sizes.contains_key(&digest) {
                stats.stored_bytes += blob.size;
                continue;
            }
            stats.other_blobs += 1;
            stats.other_stored_bytes += blob.size;
            if consoles.contains_key(&digest) {
                stats.consoles += 1;
                stats.console_stored_bytes += blob.size;
            }
        }
        Ok(stats)
    }
}
