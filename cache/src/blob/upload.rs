//! From a file to a blob, with little memory and nothing visible before the end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{MultipartUpload, PutPayload};
use tokio::sync::mpsc;

use crate::blocking::{blocking, threads};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::Objects;

use super::frames::{FRAME, FRAME_LOG2, Finished, Frames};
use super::packers::Packers;
use super::store::object_of;
use super::table::Form;

/// Stored bytes that are sent as one part. S3 wants at least 5 MiB in all parts but the last.
const PART: usize = 8 << 20;

/// Packed frames that may wait for the upload.
const WAITING: usize = 4;

/// The content of a file of at most `limit` bytes; `None` for a larger one.
pub(crate) async fn read_small(path: &Path, limit: u64) -> Result<Option<Bytes>, StoreError> {
    on_file("read", path, move |path| {
        let file = open(path)?;
        let expected = file.metadata()?.len();
        if expected > limit {
            return Ok(None);
        }
        let mut content = Vec::with_capacity(expected as usize + 1);
        file.take(limit + 1).read_to_end(&mut content)?;
        // It may have grown since.
        Ok((content.len() as u64 <= limit).then(|| content.into()))
    })
    .await
}

/// Digest and size of a file.
pub(crate) async fn hash_file(path: &Path) -> Result<(Digest, u64), StoreError> {
    on_file("read", path, |path| Digest::of_reader(open(path)?)).await
}

/// Packs a file of so many bytes and stores it as the blob `digest`; an error if it has other content
/// by now.
pub(crate) async fn upload_file(
    objects: &Objects,
    packers: &Arc<Packers>,
    path: &Path,
    (digest, size): (Digest, u64),
) -> Result<(), StoreError> {
    let object = object_of(&digest);
    let mut upload = objects.upload(&object).await?;
    let fail = |source| objects.fail(format!("storing {}", path.display()), source);
    let done = match pack_into(&mut *upload, packers, path, size, &fail).await {
        Ok(packed) if packed == digest => upload.complete().await.map_err(&fail),
        Ok(_) => Err(StoreError::Changed(path.to_owned())),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        // The reason why it failed matters more than what is left of it: a staged file that
        // nobody can see, and that `verify` removes.
        if let Err(left) = upload.abort().await {
            tracing::debug!(%object, error = %left, "an aborted upload left something behind");
        }
        return Err(error);
    }
    Ok(())
}

/// Sends the stored form of a file of so many bytes; gives the digest of what was sent.
async fn pack_into(
    upload: &mut dyn MultipartUpload,
    packers: &Arc<Packers>,
    path: &Path,
    size: u64,
    fail: &impl Fn(object_store::Error) -> StoreError,
) -> Result<Digest, StoreError> {
    let (sender, mut frames) = mpsc::channel(WAITING);
    let packing = pack(packers, path, size, sender);
    let sending = async move {
        let (mut part, mut len) = (Vec::new(), 0);
        while let Some(bytes) = frames.recv().await {
            let bytes: Bytes = bytes;
            len += bytes.len();
            part.push(bytes);
            if len >= PART {
                send(upload, &mut part).await.map_err(fail)?;
                len = 0;
            }
        }
        if !part.is_empty() {
            send(upload, &mut part).await.map_err(fail)?;
        }
        Ok(())
    };
    // When sending fails its receiver goes, and packing stops at its next frame.
    let (packed, sent) = futures::join!(packing, sending);
    sent.and(packed)
}

async fn send(
    upload: &mut dyn MultipartUpload,
    part: &mut Vec<Bytes>,
) -> Result<(), object_store::Error> {
    let payload: PutPayload = std::mem::take(part).into_iter().collect();
    upload.put_part(payload).await
}

/// Packs a file, several frames side by side, and sends its stored form in order. Ends early, with a
/// result that nobody reads, when the receiver is gone.
async fn pack(
    packers: &Arc<Packers>,
    path: &Path,
    size: u64,
    sender: mpsc::Sender<Bytes>,
) -> Result<Digest, StoreError> {
    let file = Arc::new(on_file("read", path, open).await?);
    let making = stream::iter((0..size).step_by(FRAME)).map(|offset| {
        let len = (size - offset).min(FRAME as u64) as usize;
        packers.clone().pack(file.clone(), path, offset, len)
    });
    let mut made = pin!(making.buffered(threads()));
    let mut frames = Frames::new(FRAME_LOG2, Form::Fast);
    let changed = || StoreError::Changed(path.to_owned());
    while let Some(frame) = made.try_next().await? {
        let (frame, bytes) = frame.ok_or_else(changed)?;
        frames.add(frame);
        if sender.send(bytes).await.is_err() {
            return Ok(frames.finish().digest);
        }
    }
    // It may have grown.
    let end = file.clone();
    if on_file("read", path, move |_| end.read_at(&mut [0], size)).await? > 0 {
        return Err(changed());
    }
    let Finished { digest, tail } = frames.finish();
    let _receiver_may_be_gone = sender.send(tail.into()).await;
    Ok(digest)
}

/// Opens a regular file: a pipe or a device would block or never end.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}

/// Works on a file where blocking is allowed.
async fn on_file<T: Send + 'static>(
    doing: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let owned = path.to_owned();
    let done = blocking(move || work(&owned)).await?;
    done.map_err(|source| StoreError::file(doing, path, source))
}
