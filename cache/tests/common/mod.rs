//! What the tests of the store share: small builds of nothing.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod bucket;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_cache::manifest::BuildResult;
use kiln_cache::pack::PackOptions;
use kiln_cache::retention::Policy;
use kiln_cache::{
    Backend, BuildDraft, BuildInput, Database, Digest, InputKey, Location, Manifest, Store,
};
use kiln_servers::{Postgres, S3};
use sqlx::Connection as _;

pub(crate) const WHO_HAS_THE_LOCK: &str = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l \
                                JOIN pg_database d ON d.oid = l.database \
                                WHERE l.locktype = 'advisory' AND d.datname = current_database()";

/// As when the server, or something on the way to it, goes away for a moment.
pub(crate) async fn end(database: &str, whose: &'static str) {
    let mut connection = sqlx::AnyConnection::connect(database).await.unwrap();
    // The server ends them a moment after it was asked to.
    while !sqlx::query(whose).fetch_all(&mut connection).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A store in a folder of its own. In a test binary that includes the suites to run them against
/// other servers, a store there.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    location: Location,
    database: String,
    s3: Option<S3>,
}

/// What this is compiled as a part of.
fn servers() -> (bool, bool) {
    let on = |name| module_path!().starts_with(name);
    (on("on_postgres") || on("on_s3"), on("on_s3"))
}

/// A new database of the PostgreSQL that all tests of this process share: its URL.
pub(crate) fn database() -> String {
    let server = Postgres::shared().expect("PostgreSQL is not installed: tests/run does it");
    server.database().unwrap()
}

/// Where objects are in the bucket of a fixture.
const PREFIX: &str = "a/prefix";

fn open_bucket(s3: &S3) -> Backend {
    let options: Vec<_> =
        s3.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let url = format!("s3://{}/{PREFIX}", kiln_servers::s3::BUCKET);
    Backend::open(&url, &options).unwrap()
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let s3 = match servers() {
            (_, true) => Some(S3::start(&folder.path().join("s3")).await.unwrap()),
            _ => None,
        };
        let (location, database) = place(folder.path(), s3.as_ref());
        let store = Store::open(&location).await.unwrap();
        Self { folder, store, location, database, s3 }
    }

    /// The bucket of the store.
    pub(crate) fn backend(&self) -> Backend {
        open_bucket(self.s3.as_ref().expect("a test over S3"))
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Where the objects are as files.
    pub(crate) fn root(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.bucket().join(PREFIX),
            None => self.folder.path().join("store"),
        }
    }

    /// The same store, opened again.
    pub(crate) async fn reopen(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }

    /// The same store, opened after its index was lost.
    pub(crate) async fn reopen_without_index(&mut self) -> Store {
        self.store.close().await;
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(self.root().join(format!("index.sqlite{end}")));
        }
        (self.location, self.database) = place(self.folder.path(), self.s3.as_ref());
        self.reopen().await
    }

    /// The same store by way of a database that does not know what is held by way of the first.
    pub(crate) async fn by_another_database(&self) -> Store {
        let (location, _) = match servers() {
            (true, _) => place(self.folder.path(), self.s3.as_ref()),
            _ => {
                let other = self.folder.path().join("another.sqlite");
                (self.location.clone().with_database(Database::Sqlite(other)), String::new())
            }
        };
        Store::open(&location).await.unwrap()
    }

    /// A connection to the database, behind the store's back.
    pub(crate) async fn connect(&self) -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        sqlx::AnyConnection::connect(&self.database).await.unwrap()
    }

    /// Runs a statement there.
    pub(crate) async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.connect().await).await.unwrap();
    }

    /// As when the server, or something on the way to it, goes away for a moment: whoever packs or
    /// collects loses its lock, and does not hear of it.
    pub(crate) async fn break_lock(&self) {
        end(&self.database, WHO_HAS_THE_LOCK).await;
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

/// The location of a store, with a new database where it has one of its own, and that database's
/// URL.
fn place(folder: &Path, s3: Option<&S3>) -> (Location, String) {
    let location = match s3 {
        Some(s3) => Location::bucket(open_bucket(s3)).with_local(folder.join("local"), 0),
        None => Location::folder(folder.join("store")),
    };
    match servers() {
        (true, _) => {
            let url = database();
            (location.with_database(Database::parse(&url).unwrap()), url)
        }
        _ => (location, format!("sqlite://{}/store/index.sqlite", folder.display())),
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

/// The text of a manifest, changed, with the checksum that belongs to it then.
pub(crate) fn resealed(text: &str, change: impl Fn(&str) -> String) -> String {
    let (fields, _) = text.rsplit_once(",\"blake3\":").expect("a sealed manifest");
    let changed = change(&format!("{fields}}}"));
    let digest = Digest::of(changed.as_bytes());
    format!("{},\"blake3\":\"{digest}\"}}", changed.strip_suffix('}').unwrap())
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

/// Packing that takes little time.
pub(crate) const LIGHT: PackOptions = PackOptions { level: 3, largest: 1 << 30 };

/// Builds of one file each, all but the first few bytes alike.
pub(crate) async fn neighbours(fixture: &Fixture, count: u64) -> Vec<Manifest> {
    let mut builds = Vec::new();
    for n in 0..count {
        let mut content = noise(1, 1_200_000);
        content.splice(0..0, noise(n + 50, 200));
        let path = fixture.file("blob", &content);
        builds.push(fixture.store.add_build(draft(n, &[("blob", &path)])).await.unwrap());
    }
    builds
}

/// Everything goes that is not in use.
pub(crate) fn merciless() -> Policy {
    Policy { max_age: Some(-10), embargo: -10, ..Policy::default() }
}
