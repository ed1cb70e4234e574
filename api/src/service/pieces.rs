//! Pieces of blobs that were unpacked and proven a moment ago: bounded, and shared by all clients
//! that pull the same file.
//!
//! A piece is checked by its reader when it is made. From then on it is memory of this process,
//! like a page that the system keeps of a file.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{self, Stream};
use kiln_cache::{BlobReader, Digest, Store, StoreError};
use metrics::{counter, gauge};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

/// Plain bytes of a piece: the frame of a stored blob.
const PIECE: u64 = 1 << 20;

/// Bytes of all pieces that are kept.
const KEPT: u64 = 128 << 20;

/// Open blobs that are kept; each has some kilobytes.
const OPEN: usize = 1024;

/// Pieces that are made at once: each takes the packed and the plain bytes of one.
const MAKING: usize = 8;

/// So many clients are given pieces as they are. Each may keep one alive as long as it is slow, so
/// the others are given copies of parts.
const SHARING: usize = 64;

/// Bytes of such a part.
const PART: usize = 64 << 10;

type Key = (Digest, u64);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Bytes> for ByBytes {
    fn weight(&self, _: &Key, piece: &Bytes) -> u64 {
        piece.len().max(1) as u64
    }
}

/// The pieces of one process.
pub(crate) struct Pieces {
    pieces: Cache<Key, Bytes, ByBytes>,
    open: Cache<Digest, BlobReader>,
    making: Semaphore,
    clients: AtomicUsize,
}

impl Pieces {
    pub(crate) fn new() -> Self {
        Self {
            pieces: Cache::with_weighter((KEPT / PIECE) as usize, KEPT, ByBytes),
            open: Cache::new(OPEN),
            making: Semaphore::new(MAKING),
            clients: AtomicUsize::new(0),
        }
    }

    /// Opens a blob, or finds it open.
    pub(crate) async fn open(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<BlobReader, StoreError> {
        match self.open.get(digest) {
            Some(reader) => Ok(reader),
            None => self.open_anew(store, digest).await,
        }
    }

    /// Opens a blob, whatever was here a moment ago: others remove blobs, too.
    pub(crate) async fn open_anew(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<BlobReader, StoreError> {
        let opened = async {
            let reader = store.reader(digest).await?;
            reader.stands().await?;
            Ok(reader)
        };
        let reader = opened.await;
        match &reader {
            Ok(reader) => self.open.insert(*digest, reader.clone()),
            Err(_) => _ = self.open.remove(digest),
        }
        reader
    }

    /// A range of a blob. The stream ends at its first error.
    pub(crate) fn stream(
        self: &Arc<Self>,
        reader: BlobReader,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + use<> {
        let client = Client::new(Arc::clone(self));
        let state = Some((client, reader, range));
        stream::unfold(state, |state| async move {
            let (client, reader, mut range) = state?;
            if range.is_empty() {
                return None;
            }
            match client.pieces.piece(&reader, range.start / PIECE).await {
                Ok(piece) => {
                    let from = (range.start % PIECE) as usize;
                    let len = (piece.len() - from).min((range.end - range.start) as usize);
                    let part = match client.is_sharing {
                        true => piece.slice(from..from + len),
                        false => Bytes::copy_from_slice(&piece[from..from + len.min(PART)]),
                    };
                    range.start += part.len() as u64;
                    counter!("kiln_blob_bytes_sent_total").increment(part.len() as u64);
                    Some((Ok(part), Some((client, reader, range))))
                }
                Err(error) => {
                    client.pieces.open.remove(reader.digest());
                    Some((Err(error), None))
                }
            }
        })
    }

    async fn piece(&self, reader: &BlobReader, number: u64) -> Result<Bytes, StoreError> {
        let key = (*reader.digest(), number);
        let mut hit = true;
        // Of many who want the same piece one makes it.
        let piece = self.pieces.get_or_insert_async(&key, async {
            hit = false;
            // The semaphore is never closed.
            let _turn = self.making.acquire().await;
            let start = number * PIECE;
            let end = (start + PIECE).min(reader.size());
            Ok::<_, StoreError>(Bytes::from(reader.read(start..end).await?))
        });
        let piece = piece.await?;
        let result = if hit { "hit" } else { "miss" };
        counter!("kiln_pieces_total", "result" => result).increment(1);
        Ok(piece)
    }
}

/// One answer that is being sent.
struct Client {
    pieces: Arc<Pieces>,
    is_sharing: bool,
}

impl Client {
    fn new(pieces: Arc<Pieces>) -> Self {
        let others = pieces.clients.fetch_add(1, Ordering::Relaxed);
        gauge!("kiln_pulls_in_flight").increment(1);
        Self { pieces, is_sharing: others < SHARING }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pieces.clients.fetch_sub(1, Ordering::Relaxed);
        gauge!("kiln_pulls_in_flight").decrement(1);
    }
}
