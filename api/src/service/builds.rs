//! Builds, by any of their names.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use kiln_cache::{Manifest, Query, Store};

use super::blobs::serve;
use super::error::ApiError;

/// The manifest of one build.
pub(crate) async fn build(
    State(store): State<Store>,
    Path(selector): Path<String>,
) -> Result<Json<Manifest>, ApiError> {
    Ok(Json(find(&store, &selector).await?))
}

/// A file of one build.
pub(crate) async fn artifact(
    State(store): State<Store>,
    Path((selector, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let manifest = find(&store, &selector).await?;
    let artifact = manifest.artifact(&name).ok_or_else(|| {
        let names: Vec<&str> = manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
        ApiError::not_found(format!("that build has no '{name}'; it has: {}", names.join(", ")))
    })?;
    serve(&store, &artifact.digest, &headers).await
}

async fn find(store: &Store, selector: &str) -> Result<Manifest, ApiError> {
    let query = Query::parse(selector).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let build = store.find_build(&query).await?;
    build.ok_or_else(|| ApiError::not_found(format!("no build is known by '{selector}'")))
}
