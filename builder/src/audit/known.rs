//! What audits have shown, in short, without reading every finding of a store's history.
//!
//! Two things are asked before each build: which stages are refuted for which closures, and which
//! kinds of files each stage has been audited with. A process keeps both and reads on in the journal
//! from where it was. So that a new process need not begin at the first entry, every
//! [`EVERY`]th finding is followed by an entry that sums up all before it.

use std::collections::{BTreeMap, BTreeSet};

use kiln_cache::journal::Entry;
use kiln_cache::{Digest, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::finding::{Finding, JOURNAL, first_stage};
use crate::stages::Stage;

/// After how many entries they are summed up.
const EVERY: u64 = 64;
/// Among how many of the last entries a sum is looked for: processes that stop between a finding and
/// its sum leave one out.
const TAIL: u32 = 4 * EVERY as u32;

/// What is known of a store's findings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownAudits {
    /// Number of the last entry that was read.
    read: u64,
    /// What was refuted: the stage, for a closure.
    refuted: BTreeSet<(Stage, Digest)>,
    /// Kinds of files that each stage was audited with, by a kernel that came out.
    kinds: BTreeMap<Stage, BTreeSet<String>>,
    /// There was an entry of a newer Kiln that this one can't read. It sums nothing up then: the newer
    /// one would begin behind what it could have read.
    #[serde(skip)]
    unread: bool,
}

/// An entry that sums up those before it.
#[derive(Serialize, Deserialize)]
struct Sum {
    sum: KnownAudits,
}

/// What is taken from a finding; also from one that has more than this Kiln knows.
#[derive(Deserialize)]
struct Short {
    same: bool,
    #[serde(default)]
    built: bool,
    #[serde(default = "first_stage")]
    stage: Stage,
    closure: Digest,
    #[serde(default)]
    kinds: Vec<String>,
}

impl KnownAudits {
    /// What was refuted.
    pub(crate) fn refuted(&self) -> impl Iterator<Item = (Stage, Digest)> {
        self.refuted.iter().copied()
    }

    /// Whether a stage was audited with each of these kinds of files.
    pub(crate) fn has_seen(&self, stage: Stage, kinds: &[String]) -> bool {
        let seen = self.kinds.get(&stage);
        kinds.iter().all(|kind| seen.is_some_and(|seen| seen.contains(kind)))
    }

    /// Reads what was added to the journal. Returns how many entries were read.
    pub(crate) async fn read_on(&mut self, store: &Store) -> Result<usize, StoreError> {
        let mut read = 0;
        if self.read == 0 {
            let tail = store.journal_tail(JOURNAL, TAIL).await?;
            read += tail.len();
            let sum = |entry: &Entry| serde_json::from_value::<Sum>(entry.event.clone()).ok();
            if let Some(Sum { sum }) = tail.iter().rev().find_map(sum) {
                *self = sum;
            }
        }
        let entries = store.journal_since(JOURNAL, self.read).await?;
        read += entries.len();
        for entry in entries {
            self.add(entry);
        }
        Ok(read)
    }

    fn add(&mut self, entry: Entry) {
        self.read = self.read.max(entry.seq);
        let Ok(short) = serde_json::from_value::<Short>(entry.event.clone()) else {
            // A sum says nothing new: what it sums up was read.
            self.unread |= serde_json::from_value::<Sum>(entry.event).is_err();
            return;
        };
        if !short.same {
            self.refuted.insert((short.stage, short.closure));
        }
        if short.built || !short.same {
            self.kinds.entry(short.stage).or_default().extend(short.kinds);
        }
    }

    /// Appends a finding, and a sum where it is due.
    pub(crate) async fn write_down(
        &mut self,
        store: &Store,
        finding: &Finding,
    ) -> Result<(), StoreError> {
        match store.journal_create(JOURNAL, JOURNAL, Value::Null).await {
            Ok(()) | Err(StoreError::JournalExists(_)) => {}
            Err(error) => return Err(error),
        }
        let event = serde_json::to_value(finding).map_err(unwritable)?;
        let number = store.journal_append(JOURNAL, event).await?;
        self.read_on(store).await?;
        if number.is_multiple_of(EVERY) && !self.unread {
            let sum = serde_json::to_value(Sum { sum: self.clone() }).map_err(unwritable)?;
            store.journal_append(JOURNAL, sum).await?;
        }
        Ok(())
    }
}

fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "a finding of an audit".into(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use kiln_cache::{InputKey, Location};
    use serde_json::json;

    use super::*;

    fn finding(number: u64) -> Finding {
        Finding {
            commit: format!("commit {number}"),
            stage: if number.is_multiple_of(3) { Stage::Tokens } else { Stage::Closure },
            proved_by: InputKey(Digest::of(b"build")),
            closure: Digest::of(&number.to_le_bytes()),
            compiled: None,
            kinds: vec![format!("kind {}", number / 50)],
            same: number != 10 && number != 333,
            built: number != 400,
            proof_seconds: 0.1,
            compile_seconds: 9.0,
            from_nothing: false,
            overlooked: false,
            compiled_upon: false,
        }
    }

    #[tokio::test]
    async fn a_new_process_knows_all_and_reads_little() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let store = Store::open(&location).await.unwrap();
        let mut none = KnownAudits::default();
        assert_eq!(none.read_on(&store).await.unwrap(), 0);
        let mut writer = KnownAudits::default();
        let mut reader = KnownAudits::default();
        let mut most = 0;
        for number in 1..=400 {
            writer.write_down(&store, &finding(number)).await.unwrap();
            // Another process, which is there all the time: it sees each at once.
            reader.read_on(&store).await.unwrap();
            assert_eq!(reader.refuted, writer.refuted);
            if number % 40 == 7 {
                let mut fresh = KnownAudits::default();
                most = most.max(fresh.read_on(&store).await.unwrap());
                assert_eq!((&fresh.refuted, &fresh.kinds), (&writer.refuted, &writer.kinds));
            }
        }
        let (one, other) = (finding(10), finding(333));
        let expected = [(one.stage, one.closure), (other.stage, other.closure)];
        assert_eq!(writer.refuted, expected.into());
        assert!(writer.has_seen(Stage::Tokens, &["kind 0".into(), "kind 7".into()]));
        assert!(!writer.has_seen(Stage::Tokens, &["kind 9".into()]));
        assert!(!writer.has_seen(Stage::Objects, &["kind 0".into()]));
        assert!(most <= TAIL as usize + EVERY as usize + 2, "{most} entries were read");
        // Reports count findings, and not what sums them up; kernels, and not what does not build.
        let report = crate::audit::audit_report(&store).await.unwrap();
        assert_eq!((report.audited, report.mismatches, report.unbuildable), (399, 2, 1));
        let by_stage: u64 = report.stages.values().map(|it| it.audited).sum();
        assert_eq!(by_stage, 399);
    }

    #[tokio::test]
    async fn findings_of_an_older_kiln_count() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let store = Store::open(&location).await.unwrap();
        store.journal_create(JOURNAL, JOURNAL, Value::Null).await.unwrap();
        let (build, closure) = (Digest::of(b"x"), Digest::of(b"y"));
        let old = json!({ "commit": "c", "proved_by": build, "closure": closure, "same": false });
        store.journal_append(JOURNAL, old).await.unwrap();
        for _ in 0..2 * TAIL {
            store.journal_append(JOURNAL, json!({ "of": "a newer Kiln" })).await.unwrap();
        }
        let mut known = KnownAudits::default();
        known.read_on(&store).await.unwrap();
        assert_eq!(known.refuted().collect::<Vec<_>>(), [(Stage::Closure, closure)]);
        // What it can't read it does not sum up: the newer Kiln must still find it.
        for number in 0..=EVERY {
            known.write_down(&store, &finding(number)).await.unwrap();
        }
        let all = store.journal_since(JOURNAL, 0).await.unwrap();
        assert!(all.iter().all(|it| serde_json::from_value::<Sum>(it.event.clone()).is_err()));
    }
}
