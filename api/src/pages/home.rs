//! The first page: bisections and totals.

use axum::extract::State;
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_cache::Store;
use maud::{Markup, html};

use super::frame::page;
use crate::kiln::common::when;
use crate::service::error::ApiError;
use crate::terminal::text::size;

/// Bisections shown at most; the API has them all.
const SHOWN: usize = 100;

/// `GET /`
pub(crate) async fn home(State(store): State<Store>) -> Result<Markup, ApiError> {
    let stats = store.stats().await?;
    let mut records = Vec::new();
    for summary in store.journals(JOURNAL_KIND).await?.iter().take(SHOWN) {
        if let Some(journal) = store.journal_read(&summary.id).await? {
            records.push(Record::from_journal(journal).map_err(|e| ApiError::internal(&e))?);
        }
    }
    Ok(page(
        "Bisections",
        &html! {
            h1 { "Bisections" }
            @if records.is_empty() {
                p { "None yet. " code { "kiln bisect --help" } " says how to start one." }
            } @else {
                table {
                    thead { tr { th { "started (UTC)" } th { "answer" } th { "commit" } th { "range" } } }
                    tbody {
                        @for record in &records { (row(record)) }
                    }
                }
            }
            h2 { "The store" }
            dl {
                dt { "builds" }
                dd { (stats.builds) ", " (stats.failed_builds) " of them do not build" }
                dt { "distinct images" } dd { (stats.images) }
                dt { "artifacts" }
                dd {
                    (stats.artifacts) ", " (size(stats.artifact_bytes)) ", stored in "
                    (size(stats.stored_bytes))
                }
                dt { "runs" } dd { (stats.runs) }
            }
        },
    ))
}

fn row(record: &Record) -> Markup {
    let verdict = record.finish().map(|(verdict, _)| verdict);
    html! {
        tr {
            td { a href={ "/bisections/" (record.id) } { (when(record.created)) } }
            td { (verdict.map_or("unfinished", |verdict| verdict.word())) }
            td {
                @if let Some(commit) = verdict.and_then(|verdict| verdict.culprit()) {
                    code { (commit.short()) } " " (commit.subject)
                }
            }
            td class="soft" {
                code { (record.header.ends().0.short()) ".." (record.header.ends().1.short()) }
            }
        }
    }
}
