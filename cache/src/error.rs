//! Everything that can go wrong with a store, said so that the reader knows the way out.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::build_draft::InvalidDraft;
use crate::digest::Digest;
use crate::input::InputKey;
use crate::query::QueryError;
use crate::signature::SignatureError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Bytes that don't match their name. They were moved away and are never served.
    #[error(
        "blob {digest} is corrupt ({what}); {moved}. \
         To get it back, store the same file again (`kiln push FILE`), or let `kiln verify` get it: \
         --remote URL from another Kiln, --rebuild DIR from its sources"
    )]
    Corrupt {
        /// The blob's name.
        digest: Digest,
        /// What did not match.
        what: String,
        /// What became of the bytes.
        moved: Quarantine,
    },
    /// A blob that is not there.
    #[error(
        "blob {0} is not in this store; if a build refers to it, it was quarantined or removed: \
         push the same file again (`kiln push FILE`), or let `kiln verify` get it: --remote URL from \
         another Kiln, --rebuild DIR from its sources"
    )]
    Missing(Digest),
    /// A blob that was let go of by a policy; its build is here without it.
    #[error(
        "blob {0} was let go of to make room (debug information goes before builds do, see \
         `kiln gc`): push the same file again, or pull it from another Kiln"
    )]
    LetGo(Digest),
    /// A boot image whose compressed part does not come out the same here. All that is stored of it
    /// was proven, so it stays.
    #[error(
        "blob {0} can't be put together by this Kiln: its compressors give other bytes than those of \
         the one that packed it, whose stored bytes are all right: read it with that version, or \
         with one that was installed with `--locked`; or store the same file again (`kiln push`, \
         `kiln verify --remote`), which is then kept as it is"
    )]
    NotRepeated(Digest),
    /// A range that ends before it begins or behind the end of the blob.
    #[error("blob {digest} has {size} bytes: {start}..{end} is not a range of it")]
    Range {
        /// The blob's name.
        digest: Digest,
        /// Its plain size in bytes.
        size: u64,
        /// First byte asked for.
        start: u64,
        /// Byte after the last one asked for.
        end: u64,
    },
    /// A file that was written to while it was being stored.
    #[error("{} changed while it was being stored; nothing was kept of it: try again when nobody writes to it", .0.display())]
    Changed(PathBuf),
    /// No space left.
    #[error(
        "no space left on the disk of the store {place} (while {doing}); the store is intact: \
         free some space there, or choose another place with --store, and try again"
    )]
    Full {
        /// The folder, bucket or database that is full.
        place: String,
        /// What was being done.
        doing: String,
    },
    /// A folder of somebody else, or on read-only media.
    #[error(
        "the store {} can't be written to ({why}), and who reads one notes there what was used: get \
         leave to write, ask the `kiln serve` of whoever may (--remote), or choose another store \
         with --store", .place.display()
    )]
    NotWritable {
        /// The store's folder.
        place: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A bucket needs a folder of this machine beside it.
    #[error("{0} needs a folder of this machine for what is kept beside it")]
    NoLocalFolder(String),
    /// A folder with other things in it.
    #[error(
        "{} is not empty and is not a Kiln store (it has no format.json): \
         choose an empty or a new folder with --store", .0.display()
    )]
    NotAStore(PathBuf),
    /// Something written by a later version.
    #[error(
        "{what} has format {found}, and this Kiln knows formats up to {known}: \
         it was written by a newer Kiln. Use that version, or choose another folder with --store"
    )]
    NewerFormat {
        /// What was read.
        what: String,
        /// Its format.
        found: u64,
        /// The newest format this version knows.
        known: u64,
    },
    /// An index whose layout is none that this version ever had: neither an older nor a newer one.
    #[error(
        "the index {database} has a layout of another line of Kiln ({why}), as copies from between \
         two releases had: open it with the Kiln that wrote it, or move it (a file with its -wal \
         and -shm files) away, or name an empty database with --database; Kiln then rebuilds what \
         it knows of builds from their manifests (evidence and bisection records stay in the old \
         index)"
    )]
    OtherLayout {
        /// The database.
        database: String,
        /// Which step of its layout tells.
        why: String,
    },
    /// A record of the store that can't be read.
    #[error("{what} can't be read ({why}); `kiln verify` says what else is wrong")]
    Damaged {
        /// The object or file.
        what: String,
        /// Why not.
        why: String,
    },
    /// The database is broken.
    #[error(
        "the index {database} is damaged ({why}): move it (a file with its -wal and -shm files) \
         away, or name an empty database with --database; Kiln rebuilds what it knows of builds \
         from their manifests (evidence, bisection records, tokens and names given later come back only from a copy)"
    )]
    IndexDamaged {
        /// The database.
        database: String,
        /// What the database said.
        why: String,
    },
    /// The database can't be opened, or its server does not answer.
    #[error(
        "the database {database} can't be reached; --database or KILN_DATABASE says which it is"
    )]
    Database {
        /// Which.
        database: String,
        /// Why not.
        source: sqlx::Error,
    },
    /// The database belongs to another store.
    #[error(
        "the database {database} is that of another store than {store}: \
         each store needs a database of its own, choose one with --database"
    )]
    OtherDatabase {
        /// The database.
        database: String,
        /// The store that was opened.
        store: String,
    },
    /// The database refused.
    #[error("the index failed while {doing}")]
    Index {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The object store refused.
    #[error("the store failed while {doing}")]
    Object {
        /// What was being done.
        doing: String,
        /// What the object store said.
        source: object_store::Error,
    },
    /// A file outside the store.
    #[error("can't {doing} {}", .path.display())]
    File {
        /// What was being done: "read", "write", "create".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A build that can't be stored.
    #[error(transparent)]
    Draft(#[from] InvalidDraft),
    /// A kernel image whose signatures can't be computed.
    #[error("can't compute the signatures of {}", .path.display())]
    Signature {
        /// The image.
        path: PathBuf,
        /// Why not.
        source: SignatureError,
    },
    /// A look-up that can't be answered.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A console that was not stored before its run.
    #[error(
        "run {run} names the console {console}, which is not in this store: put it there first"
    )]
    UnknownConsole {
        /// The run's id.
        run: uuid::Uuid,
        /// The missing blob.
        console: Digest,
    },
    /// A name for a build that this store has never seen.
    #[error("no build with the input key {0} is in this store")]
    UnknownBuild(InputKey),
    /// A journal that does not exist.
    #[error("there is no journal '{0}' in this store")]
    UnknownJournal(String),
    /// A journal that exists already.
    #[error("the journal '{0}' exists already")]
    JournalExists(String),
    /// Somebody else is at it.
    #[error(
        "another process packs this store or collects its garbage: try again when it has finished"
    )]
    Busy,
    /// Somebody else is at it, who began when this one had lost its lock.
    #[error(
        "another process packs this store or collects its garbage: this one had lost its connection \
         to the database, and changed nothing more. Try again when the other has finished"
    )]
    Overtaken,
    /// A bucket that others may use without this index noticing.
    #[error(
        "nothing was packed or removed: {0} is a bucket, and its index here is a file of this machine \
         alone, which does not know what others upload, pin and run. Give all of them one database: \
         --database postgres://…"
    )]
    NotShared(String),
    /// Another database has a say in the store, too.
    #[error(
        "nothing more was packed or removed: builds and runs are also stored here by way of {other}, and \
         this database does not know what is uploaded, pinned and run there. Use that one, with \
         --database; or, when nobody does any more, forget it: `kiln gc --forget-database {id}`"
    )]
    AlsoUsedBy {
        /// The other database.
        other: String,
        /// Its id, under which the store has it.
        id: String,
    },
    /// A bucket that others pack and collect, who would not hear of what is stored here.
    #[error(
        "nothing was stored: {place} is packed and collected by way of {other}, and what is stored \
         without that database would be in its way. Give it, with --database (of `kiln export`: \
         --their-database)"
    )]
    Bypassed {
        /// The bucket.
        place: String,
        /// The database of those who use it.
        other: String,
    },
    /// Somebody collects garbage who has not noticed yet that this database has a say, too.
    #[error(
        "nothing was stored: garbage is collected here by way of {other}, which does not know what is \
         stored by way of this database. Try again in a moment; and if nobody collects there by now, \
         because it was killed, let `kiln gc` run there once, or forget that database: \
         `kiln gc --forget-database {id}`"
    )]
    Collected {
        /// The other database.
        other: String,
        /// Its id, under which the store has it.
        id: String,
    },
    /// A database that has no say in the store.
    #[error("no database {0} has a say in this store")]
    UnknownDatabase(String),
    /// A clock that can't be believed.
    #[error(
        "nothing was removed: by the clock of its database nobody used this store for {days} days, and \
         by a clock that was set ahead everything seems old. If it is right, say so with --trust-clock"
    )]
    Clock {
        /// Days without a sign of life.
        days: i64,
    },
    /// Garbage can't be told from what is needed.
    #[error("nothing was removed, because {0}: run `kiln verify` first")]
    Refused(String),
    /// A background task was stopped: the process is ending, or it panicked.
    #[error("a background task of the store was stopped ({0})")]
    Stopped(String),
}

/// What became of corrupt bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// Moved to this object of the store.
    Moved(String),
    /// Another reader was faster: they are gone from their place.
    Gone,
    /// They could not be moved: the reason. Every read finds them corrupt again.
    Failed(String),
}

impl std::fmt::Display for Quarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Moved(path) => write!(f, "it was moved to {path} and is never served"),
            Self::Gone => f.write_str("it was quarantined by another reader and is never served"),
            Self::Failed(why) => {
                write!(f, "it can't be moved to the quarantine ({why}), but is never served")
            }
        }
    }
}

impl StoreError {
    /// A failed background task.
    pub(crate) fn stopped(error: &tokio::task::JoinError) -> Self {
        Self::Stopped(error.to_string())
    }

    /// An error about a file outside the store.
    pub(crate) fn file(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}

/// Whether an error, or what caused it, is a full disk or an exhausted quota.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| {
            matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        }) {
            return true;
        }
        // An `io::Error` made from another error hides it from `source`.
        cause = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_through_layers() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_full(&full()));
        assert!(is_full(&io::Error::other(full())));
        let source = Box::new(io::Error::other(full()));
        assert!(is_full(&object_store::Error::Generic { store: "x", source }));
        assert!(!is_full(&io::Error::from(io::ErrorKind::NotFound)));
    }
}
