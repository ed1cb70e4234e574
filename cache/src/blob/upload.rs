//! From a file to a blob, with a few mebibytes of memory and nothing visible before the end.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{MultipartUpload, PutPayload};
use tokio::sync::mpsc;
use zstd::bulk::Compressor;

use crate::blocking::blocking;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::Objects;

use super::frames::{FRAME, FRAME_LOG2, Finished, Frames, Packed, fast, pack_frame};
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
    path: &Path,
    (digest, size): (Digest, u64),
) -> Result<(), StoreError> {
    let object = object_of(&digest);
    let mut upload = objects.upload(&object).await?;
    let fail = |source| objects.fail(format!("storing {}", path.display()), source);
    let done = match pack_into(&mut *upload, path, size, &fail).await {
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
    path: &Path,
    size: u64,
    fail: &impl Fn(object_store::Error) -> StoreError,
) -> Result<Digest, StoreError> {
    let (sender, mut frames) = mpsc::channel(WAITING);
    let packing = pack(path, size, sender);
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
async fn pack(path: &Path, size: u64, sender: mpsc::Sender<Bytes>) -> Result<Digest, StoreError> {
    let file = Arc::new(on_file("read", path, open).await?);
    let benches = Arc::new(Mutex::new(Vec::new()));
    let packed = stream::iter((0..size).step_by(FRAME)).map(|offset| {
        let (file, benches) = (file.clone(), benches.clone());
        let len = (size - offset).min(FRAME as u64) as usize;
        on_file("read", path, move |_| pack_frame_of(&file, offset, len, &benches))
    });
    let mut packed = pin!(packed.buffered(side_by_side()));
    let mut frames = Frames::new(FRAME_LOG2, Form::Fast);
    while let Some(packed) = packed.try_next().await? {
        let Some((packed, bytes)) = packed else {
            return Err(StoreError::Changed(path.to_owned()));
        };
        frames.add(packed);
        if sender.send(bytes).await.is_err() {
            break;
        }
    }
    // It may have grown.
    let behind = on_file("read", path, {
        let file = file.clone();
        move |_| file.read_at(&mut [0], size)
    })
    .await?;
    if behind > 0 {
        return Err(StoreError::Changed(path.to_owned()));
    }
    let Finished { digest, tail } = frames.finish();
    let _receiver_may_be_gone = sender.send(tail.into()).await;
    Ok(digest)
}

/// Frames of one file that are packed at a time: more would wait for the disk.
fn side_by_side() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(4)
}

/// What one thread packs a frame with; fresh memory for each frame would cost as much as hashing it.
struct Bench {
    compressor: Compressor<'static>,
    plain: Vec<u8>,
}

/// Reads a frame of a file and packs it, on a bench that is free or a new one; gives it with its
/// stored bytes, `None` when the file ends before the frame does.
fn pack_frame_of(
    file: &File,
    offset: u64,
    len: usize,
    benches: &Mutex<Vec<Bench>>,
) -> io::Result<Option<(Packed, Bytes)>> {
    let free = || benches.lock().unwrap_or_else(PoisonError::into_inner);
    let waiting = free().pop();
    let make = || Ok::<_, io::Error>(Bench { compressor: fast()?, plain: vec![0; FRAME] });
    let mut bench = waiting.map_or_else(make, Ok)?;
    let plain = &mut bench.plain[..len];
    match file.read_exact_at(plain, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (packed, bytes) = pack_frame(&mut bench.compressor, offset, plain)?;
    let bytes = bytes.map_or_else(|| Bytes::copy_from_slice(plain), Bytes::from);
    free().push(bench);
    Ok(Some((packed, bytes)))
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
