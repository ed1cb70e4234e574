//! Builds by the requests that lead to them: what another Kiln asks before it compiles.

use axum::Json;
use axum::extract::{Path, State};
use kiln_cache::{InputKey, Manifest, Store};
use metrics::counter;

use super::error::ApiError;

/// The build of a request that leads to just its own input. Proofs are not passed on: whoever asks
/// can't check them. Nor is what rests on a proof that was refuted here.
pub(crate) async fn build(
    State(store): State<Store>,
    Path(key): Path<String>,
) -> Result<Json<Manifest>, ApiError> {
    let key: InputKey = key
        .parse()
        .map(InputKey)
        .map_err(|error: kiln_cache::ParseDigestError| ApiError::bad_request(error.to_string()))?;
    let miss = |why: &'static str, message: &str| {
        counter!("kiln_lookups_total", "result" => "miss", "why" => why).increment(1);
        Err(ApiError::not_found(message))
    };
    if store.proof_of_request(&key).await?.is_some() {
        return miss("proved-only", "that request is known by a proof only");
    }
    let Some(manifest) = store.build_by_request(&key).await? else {
        return miss("unknown-request", "that request is not known");
    };
    if store.is_void(&manifest).await? {
        return miss("refuted", "that build rests on what an audit refuted");
    }
    if !store.is_whole(&manifest).await? {
        return miss("files-lost", "files of that build were lost");
    }
    counter!("kiln_lookups_total", "result" => "hit", "why" => "request").increment(1);
    Ok(Json(manifest))
}
