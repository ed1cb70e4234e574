//! Fetching a blob: resumed where it broke off, and proven before it appears.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::digest::Digest;

use super::client::Remote;
use super::error::RemoteError;
use super::upload::digest_of;

/// Attempts in a row that may bring nothing new.
const PATIENCE: u32 = 4;

/// The pause after the first of them; it doubles with each.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

/// How one attempt ended.
enum Attempt {
    /// All bytes are there.
    Complete,
    /// The connection broke.
    Broken(String),
}

impl Remote {
    /// Fetches the blob `digest` of `size` bytes to the file `to`. It arrives in `<to>.part`,
    /// which is kept when the transfer breaks off and is gone on from, in this call or in a later
    /// one. The file appears only whole, checked against the digest, and with a content that is synced.
    /// One that is there by then is replaced only if `replace` says so: else the error is that it
    /// exists, and the part is kept. Where the remote names addresses in a bucket, it comes from there,
    /// at once or not at all.
    ///
    /// `progress` is told how many of the bytes are there.
    pub async fn download(
        &self,
        digest: &Digest,
        size: u64,
        to: &Path,
        replace: bool,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RemoteError> {
        let part = part_of(to);
        let resumed = length(&part).await? > 0;
        if !resumed && self.fill_from_bucket(digest, size, &part, progress).await? {
            return publish(&part, to, replace).await;
        }
        self.fill(digest, size, &part, progress).await?;
        if digest_of(&part).await? != *digest {
            remove(&part).await?;
            let wrong = || RemoteError::WrongBytes { url: self.url().to_owned(), digest: *digest };
            if !resumed {
                return Err(wrong());
            }
            // What lay there may have been the beginning of another file.
            tracing::info!(%digest, "the partial file did not fit: fetching all of it");
            self.fill(digest, size, &part, progress).await?;
            if digest_of(&part).await? != *digest {
                remove(&part).await?;
                return Err(wrong());
            }
        }
        publish(&part, to, replace).await
    }

    /// Brings the partial file to its full length, over as many connections as it takes.
    async fn fill(
        &self,
        digest: &Digest,
        size: u64,
        part: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RemoteError> {
        let mut idle = 0;
        loop {
            let before = length(part).await?;
            let why = match self.attempt(digest, size, part, progress).await? {
                Attempt::Complete => return Ok(()),
                Attempt::Broken(why) => why,
            };
            let done = length(part).await?;
            idle = if done > before { 0 } else { idle + 1 };
            if idle == PATIENCE {
                if done == 0 {
                    remove(part).await?;
                }
                let digest = *digest;
                return Err(RemoteError::Interrupted { digest, done, total: size, why });
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(idle)).await;
        }
    }

    /// One connection.
    async fn attempt(
        &self,
        digest: &Digest,
        size: u64,
        part: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Attempt, RemoteError> {
        let mut have = length(part).await?;
        if have > size {
            remove(part).await?;
            have = 0;
        }
        if have == size && size > 0 {
            progress(size);
            return Ok(Attempt::Complete);
        }
        let mut request = self.client.get(self.address(&["v1", "blobs", &digest.to_hex()]));
        if have > 0 {
            // A blob's entity tag is its digest: another tag is another file, sent from its start.
            request = request
                .header(RANGE, format!("bytes={have}-"))
                .header(IF_RANGE, format!("\"{digest}\""));
        }
        let response = match request.send().await {
            Ok(response) => response,
            // Nobody there: only worth another try when something arrived before.
            Err(error) if have == 0 && (error.is_connect() || error.is_timeout()) => {
                return Err(self.broken(error));
            }
            Err(error) => return Ok(Attempt::Broken(error.without_url().to_string())),
        };
        let from = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => start_of(&response).unwrap_or(u64::MAX),
            StatusCode::NOT_FOUND => {
                let (url, digest) = (self.url().to_owned(), *digest);
                return Err(RemoteError::Missing { url, digest });
            }
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                remove(part).await?;
                return Ok(Attempt::Broken("the server could not go on from there".into()));
            }
            _ => return Err(self.refusal(response).await),
        };
        if from != 0 && from != have {
            let (url, digest) = (self.url().to_owned(), *digest);
            remove(part).await?;
            tracing::warn!(%url, %digest, from, have, "the server sent another range than asked");
            return Ok(Attempt::Broken("the server sent another range than asked".into()));
        }
        self.receive(response, digest, from, size, part, progress).await
    }

    async fn receive(
        &self,
        response: Response,
        digest: &Digest,
        from: u64,
        size: u64,
        part: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Attempt, RemoteError> {
        let fail = |source| file("write", part, source);
        let opened = File::options().create(true).append(true).open(part).await.map_err(fail)?;
        // 0 when the server starts over.
        opened.set_len(from).await.map_err(fail)?;
        let mut out = BufWriter::with_capacity(BUFFER, opened);
        let mut done = from;
        let mut body = response.bytes_stream();
        progress(done);
        let end = loop {
            match body.next().await {
                None if done == size => break Attempt::Complete,
                None => break Attempt::Broken("the answer ended early".into()),
                Some(Err(error)) => break Attempt::Broken(error.without_url().to_string()),
                Some(Ok(bytes)) => {
                    done += bytes.len() as u64;
                    if done > size {
                        remove(part).await?;
                        let (url, digest) = (self.url().to_owned(), *digest);
                        return Err(RemoteError::WrongBytes { url, digest });
                    }
                    out.write_all(&bytes).await.map_err(fail)?;
                    progress(done);
                }
            }
        };
        out.flush().await.map_err(fail)?;
        Ok(end)
    }
}

/// `<to>.part`.
fn part_of(to: &Path) -> PathBuf {
    let mut name = OsString::from(to.as_os_str());
    name.push(".part");
    name.into()
}

/// Where the bytes of a partial answer begin.
fn start_of(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Length of a file; 0 when there is none.
async fn length(path: &Path) -> Result<u64, RemoteError> {
    match tokio::fs::metadata(path).await {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(file("read", path, source)),
    }
}

pub(super) async fn remove(path: &Path) -> Result<(), RemoteError> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path, error)),
        _ => Ok(()),
    }
}

/// Gives the finished file its name, once its content is durable: a power cut leaves all of it, or a
/// part that the next download goes on with.
async fn publish(part: &Path, to: &Path, replace: bool) -> Result<(), RemoteError> {
    let fail = |source| file("write", to, source);
    File::open(part).await.map_err(fail)?.sync_data().await.map_err(fail)?;
    if replace {
        return tokio::fs::rename(part, to).await.map_err(fail);
    }
    // A second name is given to nothing that exists.
    tokio::fs::hard_link(part, to).await.map_err(fail)?;
    remove(part).await
}

pub(super) fn file(doing: &'static str, path: &Path, source: io::Error) -> RemoteError {
    RemoteError::File { doing, path: path.to_owned(), source }
}
