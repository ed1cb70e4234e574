//! The objects of a store: a folder of this machine, or a bucket that several machines share.
//!
//! What differs between the two is kept here: a folder is synced, a bucket is asked again when it
//! fails ([`patience`]), and whether a conditional write won is found out in doubt by looking. What
//! must not be removed when it was replaced meanwhile is replaced itself, by nothing ([`aside`]): an
//! object of a bucket that holds no bytes counts as gone.

mod aside;
mod backend;
mod cache;
mod patience;
#[cfg(test)]
mod tests;
mod upload;

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::error::{StoreError, is_full};

pub use backend::{Backend, BucketError};
pub(crate) use cache::Cache;
pub use patience::Patience;
pub(crate) use patience::Tries;

use upload::PatientUpload;

/// The attribute that says who created an object. (Azure allows letters and digits only.)
const WRITER: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("kilnwriter"));

/// All objects of one store.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// `None` for a folder.
    bucket: Option<Arc<Bucket>>,
    folder: Arc<FilePath>,
    name: Arc<str>,
    /// Whether a request that fails is not made again.
    once: bool,
}

/// What only a bucket has.
#[derive(Debug)]
struct Bucket {
    backend: Backend,
    cache: Option<Cache>,
    /// Whether it does what the condition of a write says, once somebody had to know.
    heeds: OnceCell<bool>,
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
        let local = object_store::local::LocalFileSystem::new_with_prefix(folder);
        let local = local.map_err(|source| StoreError::Object {
            doing: format!("opening {}", folder.display()),
            source,
        })?;
        Ok(Self {
            store: Arc::new(local.with_fsync(true)),
            bucket: None,
            folder: folder.into(),
            name: folder.display().to_string().into(),
            once: false,
        })
    }

    /// The objects of a bucket. `folder` is a folder of this machine for what is kept beside it;
    /// what is read of blobs is kept in `cache`.
    pub(crate) fn in_bucket(backend: Backend, folder: &FilePath, cache: Option<Cache>) -> Self {
        Self {
            store: Arc::clone(&backend.store),
            folder: folder.into(),
            name: backend.name.as_str().into(),
            bucket: Some(Arc::new(Bucket { backend, cache, heeds: OnceCell::new() })),
            once: false,
        }
    }

    /// The folder that holds them; of a bucket, the one beside it.
    pub(crate) fn folder(&self) -> &FilePath {
        &self.folder
    }

    /// Where people find them.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether they are files of this machine.
    pub(crate) fn are_local(&self) -> bool {
        self.bucket.is_none()
    }

    /// The file of an object in a folder.
    fn file(&self, path: &Path) -> PathBuf {
        self.folder.join(path.as_ref())
    }

    /// The object's place in the bucket: below the store's prefix.
    fn at(&self, path: &Path) -> Path {
        match &self.bucket {
            Some(bucket) => bucket.backend.prefix.parts().chain(path.parts()).collect(),
            None => path.clone(),
        }
    }

    /// The same objects for whoever has to look at something before each request: one that fails is
    /// not made again. Whoever makes it counts [`Self::tries`].
    pub(crate) fn once(&self) -> Self {
        Self { once: true, ..self.clone() }
    }

    /// The attempts of one operation, the first of which has begun.
    pub(crate) fn tries(&self) -> Tries {
        match &self.bucket {
            Some(bucket) if !self.once => bucket.backend.patience.begin(),
            _ => Tries::once(),
        }
    }

    /// Reads a range of an object (all of it without one); `None` when there is no such object.
    /// With an entity tag, [`object_store::Error::Precondition`] if it is another object by now.
    pub(crate) async fn get(
        &self,
        path: &Path,
        range: Option<GetRange>,
        if_match: Option<String>,
    ) -> Result<Option<Fetched>, object_store::Error> {
        // A range of one version of an object never changes.
        if let (Some(bucket), Some(GetRange::Bounded(range)), Some(tag)) =
            (&self.bucket, &range, &if_match)
            && let Some(cache) = &bucket.cache
        {
            if let Some(fetched) = cache.get(path, tag, range).await {
                return Ok(Some(fetched));
            }
            let fetched = self.fetch(path, Some(range.clone().into()), if_match.clone()).await?;
            if let Some(fetched) = &fetched {
                cache.put(path, tag, fetched).await;
            }
            return Ok(fetched);
        }
        self.fetch(path, range, if_match).await
    }

    async fn fetch(
        &self,
        path: &Path,
        range: Option<GetRange>,
        if_match: Option<String>,
    ) -> Result<Option<Fetched>, object_store::Error> {
        let mut tries = self.tries();
        loop {
            match self.fetch_once(path, range.clone(), if_match.clone()).await {
                Ok(fetched) if self.is_gone(&fetched.meta) => return Ok(None),
                Ok(fetched) => return Ok(Some(fetched)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Whether an object only stands in the place of one that was put aside.
    fn is_gone(&self, meta: &ObjectMeta) -> bool {
        self.bucket.is_some() && meta.size == 0
    }

    async fn fetch_once(
        &self,
        path: &Path,
        range: Option<GetRange>,
        if_match: Option<String>,
    ) -> Result<Fetched, object_store::Error> {
        let at = self.at(path);
        let mut options = GetOptions { range, if_match, ..GetOptions::default() };
        let result = match self.store.get_opts(&at, options.clone()).await {
            Err(error) if matches!(options.range, Some(GetRange::Suffix(_))) => {
                let meta = self.store.head(&at).await?;
                if meta.size == 0 {
                    // Of nothing no bucket has a part.
                    let meta = ObjectMeta { location: path.clone(), ..meta };
                    return Ok(Fetched { meta, range: 0..0, bytes: Bytes::new() });
                }
                // Azure knows no ranges that count from the end.
                if !matches!(error, object_store::Error::NotSupported { .. }) {
                    return Err(error);
                }
                if let Some(GetRange::Suffix(len)) = options.range {
                    options.range = Some((meta.size.saturating_sub(len)..meta.size).into());
                }
                options.if_match = options.if_match.or(meta.e_tag);
                self.store.get_opts(&at, options).await?
            }
            other => other?,
        };
        let (mut meta, range) = (result.meta.clone(), result.range.clone());
        meta.location = path.clone();
        let bytes = result.bytes().await?;
        // A body that was cut short is no range.
        if bytes.len() as u64 != range.end - range.start {
            let why = format!("{} bytes of {range:?} arrived", bytes.len());
            return Err(object_store::Error::Generic { store: "bucket", source: why.into() });
        }
        Ok(Fetched { meta, range, bytes })
    }

    /// Size and entity tag of an object; `None` when there is none.
    pub(crate) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        let (at, mut tries) = (self.at(path), self.tries());
        loop {
            match self.store.head(&at).await {
                Ok(meta) => return Ok((!self.is_gone(&meta)).then_some(meta)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => tries
                    .again(error)
                    .await
                    .map_err(|source| self.fail(format!("looking for {path}"), source))?,
            }
        }
    }

    /// Writes an object, replacing one of the same name.
    pub(crate) async fn put(&self, path: &Path, payload: PutPayload) -> Result<(), StoreError> {
        let (at, mut tries) = (self.at(path), self.tries());
        loop {
            match self.store.put(&at, payload.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => tries
                    .again(error)
                    .await
                    .map_err(|source| self.fail(format!("writing {path}"), source))?,
            }
        }
    }

    /// Writes an object unless there is one of that name.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, StoreError> {
        let fail = |source| self.fail(format!("writing {path}"), source);
        if self.bucket.is_some() {
            return self.create_in_bucket(path, bytes).await.map_err(fail);
        }
        match self.store.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.settle(path).await?;
                Ok(Created::Exists)
            }
            Err(source) => Err(fail(source)),
        }
    }

    /// A bucket's answer to a conditional write can't be trusted alone: "exists" may speak of this
    /// very write, which succeeded, was answered with an error and was sent again; a conflict may
    /// mean that another write is under way; and after a time-out nobody knows. So each writer
    /// leaves a name of its own, and in doubt looks whose name the object bears.
    async fn create_in_bucket(
        &self,
        path: &Path,
        bytes: Bytes,
    ) -> Result<Created, object_store::Error> {
        let (at, mut tries) = (self.at(path), self.tries());
        let writer = Uuid::new_v4().simple().to_string();
        let attributes = Attributes::from_iter([(WRITER, writer.clone())]);
        let mut mode = PutMode::Create;
        loop {
            let (mode_now, attributes) = (mode.clone(), attributes.clone());
            let options = PutOptions { mode: mode_now, attributes, ..PutOptions::default() };
            let error = match self.store.put_opts(&at, bytes.clone().into(), options).await {
                Ok(_) => return Ok(Created::New),
                Err(error) => error,
            };
            let exists = matches!(
                error,
                object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. }
            );
            if exists || patience::may_pass(&error) {
                match self.writer_of(&at).await? {
                    Some((by, _)) if by.as_deref() == Some(&writer) => return Ok(Created::New),
                    Some((_, there)) if !self.is_gone(&there) => return Ok(Created::Exists),
                    Some((_, gone)) => mode = PutMode::Update(version_of(&gone)),
                    None => mode = PutMode::Create,
                }
            }
            // It was not written, or is gone again: a conflict with somebody passes, too.
            if exists { tries.anyway(error).await? } else { tries.again(error).await? }
        }
    }

    /// Who created an object (`None` inside: it does not say), and what it is; `None` when there is
    /// none.
    async fn writer_of(
        &self,
        at: &Path,
    ) -> Result<Option<(Option<String>, ObjectMeta)>, object_store::Error> {
        let mut tries = self.tries();
        loop {
            let options = GetOptions { head: true, ..GetOptions::default() };
            match self.store.get_opts(at, options).await {
                Ok(result) => {
                    let writer = result.attributes.get(&WRITER).map(|name| name.to_string());
                    return Ok(Some((writer, result.meta)));
                }
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Begins a write in parts; nothing is visible before it is completed.
    pub(crate) async fn upload(&self, path: &Path) -> Result<Box<dyn MultipartUpload>, StoreError> {
        let fail = |source| self.fail(format!("writing {path}"), source);
        match &self.bucket {
            Some(bucket) => {
                let upload = PatientUpload::begin(&bucket.backend, self.at(path)).await;
                Ok(Box::new(upload.map_err(fail)?))
            }
            None => self.store.put_multipart(path).await.map_err(fail),
        }
    }

    /// Removes an object. One that is not there is as good as removed. Durable when it returns: a
    /// manifest that a power cut brought back would name blobs that are gone.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        let (at, mut tries) = (self.at(path), self.tries());
        loop {
            match self.store.delete(&at).await {
                Ok(()) => return self.settle(path).await,
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => tries
                    .again(error)
                    .await
                    .map_err(|source| self.fail(format!("removing {path}"), source))?,
            }
        }
    }

    /// All objects below a prefix, in no order.
    pub(crate) fn list(
        &self,
        prefix: &str,
    ) -> BoxStream<'static, Result<ObjectMeta, object_store::Error>> {
        let root = self.at(&Path::default());
        let below = self.at(&Path::from(prefix));
        let listing = self.store.list(Some(&below));
        if self.are_local() {
            return listing;
        }
        let (objects, tries) = (self.clone(), self.tries());
        // A listing that breaks off goes on behind the last name that came.
        let state = (listing, tries, None::<Path>);
        stream::unfold(Some(state), move |state| {
            let (objects, below, root) = (objects.clone(), below.clone(), root.clone());
            async move {
                let (mut listing, mut tries, mut last) = state?;
                loop {
                    match listing.next().await? {
                        Ok(mut meta) => {
                            last = Some(meta.location.clone());
                            if objects.is_gone(&meta) {
                                continue;
                            }
                            let Some(parts) = meta.location.prefix_match(&root) else { continue };
                            meta.location = parts.collect();
                            return Some((Ok(meta), Some((listing, objects.tries(), last))));
                        }
                        Err(error) => {
                            if let Err(error) = tries.again(error).await {
                                return Some((Err(error), None));
                            }
                            listing = match &last {
                                Some(last) => objects.store.list_with_offset(Some(&below), last),
                                None => objects.store.list(Some(&below)),
                            };
                        }
                    }
                }
            }
        })
        .boxed()
    }

    /// An address by which anybody can read an object for some time without asking Kiln; `None`
    /// where objects have none.
    pub(crate) async fn signed_url(
        &self,
        path: &Path,
        valid: Duration,
    ) -> Result<Option<String>, StoreError> {
        let Some(signer) = self.bucket.as_ref().and_then(|bucket| bucket.backend.signer.as_ref())
        else {
            return Ok(None);
        };
        match signer.signed_url(reqwest::Method::GET, &self.at(path), valid).await {
            Ok(url) => Ok(Some(url.into())),
            Err(source) => Err(self.fail(format!("signing the address of {path}"), source)),
        }
    }

    /// Makes sure that what became of an object's name is durable: the writer of a file may have
    /// been about to sync its folder. What a bucket shows is durable.
    pub(crate) async fn settle(&self, path: &Path) -> Result<(), StoreError> {
        if !self.are_local() {
            return Ok(());
        }
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
            StoreError::Full { place: self.name.to_string(), doing }
        } else {
            StoreError::Object { doing, source }
        }
    }
}

/// The version of an object that a conditional write means.
fn version_of(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}
