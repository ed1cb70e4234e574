//! What a store holds beside builds and blobs, and nobody asks for: what was quarantined, images put
//! together lately, and what interrupted writes left. It takes room like everything else.

use std::path::Path;
use std::time::SystemTime;

use futures::TryStreamExt;

use crate::blob::{made, quarantine};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::store::Store;
use crate::verify::sweep;

/// How long quarantined objects are kept for whoever wants to know why, in seconds.
const KEPT: i64 = 30 * 24 * 3600;

/// What there is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Aside {
    /// What stays.
    pub(super) bytes: u64,
    /// What goes, or has gone.
    pub(super) freed: u64,
}

impl Store {
    /// Removes what was quarantined a month ago, and what interrupted writes left a day ago. With
    /// `dry_run` only the former is looked at, and nothing removed.
    pub(super) async fn clear_aside(&self, now: i64, dry_run: bool) -> Result<Aside, StoreError> {
        let objects = &self.inner().objects;
        let mut aside = Aside::default();
        let mut list = objects.list(quarantine::PREFIX);
        let fail = |source| objects.fail("listing the quarantine".into(), source);
        while let Some(meta) = list.try_next().await.map_err(fail)? {
            if meta.last_modified.timestamp() >= now.saturating_sub(KEPT) {
                aside.bytes += meta.size;
                continue;
            }
            aside.freed += meta.size;
            if !dry_run {
                objects.delete(&meta.location).await?;
            }
        }
        // Of a bucket, the rest lies on this machine, and takes nothing of its room.
        let (folder, are_local) = (self.folder(), objects.are_local());
        let rest = move || {
            let staged = match dry_run {
                true => 0,
                false => sweep(&folder, SystemTime::now())?.bytes,
            };
            Ok::<_, std::io::Error>(staged + size_of(&folder.join(made::FOLDER))?)
        };
        let rest = blocking(rest).await?;
        let rest = rest.map_err(|source| StoreError::file("read", objects.folder(), source))?;
        aside.bytes += if are_local { rest } else { 0 };
        Ok(aside)
    }
}

/// What the files of a folder take, if there is one.
fn size_of(folder: &Path) -> std::io::Result<u64> {
    match std::fs::read_dir(folder) {
        // Files come and go.
        Ok(entries) => Ok(entries.flatten().filter_map(|it| Some(it.metadata().ok()?.len())).sum()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::location::Location;
    use crate::retention::Policy;
    use crate::time;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_counts_and_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = Store::open(&Location::folder(&root)).await.unwrap();
        let digest = store.put_bytes(vec![7; 5000].into()).await.unwrap();
        let hex = digest.to_hex();
        let blob = root.join("blobs").join(&hex[..2]).join(&hex);
        let mut stored = std::fs::read(&blob).unwrap();
        stored[0] ^= 1;
        std::fs::write(&blob, &stored).unwrap();
        // Written long ago, and found to be wrong today.
        let at = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
        std::fs::File::options().append(true).open(&blob).unwrap().set_modified(at).unwrap();
        let reader = store.reader(&digest).await.unwrap();
        reader.read(0..1).await.unwrap_err();
        std::fs::create_dir(root.join(made::FOLDER)).unwrap();
        std::fs::write(root.join(made::FOLDER).join("x"), "12345").unwrap();
        std::fs::write(root.join(".tmpUpload"), "123").unwrap();
        let len = stored.len() as u64;
        let now = time::now();
        let aside = store.clear_aside(now, false).await.unwrap();
        assert_eq!(aside, Aside { bytes: len + 5 + 3, freed: 0 });
        let later = now + KEPT + 60;
        let rehearsed = store.clear_aside(later, true).await.unwrap();
        assert_eq!(rehearsed, Aside { bytes: 5, freed: len });
        assert_eq!(
            store.gc(&Policy { quota: Some(1), ..Policy::default() }).await.unwrap().above_quota,
            len + 7
        );
        assert_eq!(store.clear_aside(later, false).await.unwrap().freed, len);
        assert_eq!(store.clear_aside(later, false).await.unwrap().freed, 0);
    }
}
