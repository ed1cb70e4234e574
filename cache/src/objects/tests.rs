//! Who created an object, and what became of it, when the bucket's answers can't be trusted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use kiln_servers::Faulty;

use super::{Backend, Created, Objects, Patience};

fn objects(faulty: &Arc<Faulty<InMemory>>) -> Objects {
    let backend = Backend {
        store: faulty.clone(),
        parts: faulty.clone(),
        signer: None,
        prefix: Path::from("prefix"),
        name: "memory://".into(),
        patience: Patience { pause: Duration::ZERO, attempts: 12, ..Patience::default() },
    };
    Objects::in_bucket(backend, std::path::Path::new("/nowhere"), None)
}

/// Of several writers of one object exactly one is told that it won, and the object is its own,
/// whatever the bucket answers.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_creator_wins() {
    let mut faults = 0;
    for seed in 0..400 {
        let faulty = Arc::new(Faulty::new(Arc::new(InMemory::new()), seed, 500));
        let path = Path::from("lease");
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (objects, path) = (objects(&faulty), path.clone());
                let mine = format!("writer {writer}");
                tokio::spawn(
                    async move { (objects.create(&path, mine.clone().into()).await, mine) },
                )
            })
            .collect();
        let (mut winners, mut unsure) = (Vec::new(), 0);
        for writer in writers {
            match writer.await.unwrap() {
                (Ok(Created::New), mine) => winners.push(mine),
                (Ok(Created::Exists), _) => {}
                (Err(_), _) => unsure += 1,
            }
        }
        let there = loop {
            if let Ok(fetched) = objects(&faulty).get(&path, None, None).await {
                break fetched;
            }
        };
        let there = there.map(|fetched| String::from_utf8(fetched.bytes.to_vec()).unwrap());
        assert!(winners.len() <= 1, "seed {seed}: {winners:?}");
        if let [winner] = &winners[..] {
            assert_eq!(there.as_ref(), Some(winner), "seed {seed}");
        } else {
            assert!(unsure > 0, "seed {seed}: nobody won, and nobody doubts");
        }
        faults += faulty.made();
    }
    assert!(faults > 400, "{faults}");
}

fn steady() -> (Arc<Faulty<InMemory>>, Objects) {
    let faulty = Arc::new(Faulty::new(Arc::new(InMemory::new()), 0, 0));
    let objects = objects(&faulty);
    (faulty, objects)
}

async fn tag(objects: &Objects, path: &Path) -> Option<String> {
    objects.head(path).await.unwrap()?.e_tag
}

async fn content(objects: &Objects, path: &Path) -> Option<String> {
    let fetched = objects.get(path, None, None).await.unwrap()?;
    Some(String::from_utf8(fetched.bytes.to_vec()).unwrap())
}

async fn listed(objects: &Objects) -> Vec<String> {
    use futures::TryStreamExt as _;
    objects.list("").map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap()
}

/// A bucket gives a copy a tag of its own.
#[tokio::test]
async fn what_was_put_aside_is_gone_and_can_be_created_again() {
    let (_, objects) = steady();
    let (path, place) = (Path::from("builds/a"), Path::from("quarantine/a-1"));
    objects.create(&path, "wrong".into()).await.unwrap();
    let wrong = tag(&objects, &path).await;
    assert!(objects.put_aside(&path, &place, wrong.as_deref()).await.unwrap());
    assert_eq!(content(&objects, &path).await, None);
    assert_eq!(tag(&objects, &path).await, None);
    let end = objects.get(&path, Some(object_store::GetRange::Suffix(9)), None).await.unwrap();
    assert!(end.is_none());
    assert_eq!(content(&objects, &place).await.as_deref(), Some("wrong"));
    assert_eq!(listed(&objects).await, ["quarantine/a-1"]);
    assert!(!objects.put_aside(&path, &place, None).await.unwrap(), "nothing is there");
    assert_eq!(objects.create(&path, "right".into()).await.unwrap(), Created::New);
    assert_eq!(objects.create(&path, "other".into()).await.unwrap(), Created::Exists);
    assert_eq!(content(&objects, &path).await.as_deref(), Some("right"));
}

#[tokio::test]
async fn only_the_object_that_is_meant_is_removed() {
    let (_, objects) = steady();
    let path = Path::from("builds/a");
    assert!(objects.delete_if(&path, Some("none")).await.unwrap(), "nothing is there");
    objects.create(&path, "first".into()).await.unwrap();
    let first = tag(&objects, &path).await;
    objects.put(&path, "second".into()).await.unwrap();
    assert!(!objects.delete_if(&path, first.as_deref()).await.unwrap());
    assert_eq!(content(&objects, &path).await.as_deref(), Some("second"));
    let second = tag(&objects, &path).await;
    assert!(objects.delete_if(&path, second.as_deref()).await.unwrap());
    assert_eq!((content(&objects, &path).await, listed(&objects).await), (None, vec![]));
    assert_eq!(objects.create(&path, "third".into()).await.unwrap(), Created::New);
}

#[tokio::test]
async fn what_was_healed_before_stays() {
    let (_, objects) = steady();
    let (path, place) = (Path::from("blobs/a"), Path::from("quarantine/a-1"));
    objects.put(&path, "wrong".into()).await.unwrap();
    let wrong = tag(&objects, &path).await;
    objects.put(&path, "right".into()).await.unwrap();
    assert!(!objects.put_aside(&path, &place, wrong.as_deref()).await.unwrap());
    assert_eq!(listed(&objects).await, ["blobs/a"]);
}

/// While one finds an object corrupt, another quarantines and heals it: what was acknowledged
/// stays, wherever the bucket fails.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_healed_meanwhile_stays() {
    let mut moved = 0;
    for seed in 0..300 {
        let faulty = Arc::new(Faulty::new(Arc::new(InMemory::new()), seed, 300));
        let objects = objects(&faulty);
        let path = Path::from("blobs/a");
        let Ok(()) = objects.put(&path, "wrong".into()).await else { continue };
        let Ok(Some(found)) = objects.head(&path).await else { continue };
        let wrong = found.e_tag.unwrap();
        let aside = |n: u8| {
            let (objects, path, wrong) = (objects.clone(), path.clone(), wrong.clone());
            let place = Path::from(format!("quarantine/a-{n}"));
            tokio::spawn(async move { objects.put_aside(&path, &place, Some(&wrong)).await })
        };
        let first = aside(1);
        let healed = {
            let (objects, path, second) = (objects.clone(), path.clone(), aside(2));
            tokio::spawn(async move {
                second.await.unwrap().is_ok() && objects.put(&path, "right".into()).await.is_ok()
            })
        };
        moved += u64::from(first.await.unwrap().is_ok_and(|it| it));
        if healed.await.unwrap() {
            let there = loop {
                if let Ok(fetched) = objects.get(&path, None, None).await {
                    break fetched;
                }
            };
            assert!(there.is_some_and(|it| it.bytes == "right"), "seed {seed}");
        }
    }
    assert!(moved > 30, "{moved}");
}

/// An object as long as the upload that is to replace it is not that upload.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_done_when_its_own_bytes_are_there() {
    let mut done = 0;
    for seed in 0..200 {
        let bucket = Arc::new(InMemory::new());
        bucket.put(&Path::from("prefix/blob"), "wrong".into()).await.unwrap();
        let faulty = Arc::new(Faulty::new(Arc::clone(&bucket), seed, 500));
        let objects = objects(&faulty);
        let Ok(mut upload) = objects.upload(&Path::from("blob")).await else { continue };
        if upload.put_part("right".into()).await.is_ok() && upload.complete().await.is_ok() {
            done += 1;
            let there = bucket.get_opts(&Path::from("prefix/blob"), Default::default()).await;
            let bytes = there.unwrap().bytes().await.unwrap();
            assert_eq!(bytes, "right", "seed {seed}");
        }
    }
    assert!(done > 20, "{done}");
}

/// A bucket that writes whatever the condition says, as some servers do.
#[derive(Debug)]
struct Heedless(InMemory);

impl std::fmt::Display for Heedless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("heedless")
    }
}

#[async_trait]
impl ObjectStore for Heedless {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.put_opts(path, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_bucket_that_heeds_no_condition_keeps_what_is_corrupt() {
    let backend = Backend {
        store: Arc::new(Heedless(InMemory::new())),
        parts: Arc::new(InMemory::new()),
        signer: None,
        prefix: Path::from("prefix"),
        name: "memory://".into(),
        patience: Patience::default(),
    };
    let objects = Objects::in_bucket(backend, std::path::Path::new("/nowhere"), None);
    let (path, place) = (Path::from("blobs/a"), Path::from("quarantine/a-1"));
    objects.put(&path, "wrong".into()).await.unwrap();
    let refused = objects.put_aside(&path, &place, None).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("If-Match"), "{refused}: {why}");
    assert_eq!(listed(&objects).await, ["blobs/a"]);
}
