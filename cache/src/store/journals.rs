//! Journals of long jobs.

use serde_json::Value;

use crate::error::StoreError;
use crate::journal::{Journal, JournalSummary};
use crate::time::now;

use super::Store;

impl Store {
    /// Begins a journal. [`StoreError::JournalExists`] when there is one of that id.
    pub async fn journal_create(
        &self,
        id: &str,
        kind: &str,
        header: Value,
    ) -> Result<(), StoreError> {
        self.inner.index.create_journal(id, kind, &header, now()).await
    }

    /// Appends an entry; gives its number, counted from 1. When this returns, it is durable.
    pub async fn journal_append(&self, id: &str, event: Value) -> Result<u64, StoreError> {
        self.inner.index.append(id, &event, now()).await
    }

    /// A whole journal; `None` when there is none of that id.
    pub async fn journal_read(&self, id: &str) -> Result<Option<Journal>, StoreError> {
        self.inner.index.journal(id).await
    }

    /// The journals of a kind, newest first.
    pub async fn journals(&self, kind: &str) -> Result<Vec<JournalSummary>, StoreError> {
        self.inner.index.journals(kind).await
    }
}
