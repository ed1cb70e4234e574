//! A local copy of what was read of a bucket's blobs: bounded, and checked when it is used.
//!
//! An entry is a range of one version of an object, named by both, so it never changes: there is
//! nothing to keep in step with the bucket. Opening a blob still asks the bucket, which says
//! whether the blob is there and which version it has; only its bytes come from here. Losing the
//! folder, or any part of it, costs nothing but reading again.
//!
//! An entry is a file: the bytes, then their BLAKE3. Several processes may share the folder.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::digest::Digest;

use super::Fetched;

/// Bytes of the checksum at the end of an entry.
const CHECK: usize = 32;

/// After an eviction this share of the limit is in use, so that not every entry evicts.
const KEPT: f64 = 0.9;

/// The cache of one process. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    entries: Mutex<Entries>,
}

/// What is in the folder, as far as this process knows.
#[derive(Debug, Default)]
struct Entries {
    bytes: u64,
    /// By file name: bytes, and when it was used last.
    files: HashMap<String, (u64, SystemTime)>,
}

impl Cache {
    /// A cache in a folder, which is created, of at most `limit` bytes. Blocks.
    pub(crate) fn open(folder: &FilePath, limit: u64) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut entries = Entries::default();
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            // Entries come and go while other processes use the folder.
            let Ok(meta) = file.metadata() else { continue };
            let (Ok(name), Ok(used)) = (file.file_name().into_string(), meta.modified()) else {
                continue;
            };
            entries.bytes += meta.len();
            entries.files.insert(name, (meta.len(), used));
        }
        let shared = Shared { folder: folder.to_owned(), limit, entries: Mutex::new(entries) };
        let cache = Self { shared: Arc::new(shared) };
        cache.shared.evict();
        Ok(cache)
    }

    /// A range of a version of an object. One that is not here, or not right, is `None`.
    pub(crate) async fn get(
        &self,
        path: &Path,
        tag: &str,
        range: &std::ops::Range<u64>,
    ) -> Option<Fetched> {
        let (shared, name) = (Arc::clone(&self.shared), name(path, tag, range));
        let bytes = tokio::task::spawn_blocking(move || shared.read(&name)).await.ok()??;
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: SystemTime::UNIX_EPOCH.into(),
            // Of the object nothing is known but this range.
            size: range.end,
            e_tag: Some(tag.to_owned()),
            version: None,
        };
        (bytes.len() as u64 == range.end - range.start).then(|| Fetched {
            meta,
            range: range.clone(),
            bytes,
        })
    }

    /// Forgets every range and version of an object.
    pub(crate) async fn forget(&self, path: &Path) {
        let (shared, of) = (Arc::clone(&self.shared), of(path));
        let forgotten = tokio::task::spawn_blocking(move || {
            // Other processes may have written entries that this one has not heard of.
            for file in std::fs::read_dir(&shared.folder)?.flatten() {
                let Ok(name) = file.file_name().into_string() else { continue };
                if name.starts_with(&of) {
                    std::fs::remove_file(file.path())?;
                    shared.forget(&name);
                }
            }
            Ok::<_, std::io::Error>(())
        });
        if let Ok(Err(error)) = forgotten.await {
            tracing::warn!(%path, %error, "the read-through cache can't forget");
        }
    }

    /// Keeps a range of a version of an object. A cache that can't be written is no error of
    /// whoever reads.
    pub(crate) async fn put(&self, path: &Path, tag: &str, fetched: &Fetched) {
        let name = name(path, tag, &fetched.range);
        let (shared, bytes) = (Arc::clone(&self.shared), fetched.bytes.clone());
        let written = tokio::task::spawn_blocking(move || shared.write(name, &bytes)).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(%error, "the read-through cache can't be written");
        }
    }
}

impl Shared {
    fn read(&self, name: &str) -> Option<Bytes> {
        let path = self.folder.join(name);
        let mut bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(_) => {
                self.forget(name);
                return None;
            }
        };
        let at = bytes.len().checked_sub(CHECK)?;
        if Digest::of(&bytes[..at]).as_bytes()[..] != bytes[at..] {
            tracing::warn!(path = %path.display(), "a wrong entry of the read-through cache");
            let _gone_or_useless = std::fs::remove_file(&path);
            self.forget(name);
            return None;
        }
        bytes.truncate(at);
        let now = SystemTime::now();
        if let Some(entry) = self.entries().files.get_mut(name) {
            entry.1 = now;
        }
        Some(bytes.into())
    }

    fn write(&self, name: String, bytes: &Bytes) -> std::io::Result<()> {
        let size = (bytes.len() + CHECK) as u64;
        // What can't stay is not let in.
        if size > self.limit / 4 {
            return Ok(());
        }
        let mut staged = tempfile::NamedTempFile::with_prefix_in(".", &self.folder)?;
        staged.write_all(bytes)?;
        staged.write_all(Digest::of(bytes).as_bytes())?;
        staged.persist(self.folder.join(&name))?;
        let over = {
            let mut entries = self.entries();
            let before = entries.files.insert(name, (size, SystemTime::now()));
            entries.bytes = entries.bytes + size - before.map_or(0, |(size, _)| size);
            entries.bytes > self.limit
        };
        if over {
            self.evict();
        }
        Ok(())
    }

    /// Removes what was not used for the longest time, until the limit is kept with some room.
    fn evict(&self) {
        let mut going = Vec::new();
        {
            let mut entries = self.entries();
            if entries.bytes <= self.limit {
                return;
            }
            let target = (self.limit as f64 * KEPT) as u64;
            let mut by_use: Vec<(SystemTime, u64, String)> = entries
                .files
                .iter()
                .map(|(name, (size, used))| (*used, *size, name.clone()))
                .collect();
            by_use.sort_unstable();
            for (_, size, name) in by_use {
                if entries.bytes <= target {
                    break;
                }
                entries.files.remove(&name);
                entries.bytes -= size;
                going.push(name);
            }
        }
        for name in going {
            let _gone_already = std::fs::remove_file(self.folder.join(name));
        }
    }

    fn forget(&self, name: &str) {
        let mut entries = self.entries();
        if let Some((size, _)) = entries.files.remove(name) {
            entries.bytes -= size;
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the files of an object's entries begin.
fn of(path: &Path) -> String {
    Digest::of(path.as_ref().as_bytes()).to_hex()[..16].to_owned()
}

/// The file of an entry.
fn name(path: &Path, tag: &str, range: &std::ops::Range<u64>) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("kiln read-through cache v1");
    for part in [path.as_ref(), tag] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.update(&range.start.to_le_bytes()).update(&range.end.to_le_bytes());
    format!("{}-{}", of(path), hasher.finalize().to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(n: u64, len: usize) -> Fetched {
        let path = Path::from(format!("blobs/{n}"));
        Fetched {
            meta: ObjectMeta {
                location: path,
                last_modified: SystemTime::UNIX_EPOCH.into(),
                size: len as u64,
                e_tag: None,
                version: None,
            },
            range: 0..len as u64,
            bytes: vec![n as u8; len].into(),
        }
    }

    async fn put(cache: &Cache, n: u64, len: usize) {
        let fetched = fetched(n, len);
        cache.put(&fetched.meta.location, "tag", &fetched).await;
    }

    async fn get(cache: &Cache, n: u64, len: usize) -> Option<Bytes> {
        let fetched = fetched(n, len);
        let got = cache.get(&fetched.meta.location, "tag", &fetched.range).await?;
        assert_eq!(got.bytes, fetched.bytes);
        Some(got.bytes)
    }

    fn on_disk(folder: &FilePath) -> u64 {
        let files = std::fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    #[tokio::test]
    async fn gives_what_was_put_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1 << 20).unwrap();
        assert!(get(&cache, 1, 1000).await.is_none());
        put(&cache, 1, 1000).await;
        assert!(get(&cache, 1, 1000).await.is_some());
        let path = Path::from("blobs/1");
        assert!(cache.get(&path, "another version", &(0..1000)).await.is_none());
        assert!(cache.get(&path, "tag", &(0..999)).await.is_none());
        // It is still there for the next process.
        let again = Cache::open(folder.path(), 1 << 20).unwrap();
        assert!(get(&again, 1, 1000).await.is_some());
    }

    #[tokio::test]
    async fn wrong_bytes_are_never_given() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1 << 20).unwrap();
        put(&cache, 1, 1000).await;
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        for damage in [vec![0; 1032], vec![1; 10], Vec::new()] {
            put(&cache, 1, 1000).await;
            std::fs::write(&file, damage).unwrap();
            assert!(get(&cache, 1, 1000).await.is_none());
        }
        put(&cache, 1, 1000).await;
        assert!(get(&cache, 1, 1000).await.is_some());
    }

    #[tokio::test]
    async fn an_object_is_forgotten_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1 << 20).unwrap();
        put(&cache, 1, 1000).await;
        put(&cache, 1, 2000).await;
        put(&cache, 2, 1000).await;
        // Another process, which wrote none of them.
        Cache::open(folder.path(), 1 << 20).unwrap().forget(&Path::from("blobs/1")).await;
        assert!(get(&cache, 1, 1000).await.is_none());
        assert!(get(&cache, 1, 2000).await.is_none());
        assert!(get(&cache, 2, 1000).await.is_some());
    }

    #[tokio::test]
    async fn the_limit_is_kept_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 100_000).unwrap();
        for n in 0..200 {
            put(&cache, n, 5000).await;
            assert!(get(&cache, 0, 5000).await.is_some(), "{n}");
            assert!(on_disk(folder.path()) <= 100_000 + 5032);
        }
        assert!(get(&cache, 199, 5000).await.is_some());
        assert!(get(&cache, 1, 5000).await.is_none());
        // Too large to be let in.
        put(&cache, 7, 50_000).await;
        assert!(get(&cache, 7, 50_000).await.is_none());
        let smaller = Cache::open(folder.path(), 30_000).unwrap();
        assert!(on_disk(folder.path()) <= 30_000);
        drop(smaller);
    }
}
