//! Marks: what is known of builds and their files and is no part of them. Each is an object of its
//! own, so everybody who shares the store sees it, and it outlives every index.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::StoreError;

use super::Store;

/// What a mark says. What its name means is for whoever sets it to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Something proves nothing any more. Set for good, and brought along to other stores.
    Revoked,
    /// A build is believed no more, wherever it lies; see [`Store::doubt`]. Set for good, and brought
    /// along to other stores.
    Withdrawn,
    /// A build, named by its input key, is still to be audited.
    Unaudited,
}

impl Mark {
    /// The folder of all marks of a kind.
    fn prefix(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Withdrawn => "withdrawn",
            Self::Unaudited => "unaudited",
        }
    }

    fn object_of(self, name: &str) -> Path {
        Path::from_iter([self.prefix(), name])
    }
}

impl Store {
    /// Sets a mark; one that is there stays. When this returns, it is durable. Names are letters,
    /// digits and hyphens.
    pub async fn mark(&self, mark: Mark, name: &str) -> Result<(), StoreError> {
        let _forgets = self.inner.refuted.forgets();
        // (In a bucket, an object without bytes counts as gone.)
        self.inner.objects.create(&mark.object_of(name), "marked".into()).await?;
        Ok(())
    }

    /// Takes a mark away. One that is not there is as good as taken away.
    pub async fn unmark(&self, mark: Mark, name: &str) -> Result<(), StoreError> {
        self.inner.objects.delete(&mark.object_of(name)).await
    }

    /// Whether there is such a mark.
    pub async fn is_marked(&self, mark: Mark, name: &str) -> Result<bool, StoreError> {
        Ok(self.inner.objects.head(&mark.object_of(name)).await?.is_some())
    }

    /// The names of all marks of a kind.
    pub async fn marks(&self, mark: Mark) -> Result<BTreeSet<String>, StoreError> {
        let objects = &self.inner.objects;
        let fail = |source| objects.fail(format!("listing {}", mark.prefix()), source);
        let (mut names, mut listed) = (BTreeSet::new(), objects.list(mark.prefix()));
        while let Some(meta) = listed.try_next().await.map_err(fail)? {
            names.extend(meta.location.filename().map(str::to_owned));
        }
        Ok(names)
    }
}
