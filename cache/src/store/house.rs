//! Who may pack and collect: one at a time, and only by way of the database that knows what everybody
//! holds, pins and runs.

use std::fs::File;

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::StoreError;
use crate::index::Alone;
use crate::pack::lock;

use super::{INDEX, Inner, Store};

/// Below it, one object for each database by way of which something was stored that collecting
/// must know of. Its name is the database's id, its content what people call the database.
const DATABASES: &str = "databases";

/// The name of the index that lies in a store's own folder: it may be lost and made again.
const OWN: &str = "own";

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
        Ok(House { alone, _lock })
    }
}

impl Inner {
    /// Says in the store, once, that this database has a say in what stays. Whoever holds, pins or
    /// runs something calls it before. Looking at things needs no say.
    pub(crate) async fn join(&self) -> Result<(), StoreError> {
        self.joined
            .get_or_try_init(|| async {
                let mark = Path::from_iter([DATABASES, &self.own_id().await?]);
                if self.objects.head(&mark).await?.is_none() {
                    self.objects.create(&mark, self.index.name().into()).await?;
                }
                Ok::<_, StoreError>(())
            })
            .await
            .copied()
    }

    async fn may_be_collected(&self) -> Result<(), StoreError> {
        if !self.objects.are_local() && self.index.is_file() {
            return Err(StoreError::NotShared(self.objects.name().to_owned()));
        }
        self.must_be_only_one().await?;
        // From here on others hear of this one; somebody may have come just before that.
        self.join().await?;
        self.must_be_only_one().await
    }

    async fn must_be_only_one(&self) -> Result<(), StoreError> {
        let own = self.own_id().await?;
        let fail = |source| self.objects.fail("listing its databases".into(), source);
        let mut listed = self.objects.list(DATABASES);
        while let Some(meta) = listed.try_next().await.map_err(fail)? {
            if meta.location.filename() == Some(own.as_str()) {
                continue;
            }
            let said = self.objects.get(&meta.location, None, None).await.map_err(fail)?;
            // Removed a moment ago.
            let Some(said) = said else { continue };
            let other = String::from_utf8_lossy(&said.bytes).into_owned();
            return Err(StoreError::AlsoUsedBy { other, mark: meta.location.to_string() });
        }
        Ok(())
    }

    async fn own_id(&self) -> Result<String, StoreError> {
        let is_own = self.objects.are_local()
            && self.index.file() == Some(self.objects.folder().join(INDEX).as_path());
        if is_own { Ok(OWN.to_owned()) } else { self.index.id().await }
    }
}
