//! A full disk: a clear error that names the folder, an intact store, and all well again once
//! there is space. A real one: a small file system, mounted in a namespace of its own.

mod common;

use std::path::Path;
use std::process::Command;

use common::{draft, noise, quiet, story};
use kiln_cache::error::StoreError;
use kiln_cache::{Location, Store};
use kiln_skip::{Lack, skip};

const FOLDER: &str = "KILN_TEST_FULL_DISK";
const MIB: usize = 1 << 20;

#[test]
fn a_full_disk_is_named_and_survived() {
    let namespace = ["--user", "--map-root-user", "--mount", "--"];
    let allowed = Command::new("unshare").args(namespace).arg("true").status();
    if !allowed.is_ok_and(|status| status.success()) {
        skip(Lack::Namespaces, "no small file system can be mounted without user namespaces");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=12m none "$0" && exec "$@""#;
    let status = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", mount])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "on_a_small_disk", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

fn assert_full(error: &StoreError, root: &Path) {
    assert!(matches!(error, StoreError::Full { .. }), "{}", story(error));
    let text = error.to_string();
    for word in [root.to_str().unwrap(), "no space left", "intact", "--store"] {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
}

/// Not a test by itself: what happens on the small disk.
#[tokio::test]
#[ignore = "started by the test above, on a disk of 12 MiB"]
async fn on_a_small_disk() {
    let Ok(folder) = std::env::var(FOLDER) else {
        panic!("started by hand: it needs {FOLDER}");
    };
    let folder = Path::new(&folder);
    let root = folder.join("store");
    let spare = folder.join("spare");
    std::fs::write(&spare, noise(0, 4 * MIB)).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = outside.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let store = Store::open(&Location::folder(&root)).await.unwrap();
    let small = file("small", &noise(1, 100_000));
    let first = store.add_build(draft(1, &[("image", &small)])).await.unwrap();

    // One file that can't fit: refused, and nothing of it stays.
    let large = file("large", &noise(2, 20 * MIB));
    assert_full(&store.put_file(&large).await.unwrap_err(), &root);
    assert_full(&store.put_bytes(noise(3, 20 * MIB).into()).await.unwrap_err(), &root);
    let report = store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.blobs, report.staged), (1, 0));

    // Many that fit until they don't, so that each kind of write meets the full disk.
    let mut stored = Vec::new();
    let mut refused = 0;
    for n in 2.. {
        let content = file("next", &noise(n, 60_000 >> refused));
        match store.add_build(draft(n, &[("image", &content)])).await {
            Ok(manifest) => stored.push(manifest),
            Err(error) => {
                assert_full(&error, &root);
                refused += 1;
            }
        }
        if refused == 12 {
            break;
        }
    }
    assert!(stored.len() > 10, "{}", stored.len());

    // With space again, all is well, and what was acknowledged is there.
    std::fs::remove_file(&spare).unwrap();
    for manifest in std::iter::once(&first).chain(&stored) {
        let found = store.build_by_input(&manifest.input_key).await.unwrap();
        assert_eq!(found.as_ref(), Some(manifest));
    }
    store.add_build(draft(100_000, &[("image", &small)])).await.unwrap();
    let report = store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.quarantined, 0);
}
