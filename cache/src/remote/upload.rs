//! Sending files to another Kiln, which checks every byte against its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use reqwest::{Body, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::input::InputKey;
use crate::store::PushedFile;

use super::client::Remote;
use super::error::RemoteError;

/// Bytes sent at a time.
const PIECE: usize = 1 << 18;

/// How long a server may take to store what it has received, beyond its usual time to answer.
const STORING: Duration = Duration::from_secs(270);

/// Bytes of a build that a server reads and signs in a second, at least.
const READING: u64 = 4 << 20;

/// How often files are sent, when the remote misses some of them in the end: one more for what was
/// removed, one more for what something else rests on.
const ROUNDS: u32 = 3;

/// A build to be made of blobs that were sent before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushRequest {
    /// What it was built from, if that is known.
    #[serde(default)]
    pub commit: Option<String>,
    /// Its files.
    pub files: Vec<PushRequestFile>,
}

/// A file of such a build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushRequestFile {
    /// Name within the build.
    pub name: String,
    /// The blob.
    pub digest: Digest,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushAnswer {
    /// The build's key.
    pub build: InputKey,
    /// Its files.
    pub files: Vec<PushedFile>,
}

impl Remote {
    /// Size of a blob that the remote has; [`RemoteError::Missing`] when it has none.
    pub async fn size(&self, digest: &Digest) -> Result<u64, RemoteError> {
        let missing = || RemoteError::Missing { url: self.url().to_owned(), digest: *digest };
        self.look(digest).await?.ok_or_else(missing)
    }

    async fn look(&self, digest: &Digest) -> Result<Option<u64>, RemoteError> {
        let url = self.address(&["v1", "blobs", &digest.to_hex()]);
        let mut response = self.head(&url).await?;
        // Somebody else is sending it: each answer takes a while.
        while response.headers().contains_key(reqwest::header::RETRY_AFTER)
            && response.status() == StatusCode::NOT_FOUND
        {
            response = self.head(&url).await?;
        }
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let length = response.headers().get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
                Ok(Some(length.ok_or_else(|| self.nonsense("a file without a length".into()))?))
            }
            _ => Err(self.refusal(response).await),
        }
    }

    async fn head(&self, url: &Url) -> Result<Response, RemoteError> {
        self.client.head(url.clone()).send().await.map_err(|error| self.broken(error))
    }

    /// Sends files as one build, each under its name. What the remote has already is not sent
    /// again, so a push that broke off goes on where it was, file by file; what the remote lost or
    /// found to be wrong meanwhile is. `sending` is told the name of each file that is sent.
    pub async fn push(
        &self,
        files: &[(String, PathBuf)],
        commit: Option<&str>,
        sending: &(dyn Fn(&str) + Sync),
    ) -> Result<(InputKey, Vec<PushedFile>), RemoteError> {
        let mut named = Vec::with_capacity(files.len());
        for (name, path) in files {
            named.push(PushRequestFile { name: name.clone(), digest: digest_of(path).await? });
        }
        let request = PushRequest { commit: commit.map(str::to_owned), files: named };
        let mut total = 0;
        for (_, path) in files {
            let fail = |source| RemoteError::File { doing: "read", path: path.clone(), source };
            total += tokio::fs::metadata(path).await.map_err(fail)?.len();
        }
        let patience = self.timeouts.idle + STORING + Duration::from_secs(total / READING);
        let mut round = 1;
        let response = loop {
            for (PushRequestFile { name, digest }, (_, path)) in request.files.iter().zip(files) {
                if self.look(digest).await?.is_none() {
                    sending(name);
                    self.send(digest, path).await?;
                }
            }
            let url = self.address(&["v1", "builds"]);
            // It reads all of them before it says a word.
            let asked = self.sending()?.post(url).json(&request).timeout(patience);
            let sent = asked.send().await;
            let response = sent.map_err(|error| self.broken(error))?;
            // A file was there a moment ago, and is not, or is found to be wrong.
            if response.status() == StatusCode::NOT_FOUND && round < ROUNDS {
                round += 1;
                continue;
            }
            break response;
        };
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        let answer: PushAnswer =
            serde_json::from_slice(&body).map_err(|error| self.nonsense(error.to_string()))?;
        Ok((answer.build, answer.files))
    }

    async fn send(&self, digest: &Digest, path: &Path) -> Result<(), RemoteError> {
        let fail = |source| RemoteError::File { doing: "read", path: path.to_owned(), source };
        let file = tokio::fs::File::open(path).await.map_err(fail)?;
        let length = file.metadata().await.map_err(fail)?.len();
        let pieces = tokio_util::io::ReaderStream::with_capacity(file, PIECE);
        let pace = Arc::new(Pace::default());
        let counted = {
            let pace = Arc::clone(&pace);
            pieces.inspect_ok(move |piece| pace.sent(piece.len() as u64))
        };
        let url = self.address(&["v1", "blobs", &digest.to_hex()]);
        let request = self.sending()?.put(url).header(reqwest::header::CONTENT_LENGTH, length);
        let sent = tokio::select! {
            sent = request.body(Body::wrap_stream(counted)).send() => sent,
            done = pace.stalls(self.timeouts.idle, length) => {
                let why = "the server takes nothing more".into();
                return Err(RemoteError::Unsent { digest: *digest, done, total: length, why });
            }
        };
        let response = sent.map_err(|error| self.broken(error))?;
        if response.status().is_success() { Ok(()) } else { Err(self.refusal(response).await) }
    }
}

/// How far an upload is.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pace {
    fn sent(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Ends when nothing was sent for `idle`, or when the server has had all for so long that it
    /// will not answer; gives the bytes that were sent.
    async fn stalls(&self, idle: Duration, length: u64) -> u64 {
        let mut before = None;
        loop {
            let done = self.0.load(Ordering::Relaxed);
            if before == Some(done) {
                return done;
            }
            before = Some(done);
            // With all there, it hashes, packs and syncs.
            tokio::time::sleep(if done < length { idle } else { idle + STORING }).await;
        }
    }
}

/// The digest of a file.
pub(super) async fn digest_of(path: &Path) -> Result<Digest, RemoteError> {
    let owned = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || Digest::of_file(&owned)).await;
    let hashed = hashed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    hashed.map_err(|source| RemoteError::File { doing: "read", path: path.to_owned(), source })
}
