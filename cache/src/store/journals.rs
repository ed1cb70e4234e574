//! Journals of long jobs.

use serde_json::Value;

use crate::error::StoreError;
use crate::journal::{Entry, Journal, JournalSummary};
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

    /// Entries of a journal with numbers above `after`, oldest first; none when there is no such
    /// journal. Numbers never go back: whoever has read up to one has read all before it.
    pub async fn journal_since(&self, id: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
        self.inner.index.entries_since(id, after).await
    }

    /// The last entries of a journal, at most `count`, oldest first.
    pub async fn journal_tail(&self, id: &str, count: u32) -> Result<Vec<Entry>, StoreError> {
        self.inner.index.last_entries(id, count).await
    }

    /// The journals of a kind, newest first.
    pub async fn journals(&self, kind: &str) -> Result<Vec<JournalSummary>, StoreError> {
        self.inner.index.journals(kind).await
    }
}
