//! Is the service well, and what does it hold?

use axum::Json;
use axum::extract::State;
use kiln_cache::{Stats, Store};

use super::error::ApiError;

/// 200 when the store answers.
pub(crate) async fn health(State(store): State<Store>) -> Result<&'static str, ApiError> {
    // One question to the database; none that grows with the store.
    store.journal_read("").await?;
    Ok("ok\n")
}

/// What the store holds.
pub(crate) async fn stats(State(store): State<Store>) -> Result<Json<Stats>, ApiError> {
    Ok(Json(store.stats().await?))
}
