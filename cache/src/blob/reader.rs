//! Reading a blob: any range, every byte proven by the blob's name.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::GetRange;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::{Fetched, Objects};

use super::quarantine::quarantine;
use super::store::object_of;
use super::table::{Defect, FOOTER, Footer, Table};

/// Bytes fetched first from the end of a stored blob: footer and table of blobs up to 101 MiB.
const GLIMPSE: u64 = 4096;

/// Frames unpacked side by side.
const AHEAD: usize = 2;

/// How often a read begins again because somebody replaced the object under it.
const RETRIES: usize = 3;

/// An open blob. Clones share it.
#[derive(Clone, Debug)]
pub struct BlobReader {
    objects: Objects,
    digest: Digest,
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    /// Entity tag of the object that the table was read from.
    tag: Option<String>,
    table: Table,
}

impl BlobReader {
    pub(crate) async fn open(objects: &Objects, digest: &Digest) -> Result<Self, StoreError> {
        for _ in 0..RETRIES {
            match open(objects, digest).await {
                Err(object_store::Error::Precondition { .. }) => {}
                Err(source) => return Err(objects.fail(format!("reading blob {digest}"), source)),
                Ok(None) => return Err(StoreError::Missing(*digest)),
                Ok(Some((tag, Err(defect)))) => {
                    return Err(corrupt(objects, digest, tag.as_deref(), &defect).await);
                }
                Ok(Some((tag, Ok(table)))) => {
                    let opened = Arc::new(Opened { tag, table });
                    return Ok(Self { objects: objects.clone(), digest: *digest, opened });
                }
            }
        }
        Err(restless(digest))
    }

    /// The blob's name.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Plain size in bytes.
    pub fn size(&self) -> u64 {
        self.opened.table.plain_size()
    }

    /// A range of the plain bytes, frame by frame (at most 1 MiB each). Every piece was proven
    /// before it comes out. The stream ends at its first error: a range outside the blob,
    /// [`StoreError::Corrupt`], or a failing disk.
    pub fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StoreError>> {
        if range.start > range.end || range.end > self.size() {
            let error = StoreError::Range {
                digest: self.digest,
                size: self.size(),
                start: range.start,
                end: range.end,
            };
            return stream::once(std::future::ready(Err(error))).boxed();
        }
        let frames = self.opened.table.frames(&range);
        let reader = self.clone();
        let pieces = stream::iter(frames)
            .map(move |frame| {
                let (reader, range) = (reader.clone(), range.clone());
                async move {
                    let plain = reader.frame(frame).await?;
                    let holds = reader.opened.table.plain_range(frame);
                    let from = range.start.saturating_sub(holds.start) as usize;
                    let to = (range.end.min(holds.end) - holds.start) as usize;
                    Ok(plain.slice(from..to))
                }
            })
            .buffered(AHEAD);
        end_at_error(pieces).boxed()
    }

    /// A range of the plain bytes, in memory.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let mut stream = self.stream(range);
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// One frame, unpacked and proven.
    async fn frame(&self, frame: usize) -> Result<Bytes, StoreError> {
        let mut opened = Arc::clone(&self.opened);
        let object = object_of(&self.digest);
        for _ in 0..RETRIES {
            let range = GetRange::Bounded(opened.table.stored_range(frame));
            let stored = match self.objects.get(&object, Some(range), opened.tag.clone()).await {
                Ok(Some(fetched)) => fetched.bytes,
                Ok(None) => return Err(StoreError::Missing(self.digest)),
                Err(object_store::Error::Precondition { .. }) => {
                    opened = Self::open(&self.objects, &self.digest).await?.opened;
                    continue;
                }
                Err(source) => {
                    return Err(self.objects.fail(format!("reading blob {}", self.digest), source));
                }
            };
            let table = Arc::clone(&opened);
            let unpacked = tokio::task::spawn_blocking(move || {
                let unpacked = table.table.open(frame, &stored)?;
                Ok(unpacked.map_or(stored, Bytes::from))
            });
            return match unpacked.await.map_err(|error| StoreError::stopped(&error))? {
                Ok(plain) => Ok(plain),
                Err(defect) => {
                    let tag = opened.tag.as_deref();
                    Err(corrupt(&self.objects, &self.digest, tag, &defect).await)
                }
            };
        }
        Err(restless(&self.digest))
    }
}

/// Passes a stream on up to and including its first error.
fn end_at_error<S>(pieces: S) -> impl futures::Stream<Item = Result<Bytes, StoreError>> + Send
where
    S: futures::Stream<Item = Result<Bytes, StoreError>> + Send,
{
    pieces.scan(false, |failed, piece| {
        let item = (!*failed).then_some(piece);
        *failed = item.as_ref().is_some_and(Result::is_err);
        std::future::ready(item)
    })
}

type Found = (Option<String>, Result<Table, Defect>);

/// Reads footer and table. `None`: no such object.
async fn open(objects: &Objects, digest: &Digest) -> Result<Option<Found>, object_store::Error> {
    let object = object_of(digest);
    let Some(end) = objects.get(&object, Some(GetRange::Suffix(GLIMPSE)), None).await? else {
        return Ok(None);
    };
    let tag = end.meta.e_tag.clone();
    let footer = match footer_of(&end) {
        Ok(footer) => footer,
        Err(defect) => return Ok(Some((tag, Err(defect)))),
    };
    let table = if footer.table.start >= end.range.start {
        let from = (footer.table.start - end.range.start) as usize;
        let to = (footer.table.end - end.range.start) as usize;
        end.bytes.slice(from..to)
    } else {
        let range = GetRange::Bounded(footer.table.clone());
        match objects.get(&object, Some(range), tag.clone()).await? {
            Some(table) => table.bytes,
            None => return Ok(None),
        }
    };
    Ok(Some((tag, Table::parse(&table, &footer, digest))))
}

fn footer_of(end: &Fetched) -> Result<Footer, Defect> {
    let at = end.bytes.len().saturating_sub(FOOTER);
    Footer::parse(&end.bytes[at..], end.meta.size)
}

/// Quarantines a blob; gives the error to return.
async fn corrupt(
    objects: &Objects,
    digest: &Digest,
    tag: Option<&str>,
    defect: &Defect,
) -> StoreError {
    let moved = quarantine(objects, &object_of(digest), tag).await;
    let error = StoreError::Corrupt { digest: *digest, what: defect.to_string(), moved };
    tracing::error!(%digest, %error, "corrupt blob");
    error
}

/// Replacing a blob by the same blob is rare; three times during one read never happens.
fn restless(digest: &Digest) -> StoreError {
    StoreError::Damaged {
        what: format!("blob {digest}"),
        why: "it was replaced again and again while it was being read".into(),
    }
}
