//! The first page: bisections and totals.

use axum::extract::State;
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_cache::Store;
use kiln_cache::journal::JournalSummary;
use maud::{Markup, html};

use super::bisection::range;
use super::frame::page;
use crate::kiln::common::when;
use crate::service::error::ApiError;
use crate::terminal::text::size;

/// Bisections shown at most; the API has them all.
const SHOWN: usize = 100;

/// `GET /`
pub(crate) async fn home(State(store): State<Store>) -> Result<Markup, ApiError> {
    let stats = store.stats().await?;
    let mut rows = Vec::new();
    for summary in store.journals(JOURNAL_KIND).await?.iter().take(SHOWN) {
        if let Some(journal) = store.journal_read(&summary.id).await? {
            // One that can't be read hides none of the others.
            rows.push(Record::from_journal(journal).map_or_else(|_| unreadable(summary), row));
        }
    }
    Ok(page(
        "Bisections",
        &html! {
            h1 { "Bisections" }
            @if rows.is_empty() {
                p { "None yet. " code { "kiln bisect --help" } " says how to start one." }
            } @else {
                table {
                    thead { tr { th { "started (UTC)" } th { "answer" } th { "commit" } th { "range" } } }
                    tbody {
                        @for row in &rows { (row) }
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

fn unreadable(summary: &JournalSummary) -> Markup {
    html! {
        tr {
            td { (when(summary.created)) }
            td { "unreadable" }
            td {}
            td { code { (summary.id) } }
        }
    }
}

fn row(record: Record) -> Markup {
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
                code { (range(&record)) }
            }
        }
    }
}
