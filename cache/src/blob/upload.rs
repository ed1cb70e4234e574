//! From a file to a blob, with a few mebibytes of memory and nothing visible before the end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, PutPayload};
use tokio::sync::mpsc;

use crate::blocking::blocking;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::Objects;

use super::frames::{FRAME, FRAME_LOG2, Finished, FrameWriter};
use super::store::object_of;

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

/// Packs a file and stores it as the blob `digest`; an error if it has other content by now.
pub(crate) async fn upload_file(
    objects: &Objects,
    path: &Path,
    digest: &Digest,
) -> Result<(), StoreError> {
    let object = object_of(digest);
    let mut upload = objects.upload(&object).await?;
    let fail = |source| objects.fail(format!("storing {}", path.display()), source);
    let done = match pack_into(&mut *upload, path, &fail).await {
        Ok(finished) if finished.digest == *digest => upload.complete().await.map_err(&fail),
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

async fn pack_into(
    upload: &mut dyn MultipartUpload,
    path: &Path,
    fail: &impl Fn(object_store::Error) -> StoreError,
) -> Result<Finished, StoreError> {
    let (sender, mut frames) = mpsc::channel(WAITING);
    let packing = on_file("read", path, move |path| pack(path, &sender));
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

/// Sends the stored form of a file. Ends early, with a result that nobody reads, when the
/// receiver is gone.
fn pack(path: &Path, frames: &mpsc::Sender<Bytes>) -> io::Result<Finished> {
    let mut file = open(path)?;
    let mut writer = FrameWriter::new(FRAME_LOG2)?;
    loop {
        let mut plain = BytesMut::zeroed(FRAME);
        let len = fill(&mut file, &mut plain)?;
        if len == 0 {
            break;
        }
        plain.truncate(len);
        let packed = writer.frame(&plain)?;
        let bytes = packed.map_or_else(|| plain.freeze(), Bytes::from);
        if frames.blocking_send(bytes).is_err() || len < FRAME {
            break;
        }
    }
    let mut finished = writer.finish();
    let tail = Bytes::from(std::mem::take(&mut finished.tail));
    let _receiver_may_be_gone = frames.blocking_send(tail);
    Ok(finished)
}

/// Opens a regular file: a pipe or a device would block or never end.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
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
