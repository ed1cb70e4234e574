//! What uploads hold on to: names of blobs and of builds, which are digests all of them. No two of
//! them are the same, since blobs and inputs are hashed differently.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::error::StoreError;

use super::open::Index;
use super::value::digest;
use super::write::Write;

/// How the names of those begin who hold something because they pack.
pub(crate) const PACKER: &str = "pack:";

impl Index {
    /// Holds names for an upload: from now on nothing of that name is removed, until the upload lets
    /// go of it or is so old that it must have died.
    pub(crate) async fn reserve(&self, owner: &str, names: &[Digest]) -> Result<(), StoreError> {
        let (doing, now) = ("holding blobs", self.now().await);
        let mut write = self.write_unsynced(doing).await?;
        take_turn(&mut write).await.map_err(self.fail(doing))?;
        hold(&mut write, owner, names, now).await.map_err(self.fail(doing))?;
        write.commit().await.map_err(self.fail(doing))
    }

    /// What uploads hold since `since` or later.
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
        self.release_by("DELETE FROM reservations WHERE owner = $1", owner).await
    }

    /// Lets go of what packers held.
    pub(crate) async fn release_packers(&self) -> Result<(), StoreError> {
        let owners = format!("{PACKER}%");
        self.release_by("DELETE FROM reservations WHERE owner LIKE $1", &owners).await
    }

    async fn release_by(&self, delete: &'static str, owner: &str) -> Result<(), StoreError> {
        let doing = "letting blobs go";
        let mut write = self.write_unsynced(doing).await?;
        let delete = sqlx::query(delete).bind(owner);
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
}

/// Waits until nobody else holds or removes anything; from here on others wait.
pub(super) async fn take_turn(write: &mut Write) -> Result<(), sqlx::Error> {
    let update = sqlx::query("UPDATE turns SET taken = taken + 1 WHERE id = 1");
    update.execute(&mut **write).await.map(|_| ())
}

/// The same for whoever asks a bucket meanwhile. A server must neither end the turn because it hears
/// nothing for a while, nor keep it for hours for a machine that has lost its power.
pub(super) async fn take_long_turn(write: &mut Write, is_file: bool) -> Result<(), sqlx::Error> {
    if !is_file {
        let set = "SET LOCAL idle_in_transaction_session_timeout = '5min'";
        sqlx::query(set).execute(&mut **write).await?;
    }
    take_turn(write).await
}

/// Writes what is held, in a turn.
pub(super) async fn hold(
    write: &mut Write,
    owner: &str,
    names: &[Digest],
    now: i64,
) -> Result<(), sqlx::Error> {
    for name in names {
        sqlx::query(
            "INSERT INTO reservations (digest, owner, at) VALUES ($1, $2, $3) \
             ON CONFLICT (digest, owner) DO UPDATE SET at = excluded.at",
        )
        .bind(name.to_hex())
        .bind(owner)
        .bind(now)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}
