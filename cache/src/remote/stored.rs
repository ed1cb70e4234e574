//! Blobs from the bucket behind another Kiln, where that names addresses in it: the bytes do not go
//! through the other Kiln, and are unpacked and proven here.

use std::path::Path;

use futures::TryStreamExt;
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::blob::reader::BlobReader;
use crate::blob::store::{Blobs, object_of};
use crate::digest::Digest;
use crate::objects::Objects;

use super::client::Remote;
use super::download::{file, remove};
use super::error::RemoteError;

/// Shorter files come through the other Kiln: one question instead of two.
const WORTH: u64 = 256 << 10;

/// Bytes of one object, and objects that a blob may rest on, itself included: what a wrong answer
/// can cost.
const LARGEST: u64 = 4 << 30;
const MOST: usize = 12;

impl Remote {
    /// Fetches a blob of `size` bytes, and what it rests on, as they are stored, and unpacks it to
    /// `part`, proven. `false`, and nothing there, when it can't be had so; why does not matter, for
    /// it can be had in another way.
    pub(super) async fn fill_from_bucket(
        &self,
        digest: &Digest,
        size: u64,
        part: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<bool, RemoteError> {
        if size < WORTH {
            return Ok(false);
        }
        let Some(address) = self.address_in_bucket(digest).await? else { return Ok(false) };
        let beside = part.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = tempfile::Builder::new()
            .prefix(".kiln-pull-")
            .tempdir_in(beside.unwrap_or(Path::new(".")))
            .map_err(|source| file("write beside", part, source))?;
        let Ok(objects) = Objects::in_folder(folder.path()) else { return Ok(false) };
        let blobs = Blobs::new(objects);
        let Some(reader) = self.gather(&blobs, folder.path(), digest, address).await? else {
            return Ok(false);
        };
        if reader.size() == size && unpack(&reader, part, progress).await? {
            return Ok(true);
        }
        remove(part).await?;
        Ok(false)
    }

    /// Where the stored form of a blob is, if the other Kiln says so.
    async fn address_in_bucket(&self, digest: &Digest) -> Result<Option<String>, RemoteError> {
        let mut url = self.address(&["v1", "blobs", &digest.to_hex()]);
        url.query_pairs_mut().append_pair("form", "stored");
        // Who does not answer now is asked again, for the plain form.
        let Ok(response) = self.asking()?.get(url).send().await else { return Ok(None) };
        if response.status() != StatusCode::TEMPORARY_REDIRECT {
            return Ok(None);
        }
        let address = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        Ok(address.map(str::to_owned))
    }

    /// Brings a stored blob and what it rests on into a folder.
    async fn gather(
        &self,
        blobs: &Blobs,
        folder: &Path,
        digest: &Digest,
        address: String,
    ) -> Result<Option<BlobReader>, RemoteError> {
        let (mut todo, mut brought) = (vec![(*digest, Some(address))], 0);
        while let Some((next, address)) = todo.pop() {
            let address = match address {
                Some(address) => Some(address),
                None => self.address_in_bucket(&next).await?,
            };
            let (Some(address), true) = (address, brought < MOST) else { return Ok(None) };
            let place = folder.join(object_of(&next).as_ref());
            if !self.bring(&address, &place).await? {
                return Ok(None);
            }
            brought += 1;
            let Ok(reader) = blobs.reader(&next).await else {
                tracing::warn!(digest = %next, "a bucket gave something else than was asked for");
                return Ok(None);
            };
            todo.extend(reader.rests_on().into_iter().map(|base| (base, None)));
        }
        Ok(blobs.reader(digest).await.ok())
    }

    /// Fetches an object; `false` when it does not come.
    async fn bring(&self, address: &str, place: &Path) -> Result<bool, RemoteError> {
        let response = match self.elsewhere()?.get(address).send().await {
            Ok(response) if response.status() == StatusCode::OK => response,
            Ok(response) => {
                tracing::debug!(status = %response.status(), "a bucket refused");
                return Ok(false);
            }
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "a bucket does not answer");
                return Ok(false);
            }
        };
        let fail = |source| file("write", place, source);
        if let Some(folder) = place.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(fail)?;
        }
        let mut out = BufWriter::new(File::create(place).await.map_err(fail)?);
        let (mut body, mut length) = (response.bytes_stream(), 0);
        loop {
            match body.try_next().await {
                Ok(Some(bytes)) => {
                    length += bytes.len() as u64;
                    if length > LARGEST {
                        return Ok(false);
                    }
                    out.write_all(&bytes).await.map_err(fail)?;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(error = %error.without_url(), "a bucket broke off");
                    return Ok(false);
                }
            }
        }
        out.flush().await.map_err(fail)?;
        Ok(true)
    }
}

/// Writes the plain bytes to a file; `false` when they are not all right.
async fn unpack(
    reader: &BlobReader,
    part: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<bool, RemoteError> {
    let fail = |source| file("write", part, source);
    let mut out = File::create(part).await.map_err(fail)?;
    let (mut pieces, mut done) = (reader.stream(0..reader.size()), 0);
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => {
                out.write_all(&piece).await.map_err(fail)?;
                done += piece.len() as u64;
                progress(done);
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "what came from a bucket does not unpack");
                return Ok(false);
            }
        }
    }
    out.flush().await.map_err(fail)?;
    Ok(true)
}
