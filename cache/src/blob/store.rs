//! Blobs in an object store.

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use std::path::Path;
use std::sync::Arc;

use crate::blocking::blocking;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::{Created, Objects};
use crate::turns::Turns;

use super::cache::FrameCache;
use super::frames::{FRAME, FRAME_LOG2, FrameWriter};
use super::packers::Packers;
use super::reader::{BlobReader, DEPTH};
use super::table::encode_let_go;
use super::upload::{hash_file, read_small, upload_file};

/// The folder of all blobs.
pub(crate) const PREFIX: &str = "blobs";

/// The object that holds a blob: `blobs/aa/<digest>`, where `aa` are its first digits.
pub(crate) fn object_of(digest: &Digest) -> ObjectPath {
    let hex = digest.to_hex();
    ObjectPath::from_iter([PREFIX, &hex[..2], &hex])
}

/// The blob that an object holds; `None` for an object that is no blob.
pub(crate) fn digest_of(object: &ObjectPath) -> Option<Digest> {
    let digest = object.filename()?.parse().ok()?;
    (object_of(&digest) == *object).then_some(digest)
}

/// The blobs of a store.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    objects: Objects,
    cache: Arc<FrameCache>,
    /// Two that store one content here and now cost one.
    storing: Turns,
    packers: Arc<Packers>,
}

impl Blobs {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, cache: Arc::default(), storing: Turns::default(), packers: Arc::default() }
    }

    /// Stores a file; gives its digest and size. Uses some 20 MiB of memory at most, whatever the size:
    /// a part of the upload, and the frames that are packed or wait for it.
    /// When the content is there already, nothing is written, but what is there is read and proven,
    /// unless this process did so lately; a corrupt one is quarantined and replaced.
    pub(crate) async fn put_file(&self, path: &Path) -> Result<(Digest, u64), StoreError> {
        if let Some(bytes) = read_small(path, FRAME as u64).await? {
            let size = bytes.len() as u64;
            return Ok((self.put_bytes(bytes).await?, size));
        }
        let hashed = hash_file(path).await?;
        self.put_large(path, hashed).await?;
        Ok(hashed)
    }

    /// The same of a file that was hashed a while ago. It is read once more:
    /// [`StoreError::Changed`], and nothing stored, when it is another one by now.
    pub(crate) async fn put_hashed(
        &self,
        path: &Path,
        hashed: (Digest, u64),
    ) -> Result<(), StoreError> {
        let changed = || StoreError::Changed(path.to_owned());
        if hashed.1 <= FRAME as u64 {
            let bytes = read_small(path, FRAME as u64).await?;
            let bytes = bytes.filter(|bytes| Digest::of(bytes) == hashed.0).ok_or_else(changed)?;
            return self.put_bytes(bytes).await.map(|_| ());
        }
        if self.put_large(path, hashed).await? == Created::Exists
            && hash_file(path).await? != hashed
        {
            return Err(changed());
        }
        Ok(())
    }

    /// Stores a file with this digest and size, unless that is here; to store it is to read it.
    async fn put_large(&self, path: &Path, hashed: (Digest, u64)) -> Result<Created, StoreError> {
        let _turn = self.storing.take(&hashed.0).await;
        if self.holds(&hashed.0).await? {
            return Ok(Created::Exists);
        }
        upload_file(&self.objects, &self.packers, path, hashed).await?;
        Ok(Created::New)
    }

    /// Stores bytes.
    pub(crate) async fn put_bytes(&self, bytes: Bytes) -> Result<Digest, StoreError> {
        let hashed = blocking(move || (Digest::of(&bytes), bytes));
        let (digest, bytes) = hashed.await?;
        let _turn = self.storing.take(&digest).await;
        if self.holds(&digest).await? {
            return Ok(digest);
        }
        let parts = blocking(move || pack(&bytes))
            .await?
            .map_err(|source| StoreError::Stopped(source.to_string()))?;
        self.objects.put(&object_of(&digest), parts.into_iter().collect()).await?;
        Ok(digest)
    }

    /// Opens a blob.
    pub(crate) async fn reader(&self, digest: &Digest) -> Result<BlobReader, StoreError> {
        BlobReader::open(&self.objects, &self.cache, digest).await
    }

    /// Whether an object for the blob exists, if only its name. Says nothing about its bytes.
    pub(crate) async fn exists(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.objects.head(&object_of(digest)).await?.is_some())
    }

    /// Whether a blob is there and can be opened, with all that it rests on.
    pub(crate) async fn is_here(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.foundation(digest).await {
            Ok(_) => Ok(true),
            Err(
                StoreError::Missing(_)
                | StoreError::LetGo(_)
                | StoreError::Corrupt { .. }
                | StoreError::Damaged { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The blob and all that it rests on, every one of which can be opened.
    pub(crate) async fn foundation(&self, digest: &Digest) -> Result<Vec<Digest>, StoreError> {
        let (mut found, mut todo) = (Vec::new(), vec![(*digest, 0)]);
        while let Some((next, depth)) = todo.pop() {
            if depth >= DEPTH {
                let why = format!("more than {DEPTH} blobs rest on one another");
                return Err(StoreError::Damaged { what: format!("blob {digest}"), why });
            }
            let reader = self.reader(&next).await?;
            found.push(next);
            todo.extend(reader.rests_on().into_iter().map(|it| (it, depth + 1)));
        }
        Ok(found)
    }

    /// Lets go of a blob of so many bytes: its name stays, so that nobody takes it for lost. This is
    /// one request: before it is made again somebody must look whether the blob may still go.
    pub(crate) async fn let_go(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        self.cache.forget(digest);
        self.objects.once().put(&object_of(digest), encode_let_go(digest, size).into()).await
    }

    /// Notes that a blob of so many bytes was let go of elsewhere, unless anything is here of it:
    /// somebody may store it at this moment.
    pub(crate) async fn note_absent(&self, digest: &Digest, size: u64) -> Result<(), StoreError> {
        self.objects
            .create(&object_of(digest), encode_let_go(digest, size).into())
            .await
            .map(|_| ())
    }

    /// Whether a blob is there, durable, and right, with all that it rests on. Otherwise a corrupt
    /// one has been quarantined, and it is to be stored again.
    async fn holds(&self, digest: &Digest) -> Result<bool, StoreError> {
        let mut todo = vec![(*digest, 0)];
        while let Some((next, depth)) = todo.pop() {
            if depth >= DEPTH {
                tracing::warn!(%digest, "replacing a blob that rests on too many others");
                return Ok(false);
            }
            match self.reader(&next).await {
                Ok(reader) => todo.extend(reader.rests_on().into_iter().map(|it| (it, depth + 1))),
                Err(error) => return replaceable(digest, error),
            }
        }
        let checked = async { self.reader(digest).await?.check().await };
        if let Err(error) = checked.await {
            return replaceable(digest, error);
        }
        self.objects.settle(&object_of(digest)).await?;
        Ok(true)
    }
}

/// `false` when storing a blob again mends the error, else the error.
fn replaceable(digest: &Digest, error: StoreError) -> Result<bool, StoreError> {
    match error {
        StoreError::Missing(_) | StoreError::LetGo(_) => Ok(false),
        StoreError::Corrupt { .. } => {
            tracing::warn!(%digest, %error, "replacing a corrupt blob");
            Ok(false)
        }
        StoreError::NotRepeated(_) => {
            tracing::warn!(%digest, %error, "replacing it by the bytes that are at hand");
            Ok(false)
        }
        other => Err(other),
    }
}

/// The stored form of bytes in memory.
fn pack(bytes: &Bytes) -> std::io::Result<Vec<Bytes>> {
    let mut writer = FrameWriter::new(FRAME_LOG2)?;
    let mut parts = Vec::with_capacity(bytes.len() / FRAME + 2);
    for plain in bytes.chunks(FRAME) {
        let packed = writer.frame(plain)?;
        parts.push(packed.map_or_else(|| bytes.slice_ref(plain), Bytes::copy_from_slice));
    }
    parts.push(writer.finish().tail.into());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_let_go_of_elsewhere_takes_nothing_from_here() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Objects::in_folder(folder.path()).unwrap());
        let content = Bytes::from_static(b"a file that somebody stores");
        let digest = Digest::of(&content);
        blobs.note_absent(&digest, content.len() as u64).await.unwrap();
        assert!(matches!(blobs.reader(&digest).await, Err(StoreError::LetGo(_))));
        blobs.put_bytes(content.clone()).await.unwrap();
        blobs.note_absent(&digest, content.len() as u64).await.unwrap();
        let reader = blobs.reader(&digest).await.unwrap();
        assert_eq!(reader.read(0..reader.size()).await.unwrap(), content);
    }

    #[tokio::test]
    async fn a_file_that_changed_since_it_was_hashed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(Objects::in_folder(folder.path()).unwrap());
        let path = folder.path().join("file");
        for size in [1000, FRAME + 1000, 3 * FRAME] {
            std::fs::write(&path, vec![1; size]).unwrap();
            let hashed = hash_file(&path).await.unwrap();
            let changed = [vec![2; size], vec![1; size - 1], vec![1; size + 1]];
            // Once while it is not here, and once while it is.
            for _ in 0..2 {
                for content in &changed {
                    std::fs::write(&path, content).unwrap();
                    let refused = blobs.put_hashed(&path, hashed).await;
                    assert!(matches!(refused, Err(StoreError::Changed(_))), "{refused:?}");
                }
                std::fs::write(&path, vec![1; size]).unwrap();
                blobs.put_hashed(&path, hashed).await.unwrap();
            }
            blobs.reader(&hashed.0).await.unwrap().check().await.unwrap();
        }
    }
}
