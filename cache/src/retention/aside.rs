//! What a store holds beside builds and blobs, and nobody asks for: what was quarantined, images put
//! together lately, and what interrupted writes left. It takes room like everything else, and gives
//! way before anything that somebody may ask for.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path as Object;

use crate::blob::{made, quarantine};
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::store::Store;
use crate::verify::sweep;

/// How long quarantined objects are kept for whoever wants to know why, in seconds.
pub(super) const KEPT: i64 = 30 * 24 * 3600;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aside {
    quarantine: Vec<Quarantined>,
    /// What copies of images take, in bytes.
    made: u64,
    /// What writes that were interrupted a short time ago take, or are under way.
    staged: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Quarantined {
    object: Object,
    bytes: u64,
    /// Seconds since 1970.
    since: i64,
}

/// What becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Going {
    objects: Vec<Object>,
    /// Whether the copies of images go.
    made: bool,
    /// What stays, in bytes.
    pub(super) stays: u64,
    /// What goes, in bytes.
    pub(super) goes: u64,
}

impl Aside {
    /// What of the quarantine is old goes; and where there is no more than so much `room`, copies of
    /// images, and then the quarantine, the oldest first.
    pub(super) fn choose(mut self, is_old: impl Fn(i64) -> bool, room: Option<u64>) -> Going {
        self.quarantine.sort_by_key(|it| it.since);
        let quarantined: u64 = self.quarantine.iter().map(|it| it.bytes).sum();
        let mut going = Going { stays: quarantined + self.made + self.staged, ..Going::default() };
        let is_above = |going: &Going| room.is_some_and(|room| going.stays > room);
        let (old, young): (Vec<_>, Vec<_>) =
            self.quarantine.into_iter().partition(|it| is_old(it.since));
        old.into_iter().for_each(|it| going.add(it));
        if is_above(&going) {
            going.made = true;
            going.stays -= self.made;
            going.goes += self.made;
        }
        for it in young {
            if is_above(&going) {
                going.add(it);
            }
        }
        going
    }
}

impl Going {
    fn add(&mut self, it: Quarantined) {
        self.stays -= it.bytes;
        self.goes += it.bytes;
        self.objects.push(it.object);
    }
}

impl Store {
    /// Looks at what there is.
    pub(super) async fn aside(&self, now: i64) -> Result<Aside, StoreError> {
        let objects = &self.inner().objects;
        let mut aside = Aside::default();
        let mut list = objects.list(quarantine::PREFIX);
        let fail = |source| objects.fail("listing the quarantine".into(), source);
        while let Some(meta) = list.try_next().await.map_err(fail)? {
            let (bytes, since) = (meta.size, meta.last_modified.timestamp());
            aside.quarantine.push(Quarantined { object: meta.location, bytes, since });
        }
        // Of a bucket, the rest lies on this machine, and takes nothing of its room.
        if objects.are_local() {
            let folder = self.folder();
            let look = move || {
                let staged = sweep(&folder, at(now), true)?.bytes;
                Ok::<_, std::io::Error>((staged, size_of(&folder.join(made::FOLDER))?))
            };
            (aside.staged, aside.made) = blocking(look)
                .await?
                .map_err(|source| StoreError::file("read", objects.folder(), source))?;
        }
        Ok(aside)
    }

    /// Removes what goes, and what interrupted writes left a day ago.
    pub(super) async fn clear_aside(&self, going: Going, now: i64) -> Result<(), StoreError> {
        let objects = &self.inner().objects;
        for object in &going.objects {
            objects.delete(object).await?;
        }
        let folder = self.folder();
        let rest = move || {
            if going.made {
                made::clear(&folder.join(made::FOLDER))?;
            }
            sweep(&folder, at(now), false)
        };
        let rest = blocking(rest).await?;
        rest.map(|_| ()).map_err(|source| StoreError::file("read", objects.folder(), source))
    }
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
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
    use super::*;
    use crate::location::Location;
    use crate::retention::Policy;
    use crate::time;

    #[test]
    fn what_is_old_goes_and_above_the_quota_copies_before_evidence() {
        let quarantined = |since: i64| Quarantined {
            object: Object::from(format!("quarantine/{since}")),
            bytes: 10,
            since,
        };
        let aside = Aside { quarantine: [7, 2, 5].map(quarantined).to_vec(), made: 4, staged: 1 };
        let choose = |old: i64, room| {
            let going = aside.clone().choose(|since| since < old, room);
            let names = going.objects.iter().filter_map(Object::filename).map(str::to_owned);
            (names.collect::<Vec<_>>().join(" "), going.made, going.stays, going.goes)
        };
        assert_eq!(choose(0, None), (String::new(), false, 35, 0));
        assert_eq!(choose(3, None), ("2".into(), false, 25, 10));
        assert_eq!(choose(3, Some(25)), ("2".into(), false, 25, 10));
        assert_eq!(choose(0, Some(31)), (String::new(), true, 31, 4));
        assert_eq!(choose(0, Some(12)), ("2 5".into(), true, 11, 24));
        assert_eq!(choose(0, Some(0)), ("2 5 7".into(), true, 1, 34));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_counts_and_no_build_goes_for_it() {
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
        let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
        std::fs::File::options().append(true).open(&blob).unwrap().set_modified(long_ago).unwrap();
        let reader = store.reader(&digest).await.unwrap();
        reader.read(0..1).await.unwrap_err();
        std::fs::create_dir(root.join(made::FOLDER)).unwrap();
        std::fs::write(root.join(made::FOLDER).join("x"), "12345").unwrap();
        std::fs::write(root.join(".tmpUpload"), "123").unwrap();
        let image = folder.path().join("image");
        std::fs::write(&image, vec![9; 100]).unwrap();
        let build = store.push(vec![("image".into(), image)], None).await.unwrap();
        let (len, taken) = (stored.len() as u64, build.files[0].stored);
        let policy = |quota| Policy { quota: Some(quota), ..Policy::default() };
        let gc = async |quota, dry_run| {
            let report = store.gc(&Policy { dry_run, ..policy(quota) }).await.unwrap();
            assert!(report.gone.is_empty(), "{report:?}");
            (report.aside_bytes, report.aside_freed, report.above_quota)
        };
        assert_eq!(gc(1 << 20, false).await, (len + 5 + 3, 0, 0), "there is room");
        for dry_run in [true, false] {
            assert_eq!(gc(taken + len + 3, dry_run).await, (len + 3, 5, 0));
        }
        for dry_run in [true, false] {
            assert_eq!(gc(taken, dry_run).await, (3, len, 3), "an upload may be under way");
        }
        let now = time::now();
        let left = Aside { staged: 3, ..Aside::default() };
        assert_eq!(store.aside(now).await.unwrap(), left);
        assert_eq!(store.aside(now + 2 * 24 * 3600).await.unwrap(), Aside::default());
        assert!(store.build_by_input(&build.manifest.input_key).await.unwrap().is_some());
    }
}
