//! Who may pack and collect: one at a time, and only by way of the database that knows what everybody
//! holds, pins and runs.

use std::fs::File;

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::StoreError;
use crate::index::Alone;
use crate::pack::lock;

use super::collecting::PATIENCE;
use super::{INDEX, Inner, Store};

/// Below it, one object for each database by way of which something was stored that collecting
/// must know of. Its name is the database's id, its content what people call the database.
const DATABASES: &str = "databases";

/// The name of the index that lies in a store's own folder: it may be lost and made again.
const OWN: &str = "own";

/// How the names of databases begin that several machines share.
const SHARED: &str = "postgres";

/// A database that has a say in the store.
struct Mark {
    id: String,
    /// What people call it.
    name: String,
}

/// Leave to pack or to collect.
pub(crate) struct House {
    pub(crate) alone: Alone,
    _lock: File,
}

impl Store {
    /// Asks for leave. [`StoreError::Busy`] when another process has it, [`StoreError::NotShared`]
    /// or [`StoreError::AlsoUsedBy`] where nobody can know what must stay.
    pub(crate) async fn house(&self) -> Result<House, StoreError> {
        self.inner.may_be_collected().await?;
        let _lock = lock::claim(&self.folder())?;
        let alone = self.inner.index.alone().await?.ok_or(StoreError::Busy)?;
        // Nobody packs who has not got the lock, and what one that was ended had sent has arrived or
        // never will: what it held is free. In a bucket it may arrive yet, and a server's lock may be
        // lost by who still works: there it stays held until it is old.
        if self.inner.objects.are_local() && self.inner.index.is_file() {
            self.inner.index.release_packers().await?;
        }
        Ok(House { alone, _lock })
    }

    /// Whether this store may be packed and collected from here: [`StoreError::NotShared`] or
    /// [`StoreError::AlsoUsedBy`] where nobody can know what must stay.
    pub async fn may_be_collected(&self) -> Result<(), StoreError> {
        self.inner.must_be_shared()?;
        self.inner.must_be_only_one().await
    }

    /// Takes away the say of a database in what is packed and collected, by its id: nobody uses it
    /// any more. What was stored by way of it is kept like everything else; what only it holds or
    /// pins is not. [`StoreError::UnknownDatabase`] when it has none.
    pub async fn forget_database(&self, id: &str) -> Result<(), StoreError> {
        let mark = Path::from_iter([DATABASES, id]);
        if self.inner.objects.head(&mark).await?.is_none() {
            return Err(StoreError::UnknownDatabase(id.to_owned()));
        }
        self.inner.forget_collections(id).await?;
        self.inner.objects.delete(&mark).await
    }

    /// Whether still no other database has a say in the store: [`StoreError::AlsoUsedBy`] when one
    /// has joined.
    pub(crate) async fn must_be_only_one(&self) -> Result<(), StoreError> {
        self.inner.must_be_only_one().await
    }
}

impl Inner {
    /// Says in the store, once, that this database has a say in what stays. Whoever holds, pins or
    /// runs something calls it before. Looking at things needs no say. [`StoreError::Bypassed`] in a
    /// bucket that has a shared database when this is another machine's file: it would keep those
    /// who share it from packing and collecting, for nothing. [`StoreError::Collected`] when somebody
    /// removes things by way of another database, and has not noticed after a minute.
    pub(crate) async fn join(&self) -> Result<(), StoreError> {
        self.joined
            .get_or_try_init(|| async {
                let mark = Path::from_iter([DATABASES, self.own_id().await?]);
                if self.objects.head(&mark).await?.is_none() {
                    if self.must_be_shared().is_err()
                        && let Some(other) = self.others().await?.into_iter().find(Mark::is_shared)
                    {
                        let (place, other) = (self.objects.name().to_owned(), other.name);
                        return Err(StoreError::Bypassed { place, other });
                    }
                    self.objects.create(&mark, self.index.name().into()).await?;
                }
                // In this order. (Whoever left the mark may have been killed before it looked.)
                self.wait_for_others(PATIENCE).await
            })
            .await
            .copied()
    }

    fn must_be_shared(&self) -> Result<(), StoreError> {
        match !self.objects.are_local() && self.index.is_file() {
            true => Err(StoreError::NotShared(self.objects.name().to_owned())),
            false => Ok(()),
        }
    }

    async fn may_be_collected(&self) -> Result<(), StoreError> {
        self.must_be_shared()?;
        self.must_be_only_one().await?;
        // From here on others hear of this one; somebody may have come just before that.
        self.join().await?;
        self.must_be_only_one().await
    }

    async fn must_be_only_one(&self) -> Result<(), StoreError> {
        match self.others().await?.pop() {
            Some(Mark { id, name }) => Err(StoreError::AlsoUsedBy { other: name, id }),
            None => Ok(()),
        }
    }

    /// The other databases that have a say.
    async fn others(&self) -> Result<Vec<Mark>, StoreError> {
        let fail = |source| self.objects.fail("listing its databases".into(), source);
        let own = self.own_id().await?;
        let (mut marks, mut listed) = (Vec::new(), self.objects.list(DATABASES));
        while let Some(meta) = listed.try_next().await.map_err(fail)? {
            let Some(id) = meta.location.filename().filter(|id| *id != own) else { continue };
            // Without what it says it was removed a moment ago.
            if let Some(said) = self.objects.get(&meta.location, None, None).await.map_err(fail)? {
                let name = String::from_utf8_lossy(&said.bytes).into_owned();
                marks.push(Mark { id: id.to_owned(), name });
            }
        }
        Ok(marks)
    }

    /// The id of this database.
    pub(super) async fn own_id(&self) -> Result<&str, StoreError> {
        let found = self.own_id.get_or_try_init(|| async {
            let is_own = self.objects.are_local()
                && self.index.file() == Some(self.objects.folder().join(INDEX).as_path());
            if is_own { Ok(OWN.to_owned()) } else { self.index.id().await }
        });
        found.await.map(String::as_str)
    }
}

impl Mark {
    fn is_shared(&self) -> bool {
        self.name.starts_with(SHARED)
    }
}
