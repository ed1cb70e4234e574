//! The store: the one door to blobs, builds, evidence and journals.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::reader::BlobReader;
use crate::blob::store::Blobs;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::format;
use crate::index::Index;
use crate::location::Location;
use crate::objects::Objects;

mod builds;
mod evidence;
mod export;
mod families;
mod heal;
mod ingest;
mod journals;
mod lookup;
mod numbers;

/// The database file in the folder of a store.
const INDEX: &str = "index.sqlite";

/// Stands beside the index while it is rebuilt from the manifests.
const PARTIAL: &str = "index.partial";

/// An open store. Clones share it; several processes may have the same folder open.
///
/// In the folder:
///
/// ```text
/// format.json                  {"format":1}: this is a store
/// blobs/aa/<digest>            file contents, packed
/// builds/aa/<input key>.json   manifests: the truth about builds
/// index.sqlite                 look-ups (can be rebuilt), evidence and journals (can not)
/// quarantine/                  objects that were found corrupt
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) objects: Objects,
    pub(crate) blobs: Blobs,
    pub(crate) index: Index,
}

impl Store {
    /// Opens the store at a location, creating it in a new or empty folder. When the index was
    /// lost, it is rebuilt from the manifests here.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        let folder = location.path().to_owned();
        let claim = tokio::task::spawn_blocking(move || {
            let folder = std::path::absolute(&folder)
                .map_err(|source| StoreError::file("find", &folder, source))?;
            let lock = format::claim(&folder)?;
            Ok::<_, StoreError>((folder, lock))
        });
        let (folder, lock) = claim.await.map_err(|error| StoreError::stopped(&error))??;
        let objects = Objects::in_folder(&folder)?;
        let path = folder.join(INDEX);
        // Stands beside an index that may lack builds: a rebuild that was killed begins again.
        let partial = folder.join(PARTIAL);
        let is_partial = !path.exists() || partial.exists();
        if is_partial {
            std::fs::File::create(&partial)
                .map_err(|source| StoreError::file("create", &partial, source))?;
        }
        let index = Index::open(&path).await?;
        let blobs = Blobs::new(objects.clone());
        let store = Self { inner: Arc::new(Inner { objects, blobs, index }) };
        if is_partial {
            store.reindex().await?;
            std::fs::remove_file(&partial)
                .map_err(|source| StoreError::file("remove", &partial, source))?;
        }
        drop(lock);
        Ok(store)
    }

    /// Closes the database of this and all clones, waiting for what is under way. Not needed for
    /// safety: everything acknowledged is durable. Afterwards look-ups fail.
    pub async fn close(&self) {
        self.inner.index.close().await;
    }

    /// The folder of the store.
    pub fn folder(&self) -> PathBuf {
        self.inner.objects.folder().to_path_buf()
    }

    /// Stores a file as a blob; gives its digest and size in bytes. When this returns, the blob is
    /// durable. A content that is there already is not written again. Uses a few mebibytes of
    /// memory whatever the size. A file that changes meanwhile is refused.
    pub async fn put_file(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        self.inner.blobs.put_file(path).await
    }

    /// Stores bytes as a blob; gives its digest. When this returns, the blob is durable.
    pub async fn put_bytes(&self, bytes: Bytes) -> Result<Digest, StoreError> {
        self.inner.blobs.put_bytes(bytes).await
    }

    /// Opens a blob for reading. [`StoreError::Missing`] when it is not here;
    /// [`StoreError::Corrupt`] when what is here is not that blob.
    pub async fn reader(&self, digest: &Digest) -> Result<BlobReader, StoreError> {
        self.inner.blobs.reader(digest).await
    }

    /// Whether there is a blob of that name. Its bytes are not looked at; reading checks them.
    pub async fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.inner.blobs.exists(digest).await
    }

    /// The parts, for `verify`.
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}
