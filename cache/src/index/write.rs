//! A transaction that writes.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection};

use crate::error::StoreError;

use super::open::Index;

/// An open transaction. Dropped before its end, it closes the connection, which rolls back.
///
/// Kept by hand because SQLite ends a transaction by itself when the disk is full: a pool that
/// counts transactions would hand the connection out again and believe that one is open.
pub(super) struct Write {
    connection: PoolConnection<Sqlite>,
    done: bool,
}

impl Index {
    /// Begins a transaction that will write. Taking the lock at once avoids the one deadlock that
    /// waiting can't resolve: two readers that both want to become the writer.
    pub(super) async fn write(&self, doing: &'static str) -> Result<Write, StoreError> {
        let connection = self.pool.acquire().await.map_err(self.fail(doing))?;
        let mut write = Write { connection, done: false };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *write).await.map_err(self.fail(doing))?;
        Ok(write)
    }
}

impl Write {
    /// Makes everything durable and visible.
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
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}
