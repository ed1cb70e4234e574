//! Blobs through the store: what goes in comes out, what is damaged never does.

mod common;

use std::future::poll_fn;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use common::{Fixture, noise, quiet, story};
use futures::TryStreamExt;
use kiln_cache::error::{Quarantine, StoreError};
use kiln_cache::{Digest, Store};

const MIB: usize = 1 << 20;

async fn whole(store: &Store, digest: &Digest) -> Result<Vec<u8>, StoreError> {
    let reader = store.reader(digest).await?;
    reader.read(0..reader.size()).await
}

/// Changes one byte of a file in place.
fn flip(path: &Path, at: u64) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    std::io::Read::read_exact(&mut file, &mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0x40]).unwrap();
}

#[tokio::test]
async fn files_of_all_sizes_come_back() {
    let fixture = Fixture::new().await;
    // 130 frames: a table longer than what a reader fetches first, and several parts.
    for len in [0, 1, 4096, MIB - 1, MIB, MIB + 1, 9 * MIB + 3, 130 * MIB] {
        let content = noise(len as u64, len);
        let path = fixture.file("file", &content);
        let (digest, size) = fixture.store.put_file(&path).await.unwrap();
        assert_eq!((digest, size), (Digest::of(&content), len as u64));
        assert_eq!(whole(&fixture.store, &digest).await.unwrap(), content, "{len} bytes");
        // The same bytes from memory are the same blob.
        assert_eq!(fixture.store.put_bytes(content.into()).await.unwrap(), digest);
    }
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.blobs, report.orphans, report.staged), (8, 8, 0));
}

#[tokio::test]
async fn ranges_equal_the_slice() {
    let fixture = Fixture::new().await;
    let content = noise(1, 3 * MIB + 100);
    let digest = fixture.store.put_bytes(content.clone().into()).await.unwrap();
    let reader = fixture.store.reader(&digest).await.unwrap();
    let len = content.len() as u64;
    let mib = MIB as u64;
    for range in
        [0..0, 5..5, 0..1, mib - 1..mib + 1, mib..2 * mib, 7..len - 7, len - 1..len, len..len]
    {
        let slice = &content[range.start as usize..range.end as usize];
        assert_eq!(reader.read(range.clone()).await.unwrap(), slice, "{range:?}");
    }
    #[allow(clippy::reversed_empty_ranges)]
    for range in [0..len + 1, len + 1..len + 2, 5..4] {
        let error = reader.read(range).await.unwrap_err();
        assert!(matches!(error, StoreError::Range { .. }), "{error}");
    }
}

#[tokio::test]
async fn known_content_is_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new().await;
    let path = fixture.file("file", &noise(1, 2 * MIB));
    let (digest, _) = fixture.store.put_file(&path).await.unwrap();
    let before = std::fs::metadata(fixture.blob(&digest)).unwrap();
    fixture.store.put_file(&path).await.unwrap();
    let after = std::fs::metadata(fixture.blob(&digest)).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[tokio::test]
async fn a_flipped_byte_is_refused_quarantined_and_healed() {
    for (at, len) in [(100, 3 * MIB), (2 * MIB as u64 + 9, 3 * MIB), (10, 500)] {
        let fixture = Fixture::new().await;
        let content = noise(at, len);
        let path = fixture.file("vmlinux", &content);
        let (digest, _) = fixture.store.put_file(&path).await.unwrap();
        let open_before = fixture.store.reader(&digest).await.unwrap();
        flip(&fixture.blob(&digest), at);
        let error = whole(&fixture.store, &digest).await.unwrap_err();
        let StoreError::Corrupt { digest: named, moved, .. } = &error else { panic!("{error}") };
        assert_eq!(*named, digest);
        let place = format!("quarantine/{digest}-");
        assert!(matches!(moved, Quarantine::Moved(to) if to.starts_with(&place)), "{moved:?}");
        let text = error.to_string();
        for word in ["corrupt", "quarantine/", "never served", "kiln push", "rebuild"] {
            assert!(text.contains(word), "'{word}' is not in: {text}");
        }
        // Nobody gets it any more, not even who opened it before.
        let gone = whole(&fixture.store, &digest).await.unwrap_err();
        assert!(matches!(gone, StoreError::Missing(_)), "{gone}");
        assert!(open_before.read(0..len as u64).await.is_err());
        // Putting the same file heals.
        assert_eq!(fixture.store.put_file(&path).await.unwrap().0, digest);
        assert_eq!(whole(&fixture.store, &digest).await.unwrap(), content);
        let report = fixture.store.verify(true, &quiet).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        assert_eq!(report.quarantined, 1);
    }
}

/// The pieces before the damage may come out; nothing behind it, and nothing wrong.
#[tokio::test]
async fn a_stream_ends_at_the_damage() {
    let fixture = Fixture::new().await;
    let content = noise(3, 5 * MIB);
    let digest = fixture.store.put_bytes(content.clone().into()).await.unwrap();
    flip(&fixture.blob(&digest), 2 * MIB as u64 + 1);
    let reader = fixture.store.reader(&digest).await.unwrap();
    let mut pieces = reader.stream(0..reader.size());
    let mut seen = Vec::new();
    let error = loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => seen.extend_from_slice(&piece),
            Ok(None) => panic!("the damage was not seen"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(seen, content[..2 * MIB]);
    assert!(pieces.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_put_over_a_truncated_blob_heals_it() {
    let fixture = Fixture::new().await;
    let content = noise(4, 2 * MIB);
    let path = fixture.file("file", &content);
    let (digest, _) = fixture.store.put_file(&path).await.unwrap();
    for keep in [0, 39, 40, MIB as u64, 2 * MIB as u64 + 100] {
        let blob = std::fs::File::options().write(true).open(fixture.blob(&digest)).unwrap();
        blob.set_len(keep).unwrap();
        assert_eq!(fixture.store.put_file(&path).await.unwrap().0, digest);
        assert_eq!(whole(&fixture.store, &digest).await.unwrap(), content, "cut to {keep}");
    }
}

#[tokio::test]
async fn another_blobs_bytes_under_this_name_are_refused() {
    let fixture = Fixture::new().await;
    let a = fixture.store.put_bytes(noise(1, 2 * MIB).into()).await.unwrap();
    let b = fixture.store.put_bytes(noise(2, 2 * MIB).into()).await.unwrap();
    std::fs::copy(fixture.blob(&a), fixture.blob(&b)).unwrap();
    let error = whole(&fixture.store, &b).await.unwrap_err();
    assert!(error.to_string().contains("proves another content"), "{error}");
    assert_eq!(whole(&fixture.store, &a).await.unwrap(), noise(1, 2 * MIB));
}

#[tokio::test]
async fn a_reader_survives_the_blob_being_replaced_by_itself() {
    let fixture = Fixture::new().await;
    let content = noise(5, 3 * MIB);
    let digest = fixture.store.put_bytes(content.clone().into()).await.unwrap();
    let reader = fixture.store.reader(&digest).await.unwrap();
    let copy = fixture.folder.path().join("copy");
    std::fs::copy(fixture.blob(&digest), &copy).unwrap();
    std::fs::rename(&copy, fixture.blob(&digest)).unwrap();
    assert_eq!(reader.read(0..reader.size()).await.unwrap(), content);
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let fixture = Fixture::new().await;
    for path in [fixture.folder.path(), Path::new("/dev/zero")] {
        let error = fixture.store.put_file(path).await.unwrap_err();
        assert!(story(&error).contains("not a regular file"), "{}", story(&error));
    }
    let error = fixture.store.put_file(Path::new("no/such/file")).await.unwrap_err();
    assert!(story(&error).contains("no/such/file"), "{}", story(&error));
}

/// A writer that never stops: whatever is stored is what its digest says, and nothing is left of
/// what could not be stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_stored_is_never_stored_wrong() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let fixture = Fixture::new().await;
    let path = fixture.file("file", &noise(6, 8 * MIB));
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let writer = {
        let (path, stop) = (path.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut n = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let mut file = std::fs::File::options().write(true).open(&path).unwrap();
                file.seek(SeekFrom::Start(n * 7919 % (8 * MIB as u64))).unwrap();
                file.write_all(&n.to_le_bytes()).unwrap();
                n += 1;
            }
        })
    };
    let mut refused = 0;
    for _ in 0..20 {
        match fixture.store.put_file(&path).await {
            Ok((digest, _)) => {
                let bytes = whole(&fixture.store, &digest).await.unwrap();
                assert_eq!(Digest::of(&bytes), digest);
            }
            Err(StoreError::Changed(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(refused > 0, "no put saw the writer");
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.staged, report.quarantined), (0, 0));
}

#[tokio::test]
async fn a_blob_becomes_a_file_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let content = noise(7, 3 * MIB);
    let digest = fixture.store.put_bytes(content.clone().into()).await.unwrap();
    let out = fixture.folder.path().join("out/image");
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    std::fs::write(&out, "old").unwrap();
    fixture.store.read_to_file(&digest, &out).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), content);
    flip(&fixture.blob(&digest), 2 * MIB as u64);
    std::fs::write(&out, "old").unwrap();
    fixture.store.read_to_file(&digest, &out).await.unwrap_err();
    assert_eq!(std::fs::read(&out).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_interrupted_leaves_nothing_beside_the_file() {
    let fixture = Fixture::new().await;
    let content = noise(11, 9 * MIB);
    let digest = fixture.store.put_bytes(content.clone().into()).await.unwrap();
    let folder = fixture.folder.path().join("out");
    std::fs::create_dir(&folder).unwrap();
    let out = folder.join("image");
    let files = || std::fs::read_dir(&folder).unwrap().count();
    let mut export = Box::pin(fixture.store.export_file(&digest, &out, true));
    // Step by step, until there is a file that is not whole yet.
    while files() == 0 {
        let step = poll_fn(|context| Poll::Ready(export.as_mut().poll(context))).await;
        assert!(step.is_pending(), "it was never seen halfway");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!out.exists());
    drop(export);
    assert_eq!(files(), 0);
    fixture.store.export_file(&digest, &out, false).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), content);
    // What came to lie there meanwhile is left alone, unless it was to be replaced.
    std::fs::write(&out, "my own").unwrap();
    fixture.store.export_file(&digest, &out, false).await.unwrap_err();
    assert_eq!((std::fs::read(&out).unwrap(), files()), (b"my own".to_vec(), 1));
    fixture.store.export_file(&digest, &out, true).await.unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), content);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    let other = folder.join("other");
    std::fs::write(&other, "").unwrap();
    assert_eq!(mode(&out), mode(&other), "for whom the umask lets");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_of_one_content_agree() {
    let fixture = Fixture::new().await;
    let content = noise(8, 6 * MIB);
    let path = fixture.file("file", &content);
    let others = [fixture.reopen().await, fixture.reopen().await];
    let puts = (0..8).map(|i| {
        let store = others.get(i % 3).unwrap_or(&fixture.store).clone();
        let path = path.clone();
        tokio::spawn(async move { store.put_file(&path).await.unwrap().0 })
    });
    for put in puts.collect::<Vec<_>>() {
        assert_eq!(put.await.unwrap(), Digest::of(&content));
    }
    assert_eq!(whole(&fixture.store, &Digest::of(&content)).await.unwrap(), content);
    let report = fixture.store.verify(true, &quiet).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!((report.blobs, report.staged), (1, 0));
}
