//! A bucket that fails in every way that buckets do: 500, 503, 409, time-outs, cut bodies, success
//! reported as failure. Whatever was acknowledged is there and right; nothing else is visible.
//!
//! Each run is repeatable: `KILN_FAULT_SEED=N` runs one, `KILN_FAULT_RUNS=N` so many of them.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{draft, input, noise, quiet, request};
use kiln_cache::{Backend, Database, Digest, Location, Patience, Store, StoreError};
use kiln_servers::{Azurite, Faulty};
use object_store::ObjectStoreExt as _;
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

/// Wrong bytes go to the quarantine, and right ones take their place, whatever tags a bucket gives
/// to copies.
async fn heals(backend: Backend, folder: &std::path::Path) {
    let at = Location::bucket(backend.clone()).with_local(folder.join("local"), 8 << 20);
    let store = Store::open(&at).await.unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let (path, content) = (folder.join("image"), noise(1, 1_300_000));
    std::fs::write(&path, &content).unwrap();
    let build = store.add_build(draft(1, &[("image", &path)])).await.unwrap();
    let (key, digest) = (build.input_key, build.artifact("image").unwrap().digest);
    let (name, hex) = (key.to_string(), digest.to_hex());
    let objects = [
        format!("{}/builds/{}/{name}.json", backend.prefix, &name[..2]),
        format!("{}/blobs/{}/{hex}", backend.prefix, &hex[..2]),
    ];
    for object in objects.map(object_store::path::Path::from) {
        let mut bytes = backend.store.get(&object).await.unwrap().bytes().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        backend.store.put(&object, bytes.into()).await.unwrap();
    }
    let said = common::story(&store.build_by_input(&key).await.unwrap_err());
    assert!(said.contains("quarantine/"), "{said}");
    assert_eq!(store.build_by_input(&key).await.unwrap(), None);
    let reader = store.reader(&digest).await.unwrap();
    let said = common::story(&reader.read(0..reader.size()).await.unwrap_err());
    assert!(said.contains("quarantine/"), "{said}");
    let gone = store.reader(&digest).await;
    assert!(matches!(gone, Err(StoreError::Missing(_))), "{gone:?}");
    store.add_build(draft(1, &[("image", &path)])).await.unwrap();
    let reader = store.reader(&digest).await.unwrap();
    assert!(reader.read(0..reader.size()).await.unwrap() == content);
    let report = store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.builds, report.blobs, report.quarantined), (1, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_quarantined_and_healed() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Arc::new(InMemory::new());
    let memory = Backend {
        store: bucket.clone(),
        parts: bucket,
        signer: None,
        prefix: "p".into(),
        name: "memory://".to_owned(),
        patience: Patience::default(),
    };
    heals(memory, &folder.path().join("memory")).await;
    let Some(program) = Azurite::program() else {
        kiln_skip::skip(kiln_skip::Lack::Azurite, "azurite is not installed");
        return;
    };
    let azure = Azurite::start(&program, &folder.path().join("azurite")).unwrap();
    let options: Vec<_> =
        azure.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    heals(Backend::open("az://kiln/p", &options).unwrap(), &folder.path().join("azure")).await;
}
