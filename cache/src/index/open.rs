//! Opening the database, and what its errors mean.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{StoreError, is_full};

/// Versions of the database's layout, oldest first.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a writer waits for the writers of other processes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of one process: one writer at a time, and readers beside it.
const CONNECTIONS: u32 = 4;

/// The index of one store.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(super) pool: SqlitePool,
    path: Arc<Path>,
}

impl Index {
    /// Opens the database file, creating or updating it as needed. The caller keeps other
    /// processes from doing the same at the same time.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged row survives a power cut, not only a killed process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(|error| explain(path, "opening it", error))?;
        let index = Self { pool, path: path.into() };
        match MIGRATIONS.run(&index.pool).await {
            Ok(()) => Ok(index),
            Err(error) => Err(index.explain_migration(error)),
        }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Turns a database error into the store's.
    pub(super) fn fail(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| explain(&self.path, doing, error)
    }

    fn explain_migration(&self, error: MigrateError) -> StoreError {
        match error {
            MigrateError::VersionMissing(version) => StoreError::NewerFormat {
                what: format!("the index {}", self.path.display()),
                found: u64::try_from(version).unwrap_or(0),
                known: MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0).unsigned_abs(),
            },
            MigrateError::VersionMismatch(version) => StoreError::IndexDamaged {
                path: self.path.to_path_buf(),
                why: format!("its step {version} is not the one that Kiln knows"),
            },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                explain(&self.path, "updating its layout", error)
            }
            other => explain(&self.path, "updating its layout", sqlx::Error::Migrate(other.into())),
        }
    }
}

/// What a database error means for whoever owns the folder.
fn explain(path: &Path, doing: &'static str, error: sqlx::Error) -> StoreError {
    // The low byte of SQLite's extended result codes is the primary code.
    let code = match &error {
        sqlx::Error::Database(database) => {
            database.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff)
        }
        _ => None,
    };
    const SQLITE_CORRUPT: u32 = 11;
    const SQLITE_FULL: u32 = 13;
    const SQLITE_NOTADB: u32 = 26;
    match code {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => {
            StoreError::IndexDamaged { path: path.to_owned(), why: error.to_string() }
        }
        _ if code == Some(SQLITE_FULL) || is_full(&error) => StoreError::Full {
            folder: path.parent().unwrap_or(path).to_owned(),
            doing: format!("writing the index, {doing}"),
        },
        _ => StoreError::Index { doing, source: error },
    }
}
