//! Packing: smaller, and nothing else changes.

mod common;

use std::io::Write;

use common::{Fixture, LIGHT, draft, merciless, noise, quiet};
use kiln_cache::retention::Policy;
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
async fn what_a_packer_held_that_was_ended_is_free() {
    let fixture = Fixture::new().await;
    chain(&fixture, 5).await;
    let third = tokio::sync::Notify::new();
    let progress = |at: kiln_cache::pack::PackProgress| {
        if at.done == 3 {
            third.notify_one();
        }
    };
    tokio::select! {
        _ = fixture.store.pack(LIGHT, &progress) => panic!("it was not interrupted"),
        () = third.notified() => {}
    }
    let report = fixture.reopen().await.gc(&merciless()).await.unwrap();
    assert_eq!((report.gone.len(), report.freed_blobs), (5, 5), "{report:?}");
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
        Err(StoreError::NewerFormat { found: 9, known: 4, .. }) => {}
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

/// A boot image whose kernel has relocations behind it: something was put in before the one
/// number `100 * n`, and moved all others.
fn image_with_relocations(n: u32) -> Vec<u8> {
    let mut kernel = vec![0; 64 + 56];
    kernel[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    kernel.extend(noise(n.into(), 3000));
    let mut put = |at: usize, value: u64, len| {
        kernel[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    };
    // The place, the size and the number of program headers; the size of the one that there is.
    put(32, 64, 8);
    put(52, 64, 2);
    put(54, 56, 2);
    put(56, 1, 2);
    put(64 + 32, 3120, 8);
    let distance = |word: u32| u32::from(noise(word.into(), 1)[0]) + 5;
    let mut word = 0x8100_0000_u32;
    let words = (0..20_000).map(|count| {
        word += distance(count) + if count == n * 100 { 4096 } else { 0 };
        word
    });
    let words = [0; 3].into_iter().chain(words.collect::<Vec<_>>());
    kernel.extend(words.flat_map(u32::to_le_bytes));
    let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    packer.write_all(&kernel).unwrap();
    let packed = packer.finish().unwrap();
    let mut image = noise(1, 1024);
    image[0x1f1] = 1;
    image[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    image[0x248..0x24c].copy_from_slice(&[0; 4]);
    image[0x24c..0x250].copy_from_slice(&(packed.len() as u32 + 4).to_le_bytes());
    [&image[..], &packed, &(kernel.len() as u32).to_le_bytes()].concat()
}

/// Packed at once or one by one, relocations are parts that rest on one another, and stay with their
/// images.
#[tokio::test(flavor = "multi_thread")]
async fn relocations_of_neighbours_take_the_room_of_one() {
    for one_by_one in [false, true] {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let (mut images, mut last) = (Vec::new(), None);
        for n in 0..4 {
            let content = image_with_relocations(n);
            let path = fixture.file("bzImage", &content);
            let files = vec![("bzImage".to_owned(), path)];
            let manifest = store.push(files, None).await.unwrap().manifest;
            images.push((manifest.artifacts[0].digest, content));
            last = Some(manifest.input_key);
            if one_by_one {
                assert_eq!(pack(store).await.images, 1);
            }
        }
        assert_eq!(pack(store).await.images, if one_by_one { 0 } else { 4 });
        let policy = Policy { embargo: -10, ..Policy::default() };
        assert_eq!(store.gc(&policy).await.unwrap().freed_blobs, 0);
        let verified = store.verify(true, &quiet).await.unwrap();
        assert!(verified.is_clean(), "{:?}", verified.problems);
        let again = fixture.reopen().await;
        let mut sizes = Vec::new();
        for (digest, content) in &images {
            let reader = again.reader(digest).await.unwrap();
            assert!(reader.read(0..reader.size()).await.unwrap() == *content);
            sizes.push(again.stored_bytes(digest).await.unwrap());
        }
        sizes.sort_unstable();
        // The kernels are noise, and so are the distances, of which each takes a byte.
        assert!(sizes[2] < 6000 && sizes[3] > 20_000, "{sizes:?}");
        // What one image needs stays when the others go.
        store.pin(&last.unwrap(), true).await.unwrap();
        let report = store.gc(&merciless()).await.unwrap();
        assert_eq!(report.gone.len(), 3);
        let (digest, content) = images.pop().unwrap();
        let reader = fixture.reopen().await.reader(&digest).await.unwrap();
        assert!(reader.read(0..reader.size()).await.unwrap() == content);
        assert!(store.verify(true, &quiet).await.unwrap().is_clean());
    }
}
