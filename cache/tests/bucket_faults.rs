//! A bucket that fails in every way that buckets do: 500, 503, 409, time-outs, cut bodies, success
//! reported as failure. Whatever was acknowledged is there and right; nothing else is visible.
//!
//! Each run is repeatable: `KILN_FAULT_SEED=N` runs one, `KILN_FAULT_RUNS=N` so many of them.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{draft, input, noise, quiet, request};
use kiln_cache::{Backend, Database, Digest, Location, Patience, Store, StoreError};
use kiln_servers::Faulty;
use object_store::memory::InMemory;

/// Runs of a plain `cargo test`.
const RUNS: u64 = 60;

/// Faults in a thousand operations.
const PER_MILLE: u64 = 250;

fn location(
    bucket: &Arc<InMemory>,
    faults: Option<&Arc<Faulty<InMemory>>>,
    local: &std::path::Path,
) -> Location {
    let patience =
        Patience { pause: Duration::from_micros(10), attempts: 8, ..Patience::default() };
    let (prefix, name) = ("p".into(), "memory://".to_owned());
    let backend = match faults {
        Some(faulty) => Backend {
            store: faulty.clone(),
            parts: faulty.clone(),
            signer: None,
            prefix,
            name,
            patience,
        },
        None => Backend {
            store: bucket.clone(),
            parts: bucket.clone(),
            signer: None,
            prefix,
            name,
            patience,
        },
    };
    Location::bucket(backend).with_local(local, 8 << 20)
}

/// Content number `n`: of one frame, or of several and uploaded in parts.
fn content(seed: u64, n: u64) -> Vec<u8> {
    let len = if n.is_multiple_of(4) { 1_300_000 } else { 3000 + 7 * n as usize };
    noise(seed * 1000 + n, len)
}

/// Gives up only on what a bucket may do to anybody.
fn must_be_an_outage(error: &StoreError) {
    assert!(matches!(error, StoreError::Object { .. }), "{}", common::story(error));
}

/// One writer: blobs and builds; what it was told is there.
async fn write(store: Store, folder: std::path::PathBuf, seed: u64, writer: u64) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for n in 0..8 {
        // Every third build is everybody's.
        let n = if n % 3 == 0 { n } else { n + 100 * writer };
        let path = folder.join(format!("{writer}-{n}"));
        std::fs::write(&path, content(seed, n)).unwrap();
        match store.add_build(draft(n, &[("image", &path)])).await {
            Ok(manifest) => {
                assert_eq!(manifest.input_key, input(n).key());
                acknowledged.push(n);
            }
            Err(error) => must_be_an_outage(&error),
        }
        match store.reader(&Digest::of(&content(seed, n))).await {
            Ok(reader) => match reader.read(0..reader.size()).await {
                Ok(bytes) => assert!(bytes == content(seed, n), "wrong bytes were served"),
                Err(error) => must_be_an_outage(&error),
            },
            Err(StoreError::Missing(_)) => assert!(!acknowledged.contains(&n)),
            Err(error) => must_be_an_outage(&error),
        }
    }
    acknowledged
}

async fn run(seed: u64) -> (u64, usize) {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Arc::new(InMemory::new());
    let faulty = Arc::new(Faulty::new(Arc::clone(&bucket), seed, PER_MILLE));
    let shared = Database::Sqlite(folder.path().join("shared.sqlite"));
    let mut writing = Vec::new();
    for writer in 1..=2 {
        let local = folder.path().join(format!("machine {writer}"));
        let place = location(&bucket, Some(&faulty), &local).with_database(shared.clone());
        match Store::open(&place).await {
            Ok(store) => {
                writing.push(tokio::spawn(write(store, folder.path().into(), seed, writer)));
            }
            Err(error) => must_be_an_outage(&error),
        }
    }
    let mut acknowledged = Vec::new();
    for writer in writing {
        acknowledged.extend(writer.await.unwrap());
    }
    // A new machine that knows nothing but the bucket, which works again.
    let place = location(&bucket, None, &folder.path().join("afterwards"));
    let store = Store::open(&place).await.unwrap();
    for n in &acknowledged {
        let build =
            store.build_by_request(&request(*n)).await.unwrap().expect("the build is there");
        let digest = build.artifact("image").unwrap().digest;
        let reader = store.reader(&digest).await.unwrap();
        assert!(reader.read(0..reader.size()).await.unwrap() == content(seed, *n), "build {n}");
    }
    let report = store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.quarantined, 0);
    (faulty.made(), acknowledged.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_wrong_is_served() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("KILN_FAULT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KILN_FAULT_RUNS").unwrap_or(RUNS),
    };
    let (mut faults, mut acknowledged) = (0, 0);
    for seed in seeds.clone() {
        let running = tokio::spawn(run(seed)).await;
        let (made, said) = running.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        faults += made;
        acknowledged += said;
    }
    let runs = seeds.end - seeds.start;
    let summary =
        format!("{runs} runs, {faults} faults, {acknowledged} builds acknowledged, none lost\n");
    std::io::Write::write_all(&mut std::io::stderr(), summary.as_bytes()).unwrap();
    assert!(faults > runs && acknowledged as u64 > runs);
}
