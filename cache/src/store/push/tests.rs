//! A push over the network names a build as one from a folder does.

use std::path::PathBuf;

use crate::build_draft::VMLINUX;
use crate::digest::Digest;
use crate::location::Location;
use crate::manifest::Manifest;
use crate::manifests;
use crate::query::Query;
use crate::signature::test_elf::TestElf;
use crate::signature::tests::kernel::{Build, kernel};
use crate::signature::{SignatureKind, Signatures};
use crate::store::Store;

/// The signatures that two stores give to the same files: one is handed files, the other the names
/// of blobs.
async fn both_ways(boot: &[u8], module: &[u8]) -> [Signatures; 2] {
    let folder = tempfile::tempdir().unwrap();
    let contents = [
        ("vmlinux", kernel(&Build::new(), TestElf::new()).elf.build()),
        ("bzImage", boot.to_vec()),
        ("modules/a.ko", module.to_vec()),
        (".config", b"CONFIG_X=y\n".to_vec()),
    ];
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for (n, (name, content)) in contents.iter().enumerate() {
        let path = folder.path().join(n.to_string());
        std::fs::write(&path, content).unwrap();
        files.push(((*name).to_owned(), path));
    }
    let open = |name: &str| Location::folder(folder.path().join(name));
    let local = Store::open(&open("local")).await.unwrap();
    let far = Store::open(&open("far")).await.unwrap();
    let mut blobs = Vec::new();
    for (name, path) in &files {
        blobs.push((name.clone(), far.put_file(path).await.unwrap().0));
    }
    let pushed = local.push(files, None).await.unwrap();
    let sent = far.push_blobs(&blobs, None).await.unwrap();
    assert_eq!(pushed.manifest.input_key, sent.manifest.input_key);
    [pushed.manifest.signatures, sent.manifest.signatures]
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_named_like_files_and_every_file_that_runs_counts() {
    let [local, far] = both_ways(b"a boot image", b"a module").await;
    assert!(local.get(SignatureKind::Image).is_some());
    assert_eq!(local, far);
    for (boot, module) in [("another boot image", "a module"), ("a boot image", "another module")] {
        let [other, _] = both_ways(boot.as_bytes(), module.as_bytes()).await;
        for kind in [SignatureKind::Image, SignatureKind::Content] {
            assert_ne!(local.get(kind), other.get(kind), "{kind}");
        }
    }
}

/// A store, in a folder, to which a kernel was pushed, with its files and its manifest.
async fn pushed() -> (tempfile::TempDir, Store, [(String, Digest); 1], Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path().join("store"))).await.unwrap();
    let kernel = folder.path().join("vmlinux");
    std::fs::write(&kernel, self::kernel(&Build::new(), TestElf::new()).elf.build()).unwrap();
    let files = [(VMLINUX.to_owned(), store.put_file(&kernel).await.unwrap().0)];
    let manifest = store.push_blobs(&files, Some(&"a".repeat(40))).await.unwrap().manifest;
    (folder, store, files, manifest)
}

/// Puts another manifest in the place of a build's.
async fn replace(store: &Store, manifest: &Manifest) {
    let (bytes, inner) = (manifests::encode(manifest).unwrap(), store.inner());
    let object = manifests::object_of(&manifest.input_key);
    inner.objects.put(&object, bytes.clone().into()).await.unwrap();
    inner.index.add_builds(&[(manifest.clone(), Digest::of(&bytes))]).await.unwrap();
}

/// As a Kiln left it that named kernels by older definitions.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_named_by_an_older_definition_keeps_its_names() {
    let (_folder, store, files, made) = pushed().await;
    let mut older = made.clone();
    for signature in older.signatures.0.values_mut() {
        (signature.version, signature.hash) = (signature.version - 1, Digest::of(b"older"));
    }
    replace(&store, &older).await;
    let again = store.push_blobs(&files, Some(&"b".repeat(40))).await.unwrap().manifest;
    assert_eq!(again, older);
}

/// As a Kiln left it that signed a kernel by some of its files.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_misnamed_is_named_anew_when_it_is_pushed_again() {
    let (_folder, store, files, right) = pushed().await;
    let mut wrong = right.clone();
    wrong.signatures.0.get_mut(&SignatureKind::Image).unwrap().hash = Digest::of(b"some files");
    replace(&store, &wrong).await;
    store.pin(&wrong.input_key, true).await.unwrap();
    let there = store.build_by_input(&right.input_key).await.unwrap().unwrap();
    assert_eq!(there.signatures, wrong.signatures);
    let again = store.push_blobs(&files, Some(&"b".repeat(40))).await.unwrap().manifest;
    assert_eq!(again, right, "with the commit and time that it had");
    assert_eq!(store.build_by_input(&right.input_key).await.unwrap().unwrap(), right);
    for name in ["a", "b"] {
        let name = Query::parse(&format!("revision:{}", name.repeat(40))).unwrap();
        assert_eq!(store.find_build(&name).await.unwrap().unwrap(), right);
    }
    assert!(store.pins().await.unwrap().contains(&right.input_key));
}

/// Somebody writes to the kernel at some moment of a push: what it is named by is what is stored, or
/// there is no build.
#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_changes_while_it_is_signed_is_never_named_wrong() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::folder(folder.path().join("store"))).await.unwrap();
    let (path, back) = (folder.path().join("vmlinux"), folder.path().join("back"));
    let elf = kernel(&Build::new(), TestElf::new()).elf;
    let at = elf.offset(".text") as u64;
    let (mut stored, mut refused) = (0, 0);
    for n in 0..80_u64 {
        std::fs::write(&path, elf.build()).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&(2 * n).to_le_bytes(), at).unwrap();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(n * 50));
            file.write_all_at(&(2 * n + 1).to_le_bytes(), at).unwrap();
        });
        match store.push(vec![(VMLINUX.to_owned(), path.clone())], None).await {
            Ok(pushed) => {
                stored += 1;
                store.read_to_file(&pushed.files[0].digest, &back).await.unwrap();
                let right = crate::signature::sign_file(&back).unwrap();
                for kind in [SignatureKind::Image, SignatureKind::Syzkaller] {
                    assert_eq!(pushed.manifest.signatures.get(kind), right.get(kind), "{n} {kind}");
                }
            }
            Err(crate::StoreError::Changed(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        writer.join().unwrap();
    }
    assert!(stored > 0 && refused > 0, "{stored} stored, {refused} refused");
}
