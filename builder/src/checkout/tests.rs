use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use git2::{Index, IndexEntry, IndexTime};
use proptest::prelude::*;

use super::*;
use crate::testing::Fixture;

/// What a path holds: mode and content.
type Files = BTreeMap<&'static str, (u32, String)>;

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "a/d", "e", "f/g/h"];
const MODES: [u32; 3] = [0o100_644, 0o100_755, 0o120_000];

fn tree(fixture: &Fixture, files: &Files) -> String {
    let mut index = Index::new().unwrap();
    for (path, (mode, content)) in files {
        let zero = IndexTime::new(0, 0);
        let id = fixture.git().blob(content.as_bytes()).unwrap();
        let entry = IndexEntry {
            ctime: zero,
            mtime: zero,
            dev: 0,
            ino: 0,
            mode: *mode,
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: 0,
            flags_extended: 0,
            path: path.as_bytes().to_vec(),
        };
        index.add(&entry).unwrap();
    }
    index.write_tree_to(fixture.git()).unwrap().to_string()
}

/// What lies in a folder, in the same terms; empty folders show as mode 0.
fn found(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        let mut empty = true;
        for item in fs::read_dir(&at).unwrap() {
            empty = false;
            let path = item.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
                files.insert(name, (0o120_000, target));
            } else {
                let mode = 0o100_000 | (metadata.permissions().mode() & 0o777);
                files.insert(name, (mode, fs::read_to_string(&path).unwrap()));
            }
        }
        if empty && at != folder {
            files.insert(at.to_str().unwrap().to_owned(), (0, String::new()));
        }
    }
    files
}

fn expected(files: &Files) -> BTreeMap<String, (u32, String)> {
    files.iter().map(|(path, held)| ((*path).to_owned(), held.clone())).collect()
}

fn files() -> impl Strategy<Value = Files> {
    let held = proptest::option::of((0..3usize, 0..3u8));
    proptest::collection::vec(held, PATHS.len()).prop_map(|choices| {
        let mut files = Files::new();
        for (path, choice) in PATHS.into_iter().zip(choices) {
            // A path below a file can't be.
            let below = files.keys().any(|above| path.starts_with(&format!("{above}/")));
            if let (Some((mode, content)), false) = (choice, below) {
                files.insert(path, (MODES[mode], format!("content{content}")));
            }
        }
        files
    })
}

fn with(fixture: &Fixture, folder: &Path, work: impl FnOnce(&Checkout<'_>)) {
    let (repository, cancel) = (fixture.repository(), Cancel::default());
    let checkout =
        Checkout { repository: &repository, folder, cancel: &cancel, progress: &|_, _| {} };
    work(&checkout);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn updating_gives_exactly_the_tree(steps in proptest::collection::vec(files(), 1..5)) {
        let fixture = Fixture::new();
        let folder = tempfile::tempdir().unwrap();
        with(&fixture, folder.path(), |checkout| {
            let mut before: Option<String> = None;
            for step in &steps {
                let wanted = tree(&fixture, step);
                update(checkout, before.as_deref(), &wanted).unwrap();
                assert_eq!(found(folder.path()), expected(step));
                before = Some(wanted);
            }
        });
    }

    #[test]
    fn repairing_gives_exactly_the_tree(held in files(), wanted in files()) {
        let fixture = Fixture::new();
        let folder = tempfile::tempdir().unwrap();
        with(&fixture, folder.path(), |checkout| {
            update(checkout, None, &tree(&fixture, &held)).unwrap();
            repair(checkout, &tree(&fixture, &wanted)).unwrap();
            assert_eq!(found(folder.path()), expected(&wanted));
        });
    }
}

#[test]
fn files_that_stay_the_same_keep_their_time() {
    let fixture = Fixture::new();
    let file = |content: &str| (MODES[0], content.to_owned());
    let one = tree(&fixture, &Files::from([("a", file("1")), ("e", file("1"))]));
    let two = tree(&fixture, &Files::from([("a", file("2")), ("e", file("1"))]));
    let folder = tempfile::tempdir().unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let time = |name: &str| fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
    with(&fixture, folder.path(), |checkout| {
        update(checkout, None, &one).unwrap();
        for name in ["a", "e"] {
            let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        update(checkout, Some(&one), &two).unwrap();
        assert!(time("a") > long_ago && time("e") == long_ago);
        fs::write(folder.path().join("a"), "scribbled").unwrap();
        repair(checkout, &two).unwrap();
        assert_eq!(
            (fs::read_to_string(folder.path().join("a")).unwrap().as_str(), time("e")),
            ("2", long_ago)
        );
    });
}

#[test]
fn repairing_never_leaves_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b"), "precious").unwrap();
    let fixture = Fixture::new();
    let wanted = tree(&fixture, &Files::from([("a/b", (MODES[0], "1".to_owned()))]));
    let folder = tempfile::tempdir().unwrap();
    // Where the tree has a folder, something put a link to elsewhere.
    symlink(outside.path(), folder.path().join("a")).unwrap();
    with(&fixture, folder.path(), |checkout| {
        repair(checkout, &wanted).unwrap();
    });
    assert_eq!(fs::read_to_string(outside.path().join("b")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(folder.path().join("a/b")).unwrap(), "1");
}

#[test]
fn a_cancelled_checkout_stops() {
    let fixture = Fixture::new();
    let wanted = tree(&fixture, &Files::from([("a", (MODES[0], "1".to_owned()))]));
    let folder = tempfile::tempdir().unwrap();
    with(&fixture, folder.path(), |checkout| {
        checkout.cancel.cancel();
        let error = update(checkout, None, &wanted).unwrap_err();
        assert!(matches!(error, BuildError::Cancelled), "{error}");
    });
}
