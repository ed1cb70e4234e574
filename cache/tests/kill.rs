//! `kill -9` at random moments: whatever was acknowledged is there and right, and nothing else
//! than whole things is visible.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{commit, draft, noise, quiet, request};
use kiln_cache::error::StoreError;
use kiln_cache::evidence::{Outcome, Run, TestKey};
use kiln_cache::signature::ImageId;
use kiln_cache::{Digest, InputKey, Location, Query, Store};
use serde_json::json;
use uuid::Uuid;

const FOLDER: &str = "KILN_TEST_KILL_FOLDER";
const SEED: &str = "KILN_TEST_KILL_SEED";
const ROUNDS: u64 = 20;
const JOURNAL: &str = "journal";

/// Files of a build: sizes around one frame, and several.
fn content(seed: u64) -> Vec<u8> {
    let sizes = [700, 300_000, 1 << 20, (1 << 20) + 1, 5 << 20];
    let mut bytes = noise(seed, sizes[seed as usize % sizes.len()]);
    // Half of it compresses.
    let half = bytes.len() / 2;
    bytes[..half].fill(seed as u8);
    bytes
}

fn test() -> TestKey {
    TestKey(Digest::of(b"kill"))
}

fn image() -> ImageId {
    ImageId(Digest::of(b"image"))
}

/// Not a test by itself: what the killed process does. It says what was acknowledged.
#[tokio::test]
#[ignore = "started and killed by the test below"]
async fn child() {
    let (Ok(folder), Ok(seed)) = (std::env::var(FOLDER), std::env::var(SEED)) else {
        panic!("started by hand: it needs {FOLDER} and {SEED}");
    };
    let folder = Path::new(&folder);
    let seed: u64 = seed.parse().unwrap();
    let acknowledge = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {text}").unwrap();
        out.flush().unwrap();
    };
    let store = Store::open(&Location::folder(folder.join("store"))).await.unwrap();
    match store.journal_create(JOURNAL, "test", json!({})).await {
        Ok(()) | Err(StoreError::JournalExists(_)) => {}
        Err(error) => panic!("{error}"),
    }
    acknowledge("open 0".into());
    for n in seed * 1000.. {
        let path = folder.join("file");
        std::fs::write(&path, content(n)).unwrap();
        store.put_file(&path).await.unwrap();
        acknowledge(format!("blob {n}"));
        let log = folder.join("log");
        std::fs::write(&log, format!("log {n}")).unwrap();
        let files = [("image", path.as_path()), ("build.log", log.as_path())];
        store.add_build(draft(n, &files)).await.unwrap();
        acknowledge(format!("build {n}"));
        let run = Run {
            id: Uuid::from_u128(n.into()),
            image: image(),
            test: test(),
            outcome: Outcome::Ok,
            seconds: 1.0,
            finished: 0,
            console: Some(Digest::of(format!("log {n}").as_bytes())),
        };
        store.record_run(&run).await.unwrap();
        acknowledge(format!("run {n}"));
        store.journal_append(JOURNAL, json!(n)).await.unwrap();
        acknowledge(format!("event {n}"));
    }
}

/// Runs the child and kills it; gives what it had acknowledged.
fn run_and_kill(folder: &Path, seed: u64, after: Duration) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in out.lines() {
            let line = line.unwrap();
            let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
            // A line may be cut short by the kill: then it was not said.
            if let (Some(what), Some(n)) = (words.next(), words.next())
                && let Ok(n) = n.parse()
            {
                said.push((what.to_owned(), n));
            }
        }
        said
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the child ended by itself: {status}");
    reader.join().unwrap()
}

/// A number below `limit`, the same for the same seed.
fn random(seed: u64, limit: u64) -> u64 {
    u64::from_le_bytes(noise(seed ^ 0xdead_beef, 8).try_into().unwrap()) % limit
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::folder(folder.path().join("store"));
    // The first rounds hit the creation of the store itself.
    let mut said = Vec::new();
    let kinds = ["open", "blob", "build", "run", "event"];
    let is_missing = |said: &[(String, u64)], kind: &str| said.iter().all(|(what, _)| what != kind);
    for seed in 0..2 * ROUNDS {
        let limit = match seed {
            0..5 => 60,
            5..ROUNDS => 700,
            _ if !kinds.iter().any(|kind| is_missing(&said, kind)) => break,
            // A busy machine takes longer to get as far.
            _ => 4000,
        };
        let after = Duration::from_millis(random(seed, limit));
        said.extend(run_and_kill(folder.path(), seed, after));
        let store = Store::open(&location).await.unwrap();
        check(&store, &said).await;
        store.close().await;
    }
    for kind in kinds {
        assert!(!is_missing(&said, kind), "no round got as far as '{kind}'");
    }
}

async fn check(store: &Store, said: &[(String, u64)]) {
    let report = store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.quarantined, 0);
    let numbers = |kind| said.iter().filter(move |(what, _)| what == kind).map(|(_, n)| *n);
    for n in numbers("blob") {
        let content = content(n);
        let reader = store.reader(&Digest::of(&content)).await.unwrap();
        assert!(reader.read(0..reader.size()).await.unwrap() == content, "blob {n}");
    }
    for n in numbers("build") {
        let build = store.build_by_request(&request(n)).await.unwrap().unwrap();
        assert_eq!(build.artifact("image").unwrap().digest, Digest::of(&content(n)));
        let found = store.find_builds(&Query::parse(&commit(n)).unwrap()).await.unwrap();
        assert_eq!(found, [build]);
    }
    let runs = store.runs(&image(), &test()).await.unwrap();
    for n in numbers("run") {
        assert!(runs.iter().any(|run| run.id == Uuid::from_u128(n.into())), "run {n}");
    }
    if let Some(journal) = store.journal_read(JOURNAL).await.unwrap() {
        let events: Vec<_> = journal.events.iter().map(|entry| &entry.event).collect();
        for n in numbers("event") {
            assert!(events.contains(&&json!(n)), "event {n}");
        }
        assert_eq!(journal.events.last().map_or(0, |last| last.seq), events.len() as u64);
    }
    // Whatever the last child was doing: asking for it gives a whole build or none.
    let last = said.iter().map(|(_, n)| *n).max().unwrap_or(0);
    for n in last..last + 2 {
        let key = InputKey(common::input(n).key().0);
        if let Some(build) = store.build_by_input(&key).await.unwrap() {
            assert!(store.is_whole(&build).await.unwrap(), "build {n}");
        }
    }
}
