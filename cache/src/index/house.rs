//! Who packs or collects garbage, and what may be removed. `src/retention/mod.rs` says how it all
//! fits together.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::Any;
use sqlx::pool::PoolConnection;
use uuid::Uuid;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;

use super::builds::delete;
use super::hold::{hold, take_long_turn, take_turn};
use super::open::Index;
use super::value::input_key;
use super::write::Write;

/// How often, and after how long, the server's lock is asked for again: a server notices only a moment
/// later that the connection of who was done has ended.
const NOTICED: u32 = 20;
const SOON: Duration = Duration::from_millis(50);

/// The only one who packs or collects garbage, until somebody else is.
pub(crate) struct Alone {
    /// Holds the server's lock for politeness: others hear at once that they have to wait. (Nobody
    /// uses it, but threads can't share it without a mutex.)
    _connection: Option<Mutex<PoolConnection<Any>>>,
    /// Which beginning of such work this was.
    epoch: i64,
}

/// A build, as it was when somebody decided that it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The digest of its manifest object.
    pub(crate) manifest: Digest,
    /// The object's entity tag.
    pub(crate) tag: Option<String>,
    /// How often a use of it had been written.
    pub(crate) uses: i64,
}

/// A look at what may be removed, while nobody can change it.
pub(crate) struct Condemn {
    write: Write,
    index: Index,
}

impl Index {
    /// Makes this the only process that packs or collects garbage: whoever did before does no more,
    /// and finds out at its next step. `None` when another one is at it: as a server says. In a
    /// file, which belongs to one machine, the lock of the folder says it.
    pub(crate) async fn alone(&self) -> Result<Option<Alone>, StoreError> {
        let doing = "keeping others from packing";
        let mut connection = None;
        if !self.database.is_file() {
            let mut own = self.pool.acquire().await.map_err(self.fail(doing))?;
            // Of this connection; the server takes it back when that ends, whatever the reason.
            own.close_on_drop();
            let mut tries = 0..NOTICED;
            loop {
                let (got,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock(7163428901)")
                    .fetch_one(&mut *own)
                    .await
                    .map_err(self.fail(doing))?;
                match tries.next() {
                    _ if got => break,
                    Some(_) => tokio::time::sleep(SOON).await,
                    None => return Ok(None),
                }
            }
            connection = Some(Mutex::new(own));
        }
        let mut write = self.write(doing).await?;
        take_turn(&mut write).await.map_err(self.fail(doing))?;
        // Never that of another, even if this server is the copy of one that failed, and has not
        // heard of the last of them. (The sign of a BIGINT stays clear.)
        let epoch = (Uuid::new_v4().as_u128() >> 65) as i64;
        let begin = sqlx::query("UPDATE turns SET taken = $1 WHERE id = 2").bind(epoch);
        begin.execute(&mut *write).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))?;
        Ok(Some(Alone { _connection: connection, epoch }))
    }

    /// Keeps uploads from holding anything more until it is dropped: what is free then may be
    /// removed. [`StoreError::Overtaken`] when somebody else packs or collects by now.
    pub(crate) async fn condemn(&self, alone: &Alone) -> Result<Condemn, StoreError> {
        let mut condemn = self.long_turn().await?;
        self.must_be_alone(&mut condemn.write, alone).await?;
        Ok(condemn)
    }

    /// The same for an upload that takes back a build of its own, which it holds no more.
    pub(crate) async fn condemn_own(
        &self,
        owner: &str,
        key: &InputKey,
    ) -> Result<Condemn, StoreError> {
        let mut condemn = self.long_turn().await?;
        let delete = "DELETE FROM reservations WHERE digest = $1 AND owner = $2";
        let delete = sqlx::query(delete).bind(key.to_string()).bind(owner);
        delete.execute(&mut *condemn.write).await.map_err(self.fail("removing a build"))?;
        Ok(condemn)
    }

    async fn long_turn(&self) -> Result<Condemn, StoreError> {
        let doing = "removing blobs";
        let mut write = self.write(doing).await?;
        take_long_turn(&mut write, self.is_file()).await.map_err(self.fail(doing))?;
        Ok(Condemn { write, index: self.clone() })
    }

    /// Holds names as an upload does, on behalf of who packs. [`StoreError::Overtaken`] when
    /// somebody else packs or collects by now.
    pub(crate) async fn reserve_alone(
        &self,
        alone: &Alone,
        owner: &str,
        names: &[Digest],
    ) -> Result<(), StoreError> {
        let (doing, now) = ("holding blobs", self.now().await);
        let mut write = self.write(doing).await?;
        take_turn(&mut write).await.map_err(self.fail(doing))?;
        self.must_be_alone(&mut write, alone).await?;
        hold(&mut write, owner, names, now).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    async fn must_be_alone(&self, write: &mut Write, alone: &Alone) -> Result<(), StoreError> {
        let now = epoch(write).await.map_err(self.fail("keeping others from packing"))?;
        if now == alone.epoch { Ok(()) } else { Err(StoreError::Overtaken) }
    }
}

async fn epoch(write: &mut Write) -> Result<i64, sqlx::Error> {
    let (epoch,): (i64,) =
        sqlx::query_as("SELECT taken FROM turns WHERE id = 2").fetch_one(&mut **write).await?;
    Ok(epoch)
}

impl Condemn {
    /// Takes a build out of the index that nobody relies on since it was seen. `false`: it stays.
    pub(crate) async fn unindex(
        &mut self,
        key: &InputKey,
        seen: &Seen,
    ) -> Result<bool, StoreError> {
        let Some(indexed) = self.unused(key, seen).await? else { return Ok(false) };
        if indexed.is_some_and(|indexed| indexed != seen.manifest.to_hex()) {
            return Ok(false);
        }
        let key = key.to_string();
        delete(&mut self.write, &key).await.map_err(self.index.fail("removing a build"))?;
        Ok(true)
    }

    /// Whether the manifest may go of a build that was taken out of the index. `false`: somebody
    /// relies on it since, or has only found it and put it back.
    pub(crate) async fn may_remove(
        &mut self,
        key: &InputKey,
        seen: &Seen,
    ) -> Result<bool, StoreError> {
        Ok(self.unused(key, seen).await?.is_some_and(|indexed| indexed.is_none()))
    }

    /// What the index has of a build that is neither held nor pinned nor used since; `None` of any
    /// other.
    async fn unused(
        &mut self,
        key: &InputKey,
        seen: &Seen,
    ) -> Result<Option<Option<String>>, StoreError> {
        let (held, pinned, uses, indexed): (i64, i64, i64, Option<String>) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM reservations WHERE digest = $1), \
                    (SELECT COUNT(*) FROM pins WHERE input_key = $1), \
                    (SELECT CAST(COALESCE(MAX(times), 0) AS BIGINT) FROM uses \
                     WHERE input_key = $1), \
                    (SELECT MAX(manifest) FROM builds WHERE input_key = $1)",
        )
        .bind(key.to_string())
        .fetch_one(&mut *self.write)
        .await
        .map_err(self.index.fail("removing a build"))?;
        let is_unused = held == 0 && pinned == 0 && uses == seen.uses;
        Ok(is_unused.then_some(indexed))
    }

    /// Whether no build names the blob, no run has it as its console, and no upload holds it.
    pub(crate) async fn is_free(&mut self, digest: &Digest) -> Result<bool, StoreError> {
        let row: (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM reservations WHERE digest = $1), \
                    (SELECT COUNT(*) FROM artifacts WHERE digest = $1), \
                    (SELECT COUNT(*) FROM runs WHERE console = $1)",
        )
        .bind(digest.to_hex())
        .fetch_one(&mut *self.write)
        .await
        .map_err(self.index.fail("removing blobs"))?;
        Ok(row == (0, 0, 0))
    }

    /// Whether nobody has come to want a blob that builds name: no upload holds it or one of the
    /// builds, no run has it as its console, and those builds are the ones that were `seen`, neither
    /// pinned nor used since.
    pub(crate) async fn is_unused(
        &mut self,
        digest: &Digest,
        seen: &HashMap<InputKey, &Seen>,
    ) -> Result<bool, StoreError> {
        let fail = self.index.fail("removing blobs");
        let (held, consoles): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM reservations WHERE digest = $1), \
                    (SELECT COUNT(*) FROM runs WHERE console = $1)",
        )
        .bind(digest.to_hex())
        .fetch_one(&mut *self.write)
        .await
        .map_err(fail)?;
        let select = "SELECT DISTINCT input_key FROM artifacts WHERE digest = $1";
        let builds: Vec<(String,)> = sqlx::query_as(select)
            .bind(digest.to_hex())
            .fetch_all(&mut *self.write)
            .await
            .map_err(self.index.fail("removing blobs"))?;
        for (key,) in &builds {
            let key = input_key(key)?;
            let Some(seen) = seen.get(&key) else { return Ok(false) };
            if self.unused(&key, seen).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(held == 0 && consoles == 0)
    }

    /// Ends it.
    pub(crate) async fn done(self) -> Result<(), StoreError> {
        self.write.commit().await.map_err(self.index.fail("removing blobs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    #[tokio::test]
    async fn who_began_by_a_database_that_failed_does_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(folder.path().join("index.sqlite"));
        let index = Index::open(&database).await.unwrap();
        let select = "SELECT taken FROM turns WHERE id = 2";
        let (before,): (i64,) = sqlx::query_as(select).fetch_one(&index.pool).await.unwrap();
        let first = index.alone().await.unwrap().unwrap();
        // What goes on is a copy of before.
        let back = sqlx::query("UPDATE turns SET taken = $1 WHERE id = 2").bind(before);
        back.execute(&index.pool).await.unwrap();
        let second = index.alone().await.unwrap().unwrap();
        assert!(matches!(index.condemn(&first).await, Err(StoreError::Overtaken)));
        index.condemn(&second).await.unwrap().done().await.unwrap();
    }
}
