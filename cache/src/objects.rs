//! The objects of a store: the object store itself, with errors that name the folder.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutPayload,
};

use crate::error::{StoreError, is_full};

/// All objects of one store.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    folder: Arc<FilePath>,
}

/// What a read of an object gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The object's size and entity tag when it was read.
    pub(crate) meta: ObjectMeta,
    /// Where the bytes lie in the object.
    pub(crate) range: Range<u64>,
    /// The bytes.
    pub(crate) bytes: Bytes,
}

/// Whether a conditional write won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// The object is new.
    New,
    /// An object of that name was there; it is unchanged.
    Exists,
}

impl Objects {
    /// The objects of a folder that exists. Writes are durable when they return.
    pub(crate) fn in_folder(folder: &FilePath) -> Result<Self, StoreError> {
        let local = LocalFileSystem::new_with_prefix(folder).map_err(|source| {
            StoreError::Object { doing: format!("opening {}", folder.display()), source }
        })?;
        Ok(Self::over(Arc::new(local.with_fsync(true)), folder))
    }

    /// The objects of any object store; `folder` is where people find it.
    pub(crate) fn over(store: Arc<dyn ObjectStore>, folder: &FilePath) -> Self {
        Self { store, folder: folder.into() }
    }

    /// The folder that holds them.
    pub(crate) fn folder(&self) -> &FilePath {
        &self.folder
    }

    /// The file of an object.
    pub(crate) fn file(&self, path: &Path) -> PathBuf {
        self.folder.join(path.as_ref())
    }

    /// Reads a range of an object (all of it without one); `None` when there is no such object.
    /// With an entity tag, [`object_store::Error::Precondition`] if it is another object by now.
    pub(crate) async fn get(
        &self,
        path: &Path,
        range: Option<GetRange>,
        if_match: Option<String>,
    ) -> Result<Option<Fetched>, object_store::Error> {
        let options = GetOptions { range, if_match, ..GetOptions::default() };
        let result = match self.store.get_opts(path, options).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let (meta, range) = (result.meta.clone(), result.range.clone());
        Ok(Some(Fetched { meta, range, bytes: result.bytes().await? }))
    }

    /// Size and entity tag of an object; `None` when there is none.
    pub(crate) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.fail(format!("looking for {path}"), source)),
        }
    }

    /// Writes an object, replacing one of the same name.
    pub(crate) async fn put(&self, path: &Path, payload: PutPayload) -> Result<(), StoreError> {
        match self.store.put(path, payload).await {
            Ok(_) => Ok(()),
            Err(source) => Err(self.fail(format!("writing {path}"), source)),
        }
    }

    /// Writes an object unless there is one of that name.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, StoreError> {
        match self.store.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.settle(path).await?;
                Ok(Created::Exists)
            }
            Err(source) => Err(self.fail(format!("writing {path}"), source)),
        }
    }

    /// Begins a write in parts; nothing is visible before it is completed.
    pub(crate) async fn upload(&self, path: &Path) -> Result<Box<dyn MultipartUpload>, StoreError> {
        let upload = self.store.put_multipart(path).await;
        upload.map_err(|source| self.fail(format!("writing {path}"), source))
    }

    /// Moves an object, replacing one of the new name. `false` when there was nothing to move.
    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        match self.store.rename(from, to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(self.fail(format!("moving {from} to {to}"), source)),
        }
    }

    /// All objects below a prefix, in no order.
    pub(crate) fn list(
        &self,
        prefix: &str,
    ) -> futures::stream::BoxStream<'static, Result<ObjectMeta, object_store::Error>> {
        self.store.list(Some(&Path::from(prefix)))
    }

    /// Makes sure that an object which another process made visible is durable too: its writer
    /// may have been about to sync the folder.
    pub(crate) async fn settle(&self, path: &Path) -> Result<(), StoreError> {
        let Some(folder) = self.file(path).parent().map(FilePath::to_owned) else { return Ok(()) };
        let sync = {
            let folder = folder.clone();
            move || std::fs::File::open(folder)?.sync_all()
        };
        tokio::task::spawn_blocking(sync)
            .await
            .map_err(|error| StoreError::stopped(&error))?
            .map_err(|source| StoreError::file("sync", &folder, source))
    }

    /// The store's error for an object store's error.
    pub(crate) fn fail(&self, doing: String, source: object_store::Error) -> StoreError {
        if is_full(&source) {
            StoreError::Full { folder: self.folder.to_path_buf(), doing }
        } else {
            StoreError::Object { doing, source }
        }
    }
}
