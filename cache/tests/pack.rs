//! Packing: smaller, and nothing else changes.

mod common;

use common::{Fixture, LIGHT, draft, noise, quiet};
use kiln_cache::{Digest, Store, StoreError};

/// A file of some frames, of which `n` says where a few bytes were put in.
fn neighbour(n: u64) -> Vec<u8> {
    let mut bytes = noise(1, 2_500_000);
    let at = 100_000 + n as usize * 90_000;
    bytes.splice(at..at, noise(n + 100, 300));
    bytes
}

async fn chain(fixture: &Fixture, builds: u64) -> Vec<(Digest, Vec<u8>)> {
    let mut files = Vec::new();
    for n in 0..builds {
        let content = neighbour(n);
        let path = fixture.file(&format!("build{n}/blob"), &content);
        let manifest = fixture.store.add_build(draft(n, &[("blob", &path)])).await.unwrap();
        files.push((manifest.artifacts[0].digest, content));
    }
    files
}

async fn pack(store: &Store) -> kiln_cache::pack::PackReport {
    let report = store.pack(LIGHT, &|_| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

async fn all_right(store: &Store, files: &[(Digest, Vec<u8>)]) {
    for (digest, content) in files {
        let reader = store.reader(digest).await.unwrap();
        assert_eq!(reader.size(), content.len() as u64);
        assert!(reader.read(0..reader.size()).await.unwrap() == *content);
        let range = 1_000_000..1_100_000;
        let part = reader.read(range.start as u64..range.end as u64).await.unwrap();
        assert!(part == content[range]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_take_the_room_of_one() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 5).await;
    let report = pack(&fixture.store).await;
    assert_eq!((report.blobs, report.packed, report.deltas, report.keyframes), (5, 5, 4, 1));
    assert!(report.bytes_after < report.bytes_before / 4, "{report:?}");
    all_right(&fixture.store, &files).await;
    // Another process, and another time.
    let store = fixture.reopen().await;
    all_right(&store, &files).await;
    assert_eq!(pack(&store).await.packed, 0);
    let verified = store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
    assert_eq!(verified.orphans, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_is_not_stored_again() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 3).await;
    pack(&fixture.store).await;
    let before = fixture.store.stats().await.unwrap().stored_bytes;
    for (digest, content) in &files {
        let path = fixture.file("again", content);
        assert_eq!(fixture.store.put_file(&path).await.unwrap().0, *digest);
    }
    assert_eq!(fixture.store.stats().await.unwrap().stored_bytes, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_notice() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 3).await;
    let mut readers = Vec::new();
    for (digest, _) in &files {
        readers.push(fixture.store.reader(digest).await.unwrap());
    }
    pack(&fixture.store).await;
    for (reader, (_, content)) in readers.iter().zip(&files) {
        assert!(reader.read(0..reader.size()).await.unwrap() == *content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_keyframe_is_found_and_named() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 3).await;
    pack(&fixture.store).await;
    let largest = files.iter().max_by_key(|file| fixture.blob(&file.0).metadata().unwrap().len());
    let (keyframe, content) = largest.unwrap();
    let mut stored = std::fs::read(fixture.blob(keyframe)).unwrap();
    stored[1_500_000] ^= 1;
    std::fs::write(fixture.blob(keyframe), stored).unwrap();
    let store = fixture.reopen().await;
    let other = files.iter().find(|file| file.0 != *keyframe).unwrap();
    let reader = store.reader(&other.0).await.unwrap();
    match reader.read(0..reader.size()).await {
        Err(StoreError::Corrupt { digest, .. }) => assert_eq!(digest, *keyframe),
        other => panic!("{other:?}"),
    }
    // What rests on it is right again when it is.
    let again = fixture.file("again", content);
    store.put_file(&again).await.unwrap();
    all_right(&store, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_difference_is_never_served() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 3).await;
    pack(&fixture.store).await;
    for (digest, content) in &files {
        let stored = std::fs::read(fixture.blob(digest)).unwrap();
        if stored.len() > 100_000 {
            continue;
        }
        for at in (0..stored.len()).step_by(stored.len() / 60) {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x10;
            std::fs::write(fixture.blob(digest), damaged).unwrap();
            let Ok(reader) = fixture.store.reader(digest).await else { continue };
            if let Ok(bytes) = reader.read(0..reader.size()).await {
                assert!(bytes == *content, "byte {at}");
            }
        }
        std::fs::write(fixture.blob(digest), stored).unwrap();
    }
    all_right(&fixture.store, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_packer_at_a_time() {
    let fixture = Fixture::new().await;
    chain(&fixture, 3).await;
    let (one, other) = (fixture.store.clone(), fixture.reopen().await);
    let (one, other) =
        tokio::join!(one.pack(LIGHT, &|_| {}), async { other.pack(LIGHT, &|_| {}).await });
    let busy = [&one, &other].iter().filter(|it| matches!(it, Err(StoreError::Busy))).count();
    assert!(busy <= 1 && (one.is_ok() || other.is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_form_is_not_called_corrupt() {
    let fixture = Fixture::new().await;
    let path = fixture.file("x", &noise(1, 5000));
    let (digest, _) = fixture.store.put_file(&path).await.unwrap();
    let mut stored = std::fs::read(fixture.blob(&digest)).unwrap();
    *stored.last_mut().unwrap() = 9;
    std::fs::write(fixture.blob(&digest), stored).unwrap();
    match fixture.store.reader(&digest).await {
        Err(StoreError::NewerFormat { found: 9, known: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(fixture.blob(&digest).exists(), "it stays where it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_files_are_a_build_and_pushing_again_changes_nothing() {
    let fixture = Fixture::new().await;
    let files = vec![
        ("vmlinux".to_owned(), fixture.file("p/vmlinux", b"not an ELF file")),
        (".config".to_owned(), fixture.file("p/.config", b"CONFIG_X=y\n")),
    ];
    let first = fixture.store.push(files.clone(), Some("abcdef12")).await.unwrap();
    assert_eq!(first.manifest.commit, "abcdef12");
    assert_eq!(first.files.len(), 2);
    let again = fixture.store.push(files.clone(), None).await.unwrap();
    assert_eq!(again.manifest.input_key, first.manifest.input_key);
    let blobs: Vec<_> = first.files.iter().map(|file| (file.name.clone(), file.digest)).collect();
    let other = fixture.store.push_blobs(&blobs, None).await.unwrap();
    assert_eq!(other.manifest.input_key, first.manifest.input_key);
    assert!(fixture.store.push(vec![("../x".into(), files[0].1.clone())], None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_keyframe_comes_back_when_it_is_stored_again() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 3).await;
    pack(&fixture.store).await;
    let largest = files.iter().max_by_key(|file| fixture.blob(&file.0).metadata().unwrap().len());
    let keyframe = largest.unwrap().0;
    std::fs::remove_file(fixture.blob(&keyframe)).unwrap();
    let report = fixture.store.verify(false, &quiet).await.unwrap();
    assert!(report.lost.contains(&keyframe) && report.lost.len() == 3, "what rests on it, too");
    for (digest, content) in &files {
        if *digest != keyframe {
            let path = fixture.file("again", content);
            assert_eq!(fixture.store.put_file(&path).await.unwrap().0, *digest);
            let reader = fixture.store.reader(digest).await.unwrap();
            assert!(reader.read(0..reader.size()).await.unwrap() == *content);
        }
    }
}

/// Whoever stores a file is told that it is here only when its bytes were looked at, and those of
/// what it rests on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_again_is_read_first() {
    let fixture = Fixture::new().await;
    let files = chain(&fixture, 4).await;
    pack(&fixture.store).await;
    let largest = files.iter().max_by_key(|file| fixture.blob(&file.0).metadata().unwrap().len());
    flip(&fixture.blob(&largest.unwrap().0), 1_500_000);
    let store = fixture.reopen().await;
    for (digest, content) in &files {
        let path = fixture.file("again", content);
        assert_eq!(store.put_file(&path).await.unwrap().0, *digest);
    }
    all_right(&store, &files).await;
    let verified = store.verify(true, &quiet).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.problems);
    assert_eq!(verified.quarantined, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_blobs_that_are_wrong_is_none() {
    let fixture = Fixture::new().await;
    let content = noise(1, 2_500_000);
    let path = fixture.file("x", &content);
    let (digest, _) = fixture.store.put_file(&path).await.unwrap();
    flip(&fixture.blob(&digest), 1_500_000);
    let files = [("image".to_owned(), digest)];
    let store = fixture.reopen().await;
    let wrong = store.push_blobs(&files, None).await;
    assert!(matches!(wrong, Err(StoreError::Corrupt { .. })), "{wrong:?}");
    let missing = store.push_blobs(&files, None).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    assert_eq!(store.stats().await.unwrap().builds, 0);
    store.put_file(&path).await.unwrap();
    store.push_blobs(&files, None).await.unwrap();
    assert!(store.verify(true, &quiet).await.unwrap().is_clean());
}

fn flip(path: &std::path::Path, at: usize) {
    let mut stored = std::fs::read(path).unwrap();
    stored[at] ^= 1;
    std::fs::write(path, stored).unwrap();
}
