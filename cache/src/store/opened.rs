//! All blobs of a store, opened several at once: a bucket answers slowly, but many at a time.

use std::future::ready;

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use crate::blob::reader::BlobReader;
use crate::blob::store::{PREFIX, digest_of};
use crate::digest::Digest;
use crate::error::StoreError;

use super::Store;

/// Blobs opened at once.
const AT_ONCE: usize = 16;

/// A blob: its name, its object, and what came of opening it.
pub(crate) type Opened = (Digest, ObjectMeta, Result<BlobReader, StoreError>);

impl Store {
    /// Opens all blobs, in no order. The outer error is the listing's.
    pub(crate) fn opened_blobs(&self) -> BoxStream<'static, Result<Opened, StoreError>> {
        let (store, objects) = (self.clone(), self.inner.objects.clone());
        self.inner
            .objects
            .list(PREFIX)
            .map_err(move |source| objects.fail("listing blobs".into(), source))
            .try_filter_map(|meta| ready(Ok(digest_of(&meta.location).map(|it| (it, meta)))))
            .map_ok(move |(digest, meta)| {
                let store = store.clone();
                async move {
                    let reader = store.reader(&digest).await;
                    Ok((digest, meta, reader))
                }
            })
            .try_buffer_unordered(AT_ONCE)
            .boxed()
    }
}
