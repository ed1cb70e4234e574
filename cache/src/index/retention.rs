//! What retention needs to know: uses, pins, and what uploads hold on to.

use std::collections::{HashMap, HashSet};

use sqlx::Any;
use sqlx::pool::PoolConnection;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;

use super::open::Index;
use super::value::{digest, input_key};
use super::write::Write;

/// A use is written again when the last one is older than this, in seconds.
const HOUR: i64 = 3600;

impl Index {
    /// Remembers that a build was asked for, to the hour: mostly one look-up that writes nothing.
    pub(crate) async fn used(&self, key: &InputKey, now: i64) -> Result<(), StoreError> {
        let doing = "noting a use";
        let key = key.to_string();
        let last: Option<(i64,)> = sqlx::query_as("SELECT at FROM uses WHERE input_key = $1")
            .bind(&key)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fail(doing))?;
        if last.is_some_and(|(at,)| at > now - HOUR) {
            return Ok(());
        }
        let mut write = self.write(doing).await?;
        sqlx::query(
            "INSERT INTO uses (input_key, at) VALUES ($1, $2) \
             ON CONFLICT (input_key) DO UPDATE SET at = excluded.at",
        )
        .bind(&key)
        .bind(now)
        .execute(&mut *write)
        .await
        .map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// When builds were last asked for, seconds since 1970.
    pub(crate) async fn uses(&self) -> Result<HashMap<InputKey, i64>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT input_key, at FROM uses")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail("listing uses"))?;
        rows.iter().map(|(key, at)| Ok((input_key(key)?, *at))).collect()
    }

    /// Pins a build, or lets it go.
    pub(crate) async fn pin(
        &self,
        key: &InputKey,
        pinned: bool,
        now: i64,
    ) -> Result<(), StoreError> {
        let doing = "pinning a build";
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

    /// Holds blobs for an upload: from now on they are not removed, until the upload lets them go
    /// or is so old that it must have died.
    pub(crate) async fn reserve(
        &self,
        owner: &str,
        digests: &[Digest],
        now: i64,
    ) -> Result<(), StoreError> {
        let doing = "holding blobs";
        let mut write = self.write(doing).await?;
        take_turn(&mut write).await.map_err(self.fail(doing))?;
        for digest in digests {
            sqlx::query(
                "INSERT INTO reservations (digest, owner, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (digest, owner) DO UPDATE SET at = excluded.at",
            )
            .bind(digest.to_hex())
            .bind(owner)
            .bind(now)
            .execute(&mut *write)
            .await
            .map_err(self.fail(doing))?;
        }
        write.commit().await.map_err(self.fail(doing))
    }

    /// Blobs that uploads hold since `since` or later.
    pub(crate) async fn reserved(&self, since: i64) -> Result<HashSet<Digest>, StoreError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT DISTINCT digest FROM reservations WHERE at >= $1")
                .bind(since)
                .fetch_all(&self.pool)
                .await
                .map_err(self.fail("listing what uploads hold"))?;
        rows.iter().map(|(text,)| digest("reservations.digest", text)).collect()
    }

    /// Lets go of what an upload held: its build names it now.
    pub(crate) async fn release(&self, owner: &str) -> Result<(), StoreError> {
        let doing = "letting blobs go";
        let mut write = self.write(doing).await?;
        let delete = sqlx::query("DELETE FROM reservations WHERE owner = $1").bind(owner);
        delete.execute(&mut *write).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// Forgets reservations older than `before`.
    pub(crate) async fn expire(&self, before: i64) -> Result<(), StoreError> {
        let doing = "letting old blobs go";
        let mut write = self.write(doing).await?;
        let delete = sqlx::query("DELETE FROM reservations WHERE at < $1").bind(before);
        delete.execute(&mut *write).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// Keeps uploads from holding or naming more blobs until it is dropped: what is
    /// [free](Condemn::is_free) then may be removed.
    pub(crate) async fn condemn(&self) -> Result<Condemn, StoreError> {
        let doing = "removing blobs";
        let mut write = self.write(doing).await?;
        take_turn(&mut write).await.map_err(self.fail(doing))?;
        Ok(Condemn { write, index: self.clone() })
    }

    /// Makes this the only process that packs or collects garbage, as far as the database knows:
    /// on a server, until the result is dropped; in a file, which belongs to one machine, the lock
    /// of the folder says the same. `None` when another one is at it.
    pub(crate) async fn alone(&self) -> Result<Option<Alone>, StoreError> {
        if self.database.is_file() {
            return Ok(Some(Alone { _connection: None }));
        }
        let doing = "keeping others from packing";
        let mut connection = self.pool.acquire().await.map_err(self.fail(doing))?;
        // Of this connection; the server takes it back when that ends, whatever the reason.
        connection.close_on_drop();
        let (got,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock(7163428901)")
            .fetch_one(&mut *connection)
            .await
            .map_err(self.fail(doing))?;
        Ok(got.then_some(Alone { _connection: Some(connection) }))
    }
}

/// Waits until nobody else holds or removes blobs; from here on others wait.
async fn take_turn(write: &mut Write) -> Result<(), sqlx::Error> {
    let update = sqlx::query("UPDATE turns SET taken = taken + 1 WHERE id = 1");
    update.execute(&mut **write).await.map(|_| ())
}

/// The only one who packs or collects garbage.
pub(crate) struct Alone {
    _connection: Option<PoolConnection<Any>>,
}

/// A look at what may be removed, while nobody can change it.
pub(crate) struct Condemn {
    write: Write,
    index: Index,
}

impl Condemn {
    /// Whether no build names the blob and no upload holds it.
    pub(crate) async fn is_free(&mut self, digest: &Digest) -> Result<bool, StoreError> {
        let row: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM reservations WHERE digest = $1), \
                    (SELECT COUNT(*) FROM artifacts WHERE digest = $1)",
        )
        .bind(digest.to_hex())
        .fetch_one(&mut *self.write)
        .await
        .map_err(self.index.fail("removing blobs"))?;
        Ok(row == (0, 0))
    }

    /// Whether an upload holds the blob.
    pub(crate) async fn is_held(&mut self, digest: &Digest) -> Result<bool, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM reservations WHERE digest = $1")
                .bind(digest.to_hex())
                .fetch_one(&mut *self.write)
                .await
                .map_err(self.index.fail("removing blobs"))?;
        Ok(count > 0)
    }

    /// Ends it.
    pub(crate) async fn done(self) -> Result<(), StoreError> {
        self.write.commit().await.map_err(self.index.fail("removing blobs"))
    }
}
