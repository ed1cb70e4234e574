//! Journals: append-only records of long jobs. The store keeps them and does not know what is
//! inside.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A whole journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Its id, unique in the store.
    pub id: String,
    /// What kind of job wrote it.
    pub kind: String,
    /// What was written when it was created; never changed.
    pub header: Value,
    /// When it was created, seconds since 1970.
    pub created: i64,
    /// Its entries, oldest first.
    pub events: Vec<Entry>,
}

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: 1, 2, 3, … without gaps.
    pub seq: u64,
    /// When it was appended, seconds since 1970.
    pub at: i64,
    /// What the job wrote.
    pub event: Value,
}

/// A journal without its entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalSummary {
    /// Its id.
    pub id: String,
    /// What kind of job wrote it.
    pub kind: String,
    /// What was written when it was created.
    pub header: Value,
    /// When it was created, seconds since 1970.
    pub created: i64,
    /// How many entries it has.
    pub events: u64,
    /// When the last entry was appended (when it was created, if it has none), seconds since 1970.
    pub updated: i64,
}
