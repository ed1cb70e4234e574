//! When builds were last asked for, and which ones are pinned.

use std::collections::{HashMap, HashSet};

use sqlx::AnyConnection;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::time;

use super::open::Index;
use super::value::input_key;

/// A use is written again when the last one is older than this, in seconds.
const HOUR: u64 = 3600;

/// The last use of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// When, seconds since 1970.
    pub(crate) at: i64,
    /// How often one was written.
    pub(crate) times: i64,
}

impl Index {
    /// Remembers that a build was asked for, to the hour: mostly one look-up that writes nothing.
    pub(crate) async fn used(&self, key: &InputKey) -> Result<(), StoreError> {
        let last: Option<(i64,)> = sqlx::query_as("SELECT at FROM uses WHERE input_key = $1")
            .bind(key.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail("noting a use"))?;
        // One in the future was noted by a clock that was wrong.
        let is_known = |now: i64| last.is_some_and(|(at,)| at.abs_diff(now) < HOUR);
        // The own clock costs nothing, and mostly says the same.
        if is_known(time::now()) {
            return Ok(());
        }
        let now = self.now().await;
        if is_known(now) { Ok(()) } else { self.used_at(key, now).await }
    }

    /// Remembers a use at a time. Whoever finds a build or reads a file need not wait until that is
    /// synced: it was there before, and after a power cut its last use may be the one before.
    async fn used_at(&self, key: &InputKey, at: i64) -> Result<(), StoreError> {
        let doing = "noting a use";
        let mut write = self.write_unsynced(doing).await?;
        note_use(&mut write, key, at).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// Remembers that somebody relies on a build, which was used at this time or later.
    pub(crate) async fn used_since(&self, key: &InputKey, at: i64) -> Result<(), StoreError> {
        let doing = "noting a use";
        let mut write = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO uses (input_key, at, times) VALUES ($1, $2, 1) \
             ON CONFLICT (input_key) DO UPDATE SET times = uses.times + 1, \
             at = CASE WHEN excluded.at > uses.at THEN excluded.at ELSE uses.at END",
        )
        .bind(key.to_string())
        .bind(at)
        .execute(&mut *write)
        .await
        .map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// How often a use of a build was written.
    pub(crate) async fn times(&self, key: &InputKey) -> Result<i64, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT times FROM uses WHERE input_key = $1")
            .bind(key.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail("looking for uses"))?;
        Ok(row.map_or(0, |(times,)| times))
    }

    /// Sets when a build was last used, if a use was written just so many times: another one by now
    /// is the last.
    pub(crate) async fn used_before(
        &self,
        key: &InputKey,
        at: i64,
        times: i64,
    ) -> Result<(), StoreError> {
        let doing = "noting a use";
        let mut write = self.write(doing).await?;
        sqlx::query("UPDATE uses SET at = $2 WHERE input_key = $1 AND times = $3")
            .bind(key.to_string())
            .bind(at)
            .bind(times)
            .execute(&mut *write)
            .await
            .map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// The newest build that has a file of this content.
    pub(crate) async fn newest_with(
        &self,
        digest: &Digest,
    ) -> Result<Option<InputKey>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(
            "SELECT a.input_key FROM artifacts a JOIN builds b ON b.input_key = a.input_key \
             WHERE a.digest = $1 ORDER BY b.created DESC, a.input_key LIMIT 1",
        )
        .bind(digest.to_hex())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fail("looking for the builds of a file"))?;
        row.map(|(key,)| input_key(&key)).transpose()
    }

    /// The last use of every build that was ever asked for.
    pub(crate) async fn uses(&self) -> Result<HashMap<InputKey, Use>, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as("SELECT input_key, at, times FROM uses")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing uses"))?;
        rows.iter()
            .map(|(key, at, times)| Ok((input_key(key)?, Use { at: *at, times: *times })))
            .collect()
    }

    /// Pins a build, or lets it go.
    pub(crate) async fn pin(&self, key: &InputKey, pinned: bool) -> Result<(), StoreError> {
        let (doing, now) = ("pinning a build", self.now().await);
        let mut write = self.write(doing).await?;
        let done = if pinned {
            let insert = "INSERT INTO pins (input_key, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            sqlx::query(insert).bind(key.to_string()).bind(now).execute(&mut *write).await
        } else {
            let delete = "DELETE FROM pins WHERE input_key = $1";
            sqlx::query(delete).bind(key.to_string()).execute(&mut *write).await
        };
        done.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// The pinned builds.
    pub(crate) async fn pins(&self) -> Result<HashSet<InputKey>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT input_key FROM pins")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing pins"))?;
        rows.iter().map(|(key,)| input_key(key)).collect()
    }
}

/// Writes a use.
pub(super) async fn note_use(
    connection: &mut AnyConnection,
    key: &InputKey,
    at: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO uses (input_key, at, times) VALUES ($1, $2, 1) \
         ON CONFLICT (input_key) DO UPDATE SET at = excluded.at, times = uses.times + 1",
    )
    .bind(key.to_string())
    .bind(at)
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    #[tokio::test]
    async fn a_use_beside_an_import_is_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("index.sqlite"));
        let (index, key) = (Index::open(&database).await.unwrap(), InputKey(Digest::of(b"a")));
        let times = index.times(&key).await.unwrap();
        index.used_at(&key, 2000).await.unwrap();
        index.used_before(&key, 1000, times + 1).await.unwrap();
        assert_eq!(index.uses().await.unwrap()[&key], Use { at: 1000, times: 1 });
        // Somebody asks for it before the import is done.
        let times = index.times(&key).await.unwrap();
        index.used_at(&key, 2000).await.unwrap();
        index.used_at(&key, 2001).await.unwrap();
        index.used_before(&key, 1000, times + 1).await.unwrap();
        assert_eq!(index.uses().await.unwrap()[&key], Use { at: 2001, times: 3 });
    }
}
