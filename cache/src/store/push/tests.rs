//! A push over the network names a build as one from a folder does.

use std::path::PathBuf;

use crate::location::Location;
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
