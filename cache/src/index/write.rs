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
    done: bool,
}

impl Index {
    /// Begins a transaction that will write. In SQLite, taking the lock at once avoids the one
    /// deadlock that waiting can't resolve: two readers that both want to become the writer. In
    /// PostgreSQL writers lock rows, always in the order builds, requests, revisions, journals,
    /// and each of those by its key.
    pub(super) async fn write(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.begin(doing, DURABLE).await
    }

    /// The same for what matters to running processes only, as what uploads hold: a power cut, which
    /// ends them as well, may undo it. Nothing is synced in a file; a server may go on with its
    /// clients after its own power cut, and is left as it is.
    pub(super) async fn write_for_now(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.begin(doing, WRITTEN).await
    }

    async fn begin(&self, doing: &'static str, synced: &'static str) -> Result<Write, StoreError> {
        let connection = self.pool.acquire().await.map_err(self.fail(doing))?;
        let mut write = Write { connection, done: false };
        let begin = match self.database.is_file() {
            true => {
                // Each time: the connection may have been used for the other kind.
                sqlx::query(synced).execute(&mut *write).await.map_err(self.fail(doing))?;
                "BEGIN IMMEDIATE"
            }
            false => "BEGIN",
        };
        sqlx::query(begin).execute(&mut *write).await.map_err(self.fail(doing))?;
        Ok(write)
    }
}

impl Write {
    /// Makes everything visible, and durable unless it is for now.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self).await?;
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
