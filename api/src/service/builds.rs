//! Builds, by any of their names.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kiln_cache::Manifest;

use super::blobs::{holds, serve};
use super::error::ApiError;
use super::state::Service;

/// The manifest of one build.
pub(crate) async fn build(
    State(service): State<Service>,
    Path(selector): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = service.lookups.build(&service.store, &selector).await?;
    let etag = [(header::ETAG, answer.etag.as_str())];
    if holds(&headers, &header::IF_NONE_MATCH, &answer.etag) {
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((etag, kind, answer.json).into_response())
}

/// A file of one build.
pub(crate) async fn artifact(
    State(service): State<Service>,
    Path((selector, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let answer = service.lookups.build(&service.store, &selector).await?;
    let manifest: Manifest =
        serde_json::from_slice(&answer.json).map_err(|error| ApiError::internal(&error))?;
    let artifact = manifest.artifact(&name).ok_or_else(|| {
        let names: Vec<&str> = manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
        ApiError::not_found(format!("that build has no '{name}'; it has: {}", names.join(", ")))
    })?;
    serve(&service, &artifact.digest, &headers).await
}
