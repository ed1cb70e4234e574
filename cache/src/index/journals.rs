//! Journals.

use serde_json::Value;

use crate::error::StoreError;
use crate::journal::{Entry, Journal, JournalSummary};

use super::open::Index;
use super::value::{damaged, from_column};

impl Index {
    /// Begins a journal.
    pub(crate) async fn create_journal(
        &self,
        id: &str,
        kind: &str,
        header: &Value,
        now: i64,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "INSERT INTO journals (id, kind, header, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(kind)
        .bind(header.to_string())
        .bind(now)
        .execute(&self.pool)
        .await
        .map_err(self.fail("creating a journal"))?;
        match done.rows_affected() {
            0 => Err(StoreError::JournalExists(id.to_owned())),
            _ => Ok(()),
        }
    }

    /// Appends an entry; gives its number.
    pub(crate) async fn append(
        &self,
        id: &str,
        event: &Value,
        now: i64,
    ) -> Result<u64, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "INSERT INTO journal_events (journal, seq, at, event) \
             SELECT j.id, \
                    (SELECT COALESCE(MAX(e.seq), 0) + 1 FROM journal_events e \
                     WHERE e.journal = j.id), \
                    $2, $3 \
             FROM journals j WHERE j.id = $1 RETURNING seq",
        )
        .bind(id)
        .bind(now)
        .bind(event.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fail("appending to a journal"))?;
        match row {
            Some((seq,)) => Ok(from_column(seq)),
            None => Err(StoreError::UnknownJournal(id.to_owned())),
        }
    }

    /// A whole journal.
    pub(crate) async fn journal(&self, id: &str) -> Result<Option<Journal>, StoreError> {
        let doing = "reading a journal";
        let head: Option<(String, String, i64)> =
            sqlx::query_as("SELECT kind, header, created FROM journals WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await
                .map_err(self.fail(doing))?;
        let Some((kind, header, created)) = head else { return Ok(None) };
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT seq, at, event FROM journal_events WHERE journal = $1 ORDER BY seq",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail(doing))?;
        let events = rows
            .into_iter()
            .map(|(seq, at, event)| {
                let event = json("journal_events.event", &event)?;
                Ok(Entry { seq: from_column(seq), at, event })
            })
            .collect::<Result<_, StoreError>>()?;
        let header = json("journals.header", &header)?;
        Ok(Some(Journal { id: id.to_owned(), kind, header, created, events }))
    }

    /// All journals of a kind, newest first.
    pub(crate) async fn journals(&self, kind: &str) -> Result<Vec<JournalSummary>, StoreError> {
        let rows: Vec<(String, String, i64, i64, i64)> = sqlx::query_as(
            "SELECT j.id, j.header, j.created, COUNT(e.seq), COALESCE(MAX(e.at), j.created) \
             FROM journals j LEFT JOIN journal_events e ON e.journal = j.id \
             WHERE j.kind = $1 GROUP BY j.id, j.header, j.created \
             ORDER BY j.created DESC, j.id DESC",
        )
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("listing journals"))?;
        rows.into_iter()
            .map(|(id, header, created, events, updated)| {
                Ok(JournalSummary {
                    id,
                    kind: kind.to_owned(),
                    header: json("journals.header", &header)?,
                    created,
                    events: from_column(events),
                    updated,
                })
            })
            .collect()
    }
}

fn json(column: &str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}
