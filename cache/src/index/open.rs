//! Opening the database, and what its errors mean.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use crate::database::Database;
use crate::error::{StoreError, is_full};

/// Versions of the database's layout, oldest first.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a writer waits for the writers of other processes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for a database server to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Connections of one process to a file: one writer at a time, and readers beside it.
const TO_A_FILE: u32 = 4;

/// Connections of one process to a server, which all machines share.
const TO_A_SERVER: u32 = 16;

/// What every connection to an SQLite file begins with. An acknowledged row survives a power cut,
/// not only a killed process.
const PRAGMAS: [&str; 2] = ["PRAGMA busy_timeout = 60000", DURABLE];

/// Commits of an SQLite file are synced, or only written: to be lost by a power cut, in the order in
/// which they were made. <https://sqlite.org/pragma.html#pragma_synchronous>
pub(super) const DURABLE: &str = "PRAGMA synchronous = FULL";
pub(super) const WRITTEN: &str = "PRAGMA synchronous = NORMAL";

/// The index of one store.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(super) pool: AnyPool,
    pub(super) database: Arc<Database>,
}

impl Index {
    /// Opens the database, creating or updating its layout as needed. The caller keeps other
    /// processes from doing the same to a file at the same time; a server does so by itself.
    pub(crate) async fn open(database: &Database) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(&database.connect_url())
            .map_err(|source| unreachable(database, source))?;
        let first = prepare(database, &options).await?;
        let is_file = database.is_file();
        let pool = AnyPoolOptions::new()
            .max_connections(if is_file { TO_A_FILE } else { TO_A_SERVER })
            .acquire_timeout(if is_file { PATIENCE } else { CONNECT })
            // A file has no network in between; a server may have been restarted.
            .test_before_acquire(!is_file)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for pragma in PRAGMAS.into_iter().filter(|_| is_file) {
                        sqlx::query(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        let migrated = MIGRATIONS.run(&pool).await;
        // What is wrong with it, the pool's connections will say. Not before one of those is open:
        // the last connection to a file that closes writes back what others left in its log, with
        // three syncs.
        let _ = first.close().await;
        match migrated {
            Ok(()) => Ok(Self { pool, database: Arc::new(database.clone()) }),
            Err(error) => Err(explain_migration(database, error)),
        }
    }

    /// What people call the database.
    pub(crate) fn name(&self) -> String {
        self.database.to_string()
    }

    /// Whether it is a file, which one machine has for itself.
    pub(crate) fn is_file(&self) -> bool {
        self.database.is_file()
    }

    /// The file that it is, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.database.file()
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Turns a database error into the store's.
    pub(super) fn fail(&self, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| explain(&self.database, doing, error)
    }
}

/// Opens a connection by itself: a pool would try again and again what can't succeed.
async fn prepare(
    database: &Database,
    options: &AnyConnectOptions,
) -> Result<AnyConnection, StoreError> {
    let is_file = database.is_file();
    let mut connection = match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if is_file => return Err(explain(database, "opening it", error)),
        Ok(Err(error)) => return Err(unreachable(database, error)),
        Err(_) => return Err(unreachable(database, sqlx::Error::PoolTimedOut)),
    };
    if is_file {
        // Kept by the file: readers go on while one writes.
        for pragma in PRAGMAS.into_iter().chain(["PRAGMA journal_mode = WAL"]) {
            let done = sqlx::query(pragma).execute(&mut connection).await;
            done.map_err(|error| explain(database, "opening it", error))?;
        }
    }
    Ok(connection)
}

fn unreachable(database: &Database, source: sqlx::Error) -> StoreError {
    StoreError::Database { database: database.to_string(), source }
}

fn explain_migration(database: &Database, error: MigrateError) -> StoreError {
    let newest = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
    let other = |why| StoreError::OtherLayout { database: database.to_string(), why };
    match error {
        MigrateError::VersionMissing(version) if version > newest => StoreError::NewerFormat {
            what: format!("the index {database}"),
            found: version.unsigned_abs(),
            known: newest.unsigned_abs(),
        },
        // Steps are only ever added behind the newest one, so no release lacks one in between.
        MigrateError::VersionMissing(version) => other(format!(
            "it took a step {version}, which this Kiln does not have, though it has later ones"
        )),
        MigrateError::VersionMismatch(version) => {
            other(format!("its step {version} is not the one that this Kiln takes"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            explain(database, "updating its layout", error)
        }
        other => explain(database, "updating its layout", sqlx::Error::Migrate(other.into())),
    }
}

/// What a database error means for whoever owns it.
fn explain(database: &Database, doing: &'static str, error: sqlx::Error) -> StoreError {
    // Nobody answers, or no connection becomes free.
    if !database.is_file() && matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) {
        return unreachable(database, error);
    }
    let kind = match &error {
        sqlx::Error::Database(reported) => {
            reported.code().map_or(Kind::Other, |code| kind(database, &code))
        }
        _ => Kind::Other,
    };
    match kind {
        Kind::Damaged => {
            StoreError::IndexDamaged { database: database.to_string(), why: error.to_string() }
        }
        _ if kind == Kind::Full || is_full(&error) => StoreError::Full {
            place: database.place(),
            doing: format!("writing the index, {doing}"),
        },
        _ => StoreError::Index { doing, source: error },
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Damaged,
    Full,
    Other,
}

/// What a database's own code means.
fn kind(database: &Database, code: &str) -> Kind {
    if database.is_file() {
        // The low byte of SQLite's extended result codes is the primary code.
        return match code.parse::<u32>().map(|code| code & 0xff) {
            // SQLITE_CORRUPT, SQLITE_NOTADB
            Ok(11 | 26) => Kind::Damaged,
            // SQLITE_FULL
            Ok(13) => Kind::Full,
            _ => Kind::Other,
        };
    }
    match code {
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => Kind::Damaged,
        // disk_full
        "53100" => Kind::Full,
        _ => Kind::Other,
    }
}
