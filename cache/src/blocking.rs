//! Work that takes a processor or a disk for a while.

use crate::error::StoreError;

/// Works where blocking is allowed. Fails when the process is ending, or the work panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::stopped(&error))
}
