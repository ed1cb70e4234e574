//! New stored forms of a blob: made, unpacked again, compared, and only then put in the place of
//! the old one.

use std::sync::Arc;

use bytes::Bytes;

use crate::blob::frames::{FRAME, FRAME_LOG2, FrameWriter};
use crate::blob::reader::BlobReader;
use crate::blob::store::object_of;
use crate::blob::table::{encode_delta, encode_parts};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::Objects;

use super::delta::{Delta, Packed, UNIT};
use super::parts::Recipe;
use super::spool::Spool;

/// A stored form, ready to be written.
pub(super) type Pieces = Vec<Bytes>;

/// What a stored form takes.
pub(super) fn size(pieces: &Pieces) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// Frames that zstd tries hard on.
pub(super) async fn frames(plain: &Arc<Spool>, level: i32) -> Result<Pieces, StoreError> {
    let plain = Arc::clone(plain);
    blocking(move || {
        let mut writer = FrameWriter::hard(FRAME_LOG2, level)?;
        let mut pieces = Vec::new();
        for frame in plain.chunks(FRAME) {
            let packed = writer.frame(frame)?;
            if let Some(packed) = packed {
                let back = zstd::bulk::decompress(packed, frame.len())?;
                if back != frame {
                    return Err(std::io::Error::other("zstd does not give back what it was given"));
                }
            }
            pieces.push(Bytes::copy_from_slice(packed.unwrap_or(frame)));
        }
        pieces.push(writer.finish().tail.into());
        Ok(pieces)
    })
    .await
}

/// A delta to `base`, whose bytes are `plain`, of the blob that `reader` reads. The new blob's own
/// hashes say whether it unpacks to the same.
pub(super) async fn delta(
    base: Digest,
    plain: &Arc<Spool>,
    packed: Packed,
    reader: &BlobReader,
) -> Result<Pieces, StoreError> {
    let (plain, reader) = (Arc::clone(plain), reader.clone());
    blocking(move || {
        let wrong = || std::io::Error::other("a delta does not give back what it was made of");
        let delta = Delta::parse(&packed.head).map_err(|_| wrong())?;
        let proof = reader.proof();
        let (mut last, mut group) = (usize::MAX, None);
        for unit in 0..delta.new_len().div_ceil(UNIT) {
            let (number, _) = delta.group_of(unit).ok_or_else(wrong)?;
            if number != last {
                let stored = packed.groups.get(number).ok_or_else(wrong)?;
                group = Some(delta.open_group(number, stored).map_err(|_| wrong())?);
                last = number;
            }
            let group = group.as_ref().ok_or_else(wrong)?;
            let range = proof.plain_range(unit as usize);
            let mut bytes = vec![0; (range.end - range.start) as usize];
            for copy in delta.copies(unit) {
                let (to, len) = ((copy.new - unit * UNIT) as usize, copy.len as usize);
                bytes[to..to + len].copy_from_slice(&plain[copy.base as usize..][..len]);
            }
            delta.finish(unit, &mut bytes, group);
            proof.check(unit as usize, &bytes).map_err(|_| wrong())?;
        }
        let mut recipe = base.as_bytes().to_vec();
        recipe.extend(&packed.head);
        let mut pieces: Pieces = packed.groups.into_iter().map(Bytes::from).collect();
        pieces.push(encode_delta(&recipe, proof).into());
        Ok(pieces)
    })
    .await
}

/// A recipe of the blob that `reader` reads.
pub(super) fn parts(recipe: &Recipe, reader: &BlobReader) -> Pieces {
    vec![encode_parts(recipe, reader.proof()).into()]
}

/// Puts a stored form in the place of the old one: one request, for which somebody looked whether it
/// may be made.
pub(super) async fn replace(
    objects: &Objects,
    digest: &Digest,
    pieces: Pieces,
) -> Result<(), StoreError> {
    objects.once().put(&object_of(digest), pieces.into_iter().collect()).await
}

/// Work that packs.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = crate::blocking::blocking(work).await?;
    done.map_err(|error| StoreError::Stopped(format!("packing: {error}")))
}
