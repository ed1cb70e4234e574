//! The store: the one door to blobs, builds, evidence and journals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::blob::reader::BlobReader;
use crate::blob::store::{Blobs, object_of};
use crate::blob::upload::hash_file;
use crate::blocking::blocking;
use crate::database::Database;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::format;
use crate::index::Index;
use crate::location::{Location, Place};
use crate::objects::{Backend, Cache, Objects};

mod builds;
mod collecting;
mod evidence;
mod export;
mod families;
mod heal;
mod house;
mod ingest;
mod journals;
mod list;
mod lookup;
mod marks;
mod numbers;
mod opened;
mod pins;
mod push;
mod take_back;
mod tokens;
mod transfer;
mod uses;
mod void;

/// The database file in the folder of a store.
const INDEX: &str = "index.sqlite";

/// What a bucket's local folder holds beside an index: copies of what was read, and the lock that
/// opening takes.
const CACHE: &str = "cache";
const LOCK: &str = ".lock";

/// The object that says which store this is; a database that is no file in it must name the same.
const ID: &str = "store-id";

pub use builds::Added;
pub(crate) use heal::Settled;
pub use marks::Mark;
pub use push::{Pushed, PushedFile, files_of};
pub use void::{Refuted, Withdrawn, refutation};

/// An open store. Clones share it; several processes may have the same one open.
///
/// In the folder, or below the prefix of the bucket:
///
/// ```text
/// format.json                  {"format":1}: this is a store
/// blobs/aa/<digest>            file contents, packed
/// builds/aa/<input key>.json   manifests: the truth about builds
/// index.sqlite                 look-ups (can be rebuilt), evidence and journals (can not);
///                              in a folder only, when no other database was chosen
/// store-id                     whose a database is that may be shared
/// pins/<input key>             builds that stay
/// revoked/<name>               what proves nothing any more
/// withdrawn/<name>             builds that are believed no more
/// unaudited/<input key>        builds that are still to be audited
/// databases/<id>               which databases have a say in what is collected
/// collecting/<id>/             collections that remove something at this moment
/// quarantine/                  objects that were found corrupt, for a month
/// made/                        boot images put together lately, at most 256 MiB; of a bucket, in
///                              the local folder
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
    /// Whether the store knows of this database.
    joined: OnceCell<()>,
    /// What the store knows it by.
    own_id: OnceCell<String>,
    noted: uses::Noted,
    refuted: void::Lately,
}

impl Store {
    /// Opens the store at a location, creating it in a new or empty folder or bucket. When the
    /// index was lost, it is rebuilt from the manifests here.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        match location.place() {
            Place::Folder(folder) => Self::open_folder(folder, location).await,
            Place::Bucket(backend) => Self::open_bucket(backend, location).await,
        }
    }

    async fn open_folder(folder: &Path, location: &Location) -> Result<Self, StoreError> {
        let folder = folder.to_owned();
        let claim = move || {
            let folder = std::path::absolute(&folder)
                .map_err(|source| StoreError::file("find", &folder, source))?;
            let lock = format::claim(&folder)?;
            Ok::<_, StoreError>((folder, lock))
        };
        let (folder, _lock) = blocking(claim).await??;
        let objects = Objects::in_folder(&folder)?;
        let own = Database::Sqlite(folder.join(INDEX));
        Self::open_index(objects, location.database(), &own).await
    }

    /// A bucket without a database of its own gets an index on this machine, brought up to date
    /// whenever the store is opened: what others stored since then is found by its key at once,
    /// and by its other names at the next opening. Evidence is not shared that way.
    async fn open_bucket(backend: &Backend, location: &Location) -> Result<Self, StoreError> {
        let Some(local) = location.local().map(Path::to_owned) else {
            return Err(StoreError::NoLocalFolder(backend.name.clone()));
        };
        let cached = location.cached();
        let prepare = move || {
            let local = std::path::absolute(&local)
                .map_err(|source| StoreError::file("find", &local, source))?;
            let fail = |source| StoreError::file("create", &local, source);
            std::fs::create_dir_all(&local).map_err(fail)?;
            let cache = match cached {
                0 => None,
                bytes => Some(Cache::open(&local.join(CACHE), bytes).map_err(fail)?),
            };
            let lock = std::fs::File::create(local.join(LOCK)).map_err(fail)?;
            lock.lock().map_err(fail)?;
            Ok::<_, StoreError>((local, cache, lock))
        };
        let (local, cache, _lock) = blocking(prepare).await??;
        let objects = Objects::in_bucket(backend.clone(), &local, cache);
        format::claim_bucket(&objects).await?;
        let own = Database::Sqlite(local.join(INDEX));
        let store = Self::open_index(objects, location.database(), &own).await?;
        if location.database().is_none() {
            store.learn().await?;
        }
        Ok(store)
    }

    /// `chosen` is a database that may be another store's, `own` is a file that can't.
    async fn open_index(
        objects: Objects,
        chosen: Option<&Database>,
        own: &Database,
    ) -> Result<Self, StoreError> {
        let index = Index::open(chosen.unwrap_or(own)).await?;
        if chosen.is_some() || !objects.are_local() {
            let id = identity(&objects).await?;
            if index.belong_to(&id).await? != id {
                let database = chosen.unwrap_or(own).to_string();
                let store = objects.name().to_owned();
                return Err(StoreError::OtherDatabase { database, store });
            }
        }
        let blobs = Blobs::new(objects.clone());
        let (joined, own_id, noted) = (OnceCell::new(), OnceCell::new(), uses::Noted::default());
        let refuted = void::Lately::default();
        let inner = Inner { objects, blobs, index, joined, own_id, noted, refuted };
        let store = Self { inner: Arc::new(inner) };
        // A new index, or a rebuild that was killed.
        if !store.inner.index.is_complete().await? {
            store.reindex().await?;
            store.inner.index.set_complete().await?;
        }
        Ok(store)
    }

    /// Closes the database of this and all clones, waiting for what is under way. Not needed for
    /// safety: everything acknowledged is durable. Afterwards look-ups fail.
    pub async fn close(&self) {
        self.inner.index.close().await;
    }

    /// The folder of the store; of a bucket, the folder of this machine beside it.
    pub fn folder(&self) -> PathBuf {
        self.inner.objects.folder().to_path_buf()
    }

    /// Stores a file as a blob; gives its digest and size in bytes. When this returns, the blob is
    /// durable. A content that is there already is not written again. Uses some 20 MiB of
    /// memory at most, whatever the size. A file that changes meanwhile is refused.
    pub async fn put_file(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        loop {
            let (digest, size) = self.inner.blobs.put_file(path).await?;
            if self.hold(&digest).await? {
                return Ok((digest, size));
            }
        }
    }

    /// Holds a blob that was just stored or found, so that collecting garbage does not take it
    /// before somebody names it. `false`: it was gone already. A power cut ends the hold of one that
    /// was found: whoever names it afterwards is told if it is gone.
    async fn hold(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.inner.join().await?;
        self.inner.index.reserve("blob", &[*digest]).await?;
        self.inner.blobs.is_here(digest).await
    }

    /// Stores a file whose content is said to be `digest`. `None`, and nothing stored, when it has
    /// another.
    pub async fn put_file_as(
        &self,
        path: &Path,
        digest: &Digest,
    ) -> Result<Option<(Digest, u64)>, StoreError> {
        let hashed = hash_file(path).await?;
        if hashed.0 != *digest {
            return Ok(None);
        }
        loop {
            self.inner.blobs.put_hashed(path, hashed).await?;
            if self.hold(digest).await? {
                return Ok(Some(hashed));
            }
        }
    }

    /// Stores bytes as a blob; gives its digest. When this returns, the blob is durable.
    pub async fn put_bytes(&self, bytes: Bytes) -> Result<Digest, StoreError> {
        loop {
            let digest = self.inner.blobs.put_bytes(bytes.clone()).await?;
            if self.hold(&digest).await? {
                return Ok(digest);
            }
        }
    }

    /// Opens a blob for reading. [`StoreError::Missing`] when it is not here,
    /// [`StoreError::LetGo`] when a policy removed it from a build that stayed,
    /// [`StoreError::Corrupt`] when what is here is not that blob.
    pub async fn reader(&self, digest: &Digest) -> Result<BlobReader, StoreError> {
        self.inner.blobs.reader(digest).await
    }

    /// An address by which anybody can read a blob for some time without asking this store: the
    /// blob as it is stored, packed. `None` where objects have no address: in a folder.
    pub async fn signed_url(
        &self,
        digest: &Digest,
        valid: Duration,
    ) -> Result<Option<String>, StoreError> {
        self.inner.objects.signed_url(&object_of(digest), valid).await
    }

    /// Whether there is a blob of that name, or was before a policy let go of it. Its bytes are not
    /// looked at; reading checks them.
    pub async fn contains(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.inner.blobs.exists(digest).await
    }

    /// The parts, for `verify`.
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

/// The store's own id, made at the first question.
async fn identity(objects: &Objects) -> Result<String, StoreError> {
    let object = ObjectPath::from(ID);
    let fail = |source| objects.fail(format!("reading {ID}"), source);
    if objects.get(&object, None, None).await.map_err(fail)?.is_none() {
        objects.create(&object, Uuid::new_v4().to_string().into()).await?;
    }
    let stored = objects.get(&object, None, None).await.map_err(fail)?;
    let bytes = stored.map(|fetched| fetched.bytes).unwrap_or_default();
    match std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<Uuid>().ok()) {
        Some(id) => Ok(id.to_string()),
        None => Err(StoreError::Damaged { what: ID.into(), why: "it is no UUID".into() }),
    }
}
