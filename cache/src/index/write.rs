//! A transaction that writes.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};

use crate::error::StoreError;

use super::open::{DURABLE, Index, WRITTEN};

/// An open transaction. Dropped before its end, it closes the connection, which rolls back.
///
/// Kept by hand because SQLite ends a transaction by itself when the disk is full: a pool that
/// counts transactions would hand the connection out again and believe that one is open.
pub(super) struct Write {
    connection: PoolConnection<Any>,
    /// Whether the connection is to be made durable again.
    unsynced: bool,
    done: bool,
}

impl Index {
    /// Begins a transaction that will write. In SQLite, taking the lock at once avoids the one
    /// deadlock that waiting can't resolve: two readers that both want to become the writer. In
    /// PostgreSQL writers lock rows, always in the order builds, requests, revisions, uses, journals,
    /// and each of those by its key.
    pub(super) async fn write(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.begin(doing, false).await
    }

    /// The same for what matters to running processes only, as what uploads hold: a power cut, which
    /// ends them as well, may undo it. Nobody waits for a disk, if it is a file; a server may go on
    /// with its clients after its own power cut, and is left as it is.
    pub(super) async fn write_unsynced(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.begin(doing, self.database.is_file()).await
    }

    async fn begin(&self, doing: &'static str, unsynced: bool) -> Result<Write, StoreError> {
        let connection = self.pool.acquire().await.map_err(self.fail(doing))?;
        let mut write = Write { connection, unsynced, done: false };
        let begin = if self.database.is_file() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        for statement in unsynced.then_some(WRITTEN).into_iter().chain([begin]) {
            sqlx::query(statement).execute(&mut *write).await.map_err(self.fail(doing))?;
        }
        Ok(write)
    }
}

impl Write {
    /// Makes everything visible, and durable unless it is unsynced.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self).await?;
        // Whoever has the connection next relies on it. One that can't be set back is closed.
        if self.unsynced && sqlx::query(DURABLE).execute(&mut *self).await.is_err() {
            return Ok(());
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::digest::Digest;

    /// 1 is NORMAL, 2 is FULL.
    async fn synced(connection: &mut AnyConnection) -> i64 {
        let row: (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(connection).await.unwrap();
        row.0
    }

    #[tokio::test]
    async fn what_is_written_after_something_unsynced_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("index.sqlite"));
        let index = Index::open(&database).await.unwrap();
        index.reserve("upload", &[Digest::of(b"a")]).await.unwrap();
        index.release("upload").await.unwrap();
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(index.pool.acquire().await.unwrap());
        }
        for connection in &mut all {
            assert_eq!(synced(connection).await, 2);
        }
        drop(all);
        // Given up halfway, and under way.
        drop(index.write_unsynced("x").await.unwrap());
        let mut write = index.write_unsynced("x").await.unwrap();
        assert_eq!(synced(&mut write).await, 1);
        write.commit().await.unwrap();
        let mut write = index.write("x").await.unwrap();
        assert_eq!(synced(&mut write).await, 2);
    }
}
