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
            "INSERT INTO journals (id, kind, header, created, events, updated) \
             VALUES ($1, $2, $3, $4, 0, $4) ON CONFLICT (id) DO NOTHING",
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
        let doing = "appending to a journal";
        let mut transaction = self.write(doing).await?;
        // Whoever counts first writes first: the others wait at the journal's row.
        let counted: Option<(i64,)> = sqlx::query_as(
            "UPDATE journals SET events = events + 1, updated = $2 WHERE id = $1 RETURNING events",
        )
        .bind(id)
        .bind(now)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(self.fail(doing))?;
        let Some((seq,)) = counted else { return Err(StoreError::UnknownJournal(id.to_owned())) };
        sqlx::query("INSERT INTO journal_events (journal, seq, at, event) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(seq)
            .bind(now)
            .bind(event.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.fail(doing))?;
        transaction.commit().await.map_err(self.fail(doing))?;
        Ok(from_column(seq))
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
        let events = entries(rows)?;
        let header = json("journals.header", &header)?;
        Ok(Some(Journal { id: id.to_owned(), kind, header, created, events }))
    }

    /// Entries with numbers above `after`, oldest first.
    pub(crate) async fn entries_since(
        &self,
        id: &str,
        after: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT seq, at, event FROM journal_events WHERE journal = $1 AND seq > $2 ORDER BY seq",
        )
        .bind(id)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("reading on in a journal"))?;
        entries(rows)
    }

    /// The last entries, at most `count`, oldest first.
    pub(crate) async fn last_entries(
        &self,
        id: &str,
        count: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut rows: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT seq, at, event FROM journal_events WHERE journal = $1 \
             ORDER BY seq DESC LIMIT $2",
        )
        .bind(id)
        .bind(i64::from(count))
        .fetch_all(&self.pool)
        .await
        .map_err(self.fail("reading the end of a journal"))?;
        rows.reverse();
        entries(rows)
    }

    /// All journals of a kind, newest first.
    pub(crate) async fn journals(&self, kind: &str) -> Result<Vec<JournalSummary>, StoreError> {
        let rows: Vec<(String, String, i64, i64, i64)> = sqlx::query_as(
            "SELECT id, header, created, events, updated FROM journals \
             WHERE kind = $1 ORDER BY created DESC, id DESC",
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

fn entries(rows: Vec<(i64, i64, String)>) -> Result<Vec<Entry>, StoreError> {
    let entry = |(seq, at, event): (i64, i64, String)| {
        let event = json("journal_events.event", &event)?;
        Ok(Entry { seq: from_column(seq), at, event })
    };
    rows.into_iter().map(entry).collect()
}

fn json(column: &str, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}
