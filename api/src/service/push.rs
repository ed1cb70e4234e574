//! Uploads: blobs, checked against their names, and builds made of them.
//!
//! Of several who send one file at the same time, one does: the others wait without sending, in
//! their question whether it is here ([`awaited`]) or in the upload itself, and find it done.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures::StreamExt;
use kiln_cache::remote::{PushAnswer, PushRequest};
use kiln_cache::{Digest, Store, StoreError, Turn, Turns};
use metrics::counter;
use tokio::io::AsyncWriteExt;

use super::access::Uploader;
use super::error::ApiError;

/// Bytes of one upload, at most: a kernel with all its debug information is below 2 GiB.
const LARGEST: u64 = 4 << 30;
/// Bytes of the description of a build.
const DESCRIPTION: usize = 16 << 20;
/// How long one who waits for another's upload is kept waiting before it is answered: less than a
/// client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an upload may bring nothing before it is given up: others wait for it.
const IDLE: Duration = Duration::from_secs(60);

/// Waits for an upload of the blob that is under way; `true` when it still is.
pub(super) async fn awaited(uploads: &Turns, digest: &Digest) -> bool {
    uploads.is_taken(digest) && uploads.take_within(digest, PATIENCE).await.is_none()
}

/// Takes a blob. Its bytes go to a file without a name first, so a transfer that breaks off leaves
/// nothing, and what is not the named content is refused.
pub(crate) async fn blob(
    _: Uploader,
    State(store): State<Store>,
    State(uploads): State<Turns>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let digest: Digest = digest
        .parse()
        .map_err(|error: kiln_cache::ParseDigestError| ApiError::bad_request(error.to_string()))?;
    // After the longest wait it goes on beside the other.
    let turn = uploads.take_within(&digest, PATIENCE).await;
    if turn.as_ref().is_some_and(Turn::waited) && store.reader(&digest).await.is_ok() {
        counter!("kiln_uploads_total", "result" => "merged").increment(1);
        return Ok(StatusCode::OK);
    }
    let folder = store.folder();
    let staged = tempfile::NamedTempFile::new_in(&folder)
        .map_err(|error| ApiError::internal(&error))?
        .into_temp_path();
    let file = tokio::fs::File::create(&staged).await;
    let mut file = file.map_err(|error| ApiError::internal(&error))?;
    let (mut size, mut chunks) = (0_u64, body.into_data_stream());
    let stalled = |_| ApiError::bad_request(format!("nothing came for {} s", IDLE.as_secs()));
    while let Some(chunk) = tokio::time::timeout(IDLE, chunks.next()).await.map_err(stalled)? {
        let chunk = chunk.map_err(|error| ApiError::bad_request(error.to_string()))?;
        size += chunk.len() as u64;
        if size > LARGEST {
            return Err(ApiError::bad_request(format!("files over {LARGEST} bytes are not taken")));
        }
        file.write_all(&chunk).await.map_err(|error| ApiError::internal(&error))?;
    }
    file.flush().await.map_err(|error| ApiError::internal(&error))?;
    drop(file);
    let (found, _) = store.put_file_as(&staged, &digest).await?.ok_or_else(|| {
        ApiError::bad_request(format!("the {size} bytes that came are not blob {digest}"))
    })?;
    tracing::info!(digest = %found, size, "uploaded");
    counter!("kiln_uploads_total", "result" => "stored").increment(1);
    Ok(StatusCode::CREATED)
}

/// Makes a build of blobs that are here. Digests are names of what was checked before; sizes and
/// signatures are computed here.
pub(crate) async fn build(
    _: Uploader,
    State(store): State<Store>,
    body: Body,
) -> Result<Json<PushAnswer>, ApiError> {
    let body = axum::body::to_bytes(body, DESCRIPTION)
        .await
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let request: PushRequest =
        serde_json::from_slice(&body).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let files: Vec<_> = request.files.into_iter().map(|file| (file.name, file.digest)).collect();
    let pushed = store.push_blobs(&files, request.commit.as_deref()).await;
    let pushed = pushed.map_err(|error| match error {
        error @ (StoreError::Draft(_) | StoreError::Signature { .. }) => {
            ApiError::bad_request(error.to_string())
        }
        // It is in the quarantine by now, or nothing but its bytes will do: the client has it, and
        // sends it again.
        error @ (StoreError::Corrupt { .. } | StoreError::NotRepeated(_)) => {
            ApiError::not_found(error.to_string())
        }
        error => error.into(),
    })?;
    Ok(Json(PushAnswer { build: pushed.manifest.input_key, files: pushed.files }))
}
