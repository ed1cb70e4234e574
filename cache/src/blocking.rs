//! Work that takes a processor or a disk for a while.

use std::num::NonZero;

use crate::error::StoreError;

/// Threads that work on the files of one build is shared out to, at most: the largest of them is most
/// of it, so more would find nothing to do, or wait for the disk.
const MOST: usize = 4;

/// Threads that such work is shared out to here.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST)
}

/// Works where blocking is allowed. Fails when the process is ending, or the work panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::stopped(&error))
}
