//! Who collects or packs over a bucket and PostgreSQL, and loses its connection while the bucket fails:
//! the request is not sent again, since by then somebody may rely on what it removes.

mod common;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{LIGHT, merciless, noise};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use kiln_cache::retention::Policy;
use kiln_cache::{Backend, Database, Location, Patience, Store, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use sqlx::Connection as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Put,
    Delete,
}

/// The first request of a kind for something below a path: it is not done, something else happens,
/// and then the answer is an error.
struct Fault {
    what: What,
    below: &'static str,
    meanwhile: BoxFuture<'static, ()>,
}

/// A bucket that fails once.
#[derive(Clone)]
struct Unlucky {
    bucket: Arc<InMemory>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Unlucky {
    async fn meet(&self, what: What, path: &Path) -> Result<()> {
        let is_meant = |it: &mut Fault| it.what == what && path.as_ref().starts_with(it.below);
        let met = self.fault.lock().unwrap().take_if(is_meant);
        let Some(fault) = met else { return Ok(()) };
        fault.meanwhile.await;
        Err(Error::Generic { store: "unlucky", source: "503 Slow Down".into() })
    }
}

impl fmt::Debug for Unlucky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unlucky")
    }
}

impl fmt::Display for Unlucky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unlucky bucket")
    }
}

#[async_trait]
impl ObjectStore for Unlucky {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.meet(What::Put, path).await?;
        self.bucket.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.bucket.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.bucket.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let met = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.meet(What::Delete, &path).await.map(|()| path)
            }
        });
        self.bucket.delete_stream(met.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.bucket.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.bucket.copy_opts(from, to, options).await
    }
}

/// Two machines over one bucket and one database; the bucket fails the first.
struct Two {
    here: Store,
    there: Store,
    bucket: Unlucky,
    database: String,
    /// What both have pushed.
    files: Vec<(String, PathBuf)>,
    _folder: tempfile::TempDir,
}

async fn two(name: &str) -> Two {
    let folder = tempfile::tempdir().unwrap();
    let database = common::database();
    let bucket = Unlucky { bucket: Arc::new(InMemory::new()), fault: Arc::default() };
    let open = async |machine: &str, store: Arc<dyn ObjectStore>| {
        let backend = Backend {
            store,
            parts: bucket.bucket.clone(),
            signer: None,
            prefix: "p".into(),
            name: "memory://".into(),
            patience: Patience { pause: Duration::from_millis(1), ..Patience::default() },
        };
        let location = Location::bucket(backend).with_local(folder.path().join(machine), 0);
        Store::open(&location.with_database(Database::parse(&database).unwrap())).await.unwrap()
    };
    let here = open("here", Arc::new(bucket.clone())).await;
    let there = open("there", bucket.bucket.clone()).await;
    let file = folder.path().join("file");
    std::fs::write(&file, noise(1, 5000)).unwrap();
    let files = vec![(name.to_owned(), file)];
    here.push(files.clone(), None).await.unwrap();
    Two { here, there, bucket, database, files, _folder: folder }
}

/// As when the server, or something on the way to it, goes away for a moment.
async fn end(database: &str, whose: &'static str) {
    let mut connection = sqlx::AnyConnection::connect(database).await.unwrap();
    // The server ends them a moment after it was asked to.
    while !sqlx::query(whose).fetch_all(&mut connection).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const WHO_HAS_THE_TURN: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                WHERE datname = current_database() AND state = 'idle in transaction'";

const WHO_HAS_THE_LOCK: &str = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l \
                                JOIN pg_database d ON d.oid = l.database \
                                WHERE l.locktype = 'advisory' AND d.datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_its_turn_removes_nothing_that_was_pushed_since() {
    let debug = Policy { debug_age: Some(-10), ..Policy::default() };
    for (what, below, name, policy) in [
        (What::Put, "p/builds/", "image", merciless()),
        (What::Delete, "p/blobs/", "image", merciless()),
        (What::Put, "p/blobs/", "image.debug", debug),
    ] {
        let Two { here, there, bucket, database, files, _folder } = two(name).await;
        let pusher = there.clone();
        let meanwhile = async move {
            end(&database, WHO_HAS_THE_TURN).await;
            pusher.push(files, None).await.unwrap();
        };
        let fault = Fault { what, below, meanwhile: Box::pin(meanwhile) };
        *bucket.fault.lock().unwrap() = Some(fault);
        let collected = here.gc(&policy).await;
        assert!(bucket.fault.lock().unwrap().is_none(), "{what:?} {below}: {collected:?}");
        let builds = there.builds_with(&kiln_cache::Digest::of(&noise(1, 5000))).await.unwrap();
        let [build] = &builds[..] else { panic!("{what:?} {below}: {builds:?}") };
        let reader = there.reader(&build.artifacts[0].digest).await.unwrap();
        assert_eq!(reader.read(0..5000).await.unwrap(), noise(1, 5000));
        assert!(collected.is_err(), "{what:?} {below}: {collected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_packs_and_lost_its_lock_replaces_nothing() {
    let Two { here, there, bucket, database, _folder, .. } = two("image").await;
    let meanwhile = async move {
        end(&database, WHO_HAS_THE_LOCK).await;
        there.pack(LIGHT, &|_| {}).await.unwrap();
    };
    let fault = Fault { what: What::Put, below: "p/blobs/", meanwhile: Box::pin(meanwhile) };
    *bucket.fault.lock().unwrap() = Some(fault);
    let packed = here.pack(LIGHT, &|_| {}).await;
    assert!(matches!(packed, Err(StoreError::Overtaken)), "{packed:?}");
}
