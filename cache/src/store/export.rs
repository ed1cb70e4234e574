//! Blobs back to files.

use std::path::Path;

use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::digest::Digest;
use crate::error::StoreError;

use super::Store;

impl Store {
    /// Writes a blob to a file, replacing one that is there. The file appears whole and proven,
    /// or not at all. It is not synced: it can be had again from the store.
    pub async fn read_to_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        let reader = self.reader(digest).await?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let staged = path.with_file_name(format!(".{name}.{}", Uuid::new_v4().simple()));
        let done = async {
            let fail = |source| StoreError::file("write", path, source);
            let mut file = tokio::fs::File::create(&staged).await.map_err(fail)?;
            let mut pieces = reader.stream(0..reader.size());
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece).await.map_err(fail)?;
            }
            file.flush().await.map_err(fail)?;
            tokio::fs::rename(&staged, path).await.map_err(fail)
        };
        let done = done.await;
        if done.is_err() {
            // Best effort: the reason for the failure is what the caller has to see.
            let _ = tokio::fs::remove_file(&staged).await;
        }
        done
    }
}
