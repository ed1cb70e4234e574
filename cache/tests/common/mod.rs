//! What the tests of the store share: small builds of nothing.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};

use kiln_cache::manifest::BuildResult;
use kiln_cache::{BuildDraft, BuildInput, Digest, InputKey, Location, Store};

/// A store in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::folder(folder.path().join("store"))).await.unwrap();
        Self { folder, store }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The same folder, opened again.
    pub(crate) async fn reopen(&self) -> Store {
        Store::open(&Location::folder(self.root())).await.unwrap()
    }

    /// Writes a file outside the store.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The file in the store that holds a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.root().join("blobs").join(&hex[..2]).join(hex)
    }

    /// The file in the store that holds a manifest.
    pub(crate) fn manifest(&self, key: &InputKey) -> PathBuf {
        let hex = key.to_string();
        self.root().join("builds").join(&hex[..2]).join(format!("{hex}.json"))
    }
}

/// An input that differs in its tree.
pub(crate) fn input(seed: u64) -> BuildInput {
    BuildInput {
        tree: Digest::of(&seed.to_le_bytes()).to_hex()[..40].to_owned(),
        config: Digest::of(b"config"),
        arch: "x86_64".into(),
        toolchain: Digest::of(b"gcc"),
        recipe: "1".into(),
        targets: vec!["bzImage".into()],
    }
}

pub(crate) fn request(seed: u64) -> InputKey {
    InputKey(Digest::of(format!("request {seed}").as_bytes()))
}

pub(crate) fn commit(seed: u64) -> String {
    Digest::of(format!("commit {seed}").as_bytes()).to_hex()[..40].to_owned()
}

pub(crate) fn draft(seed: u64, artifacts: &[(&str, &Path)]) -> BuildDraft {
    BuildDraft {
        input: input(seed),
        request_key: request(seed),
        family_key: InputKey(Digest::of(b"family")),
        commit: commit(seed),
        result: BuildResult::Built,
        artifacts: artifacts.iter().map(|(n, p)| ((*n).to_owned(), p.to_path_buf())).collect(),
        compiler: "gcc (a fake) 12.2.0".into(),
        seconds: 12.5,
    }
}

/// Bytes that hardly compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn quiet(_: kiln_cache::verify::VerifyProgress) {}

/// Everything that an error says, causes included.
pub(crate) fn story(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
