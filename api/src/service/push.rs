//! Uploads: blobs, checked against their names, and builds made of them.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures::StreamExt;
use kiln_cache::remote::{PushAnswer, PushRequest};
use kiln_cache::{Digest, Store, StoreError};
use tokio::io::AsyncWriteExt;

use super::error::ApiError;

/// Bytes of one upload, at most: a kernel with all its debug information is below 2 GiB.
const LARGEST: u64 = 4 << 30;
/// Bytes of the description of a build.
const DESCRIPTION: usize = 16 << 20;

/// Takes a blob. Its bytes go to a file without a name first, so a transfer that breaks off leaves
/// nothing, and what is not the named content is refused.
pub(crate) async fn blob(
    State(store): State<Store>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let digest: Digest = digest
        .parse()
        .map_err(|error: kiln_cache::ParseDigestError| ApiError::bad_request(error.to_string()))?;
    let folder = store.folder();
    let staged = tempfile::NamedTempFile::new_in(&folder)
        .map_err(|error| ApiError::internal(&error))?
        .into_temp_path();
    let file = tokio::fs::File::create(&staged).await;
    let mut file = file.map_err(|error| ApiError::internal(&error))?;
    let (mut size, mut chunks) = (0_u64, body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
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
    Ok(StatusCode::CREATED)
}

/// Makes a build of blobs that are here. Digests are names of what was checked before; sizes and
/// signatures are computed here.
pub(crate) async fn build(
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
        error => error.into(),
    })?;
    Ok(Json(PushAnswer { build: pushed.manifest.input_key, files: pushed.files }))
}
