//! The records of bisections.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use kiln_bisect::console::Patterns;
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_cache::Store;
use kiln_cache::journal::JournalSummary;

use super::error::ApiError;
use crate::kiln::logs::{self, Format};

/// The bisections, newest first.
pub(crate) async fn list(
    State(store): State<Store>,
) -> Result<Json<Vec<JournalSummary>>, ApiError> {
    Ok(Json(store.journals(JOURNAL_KIND).await?))
}

/// One record: header and events.
pub(crate) async fn record(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let record = read(&store, &id).await?;
    Ok(Json(logs::json(&record)).into_response())
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct LogQuery {
    #[serde(default)]
    format: Format,
}

/// One record as a log.
pub(crate) async fn log(
    State(store): State<Store>,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<String, ApiError> {
    let record = read(&store, &id).await?;
    let log = logs::render(&store, &record, query.format, &Patterns::default())
        .await
        .map_err(|error| ApiError::internal(error.as_ref()))?;
    if let Some(error) = log.without_crash {
        tracing::warn!(id, error, "the log of a bisection is given without its crash");
    }
    Ok(log.text)
}

/// Reads a record.
pub(crate) async fn read(store: &Store, id: &str) -> Result<Record, ApiError> {
    let journal = store
        .journal_read(id)
        .await?
        .filter(|journal| journal.kind == JOURNAL_KIND)
        .ok_or_else(|| ApiError::not_found(format!("no bisection is known by '{id}'")))?;
    Record::from_journal(journal).map_err(|error| ApiError::internal(&error))
}
