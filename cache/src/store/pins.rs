//! Pins: builds that stay whatever a policy says. They are rows for whoever collects, and objects so
//! that they outlive an index.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::error::StoreError;
use crate::input::InputKey;
use crate::objects::Created;

use super::Store;

/// The folder of all pins: one object each, named by the build.
const PREFIX: &str = "pins";

fn object_of(key: &InputKey) -> Path {
    Path::from_iter([PREFIX, &key.to_string()])
}

impl Store {
    /// Pins a build: no policy removes it. Or lets it go. [`StoreError::UnknownBuild`] when there is
    /// no such build to pin, perhaps since a moment ago.
    pub async fn pin(&self, key: &InputKey, pinned: bool) -> Result<(), StoreError> {
        self.inner.join().await?;
        if !pinned {
            return self.unpin(key).await;
        }
        let (owner, index) = (Uuid::new_v4().to_string(), &self.inner.index);
        index.reserve(&owner, &[key.0]).await?;
        let is_new = self.pin_ahead(key).await?;
        // Whoever had decided to remove it has done so by now, or does no more.
        let found = match self.look_up(key).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(StoreError::UnknownBuild(*key)),
            Err(error) => Err(error),
        };
        if found.is_err() && is_new {
            self.unpin(key).await?;
        }
        index.release(&owner).await?;
        found
    }

    /// Pins a build that is about to come. `false`: it was pinned already.
    pub(super) async fn pin_ahead(&self, key: &InputKey) -> Result<bool, StoreError> {
        self.inner.join().await?;
        let created = self.inner.objects.create(&object_of(key), "pinned".into()).await?;
        self.inner.index.pin(key, true).await?;
        Ok(created == Created::New)
    }

    async fn unpin(&self, key: &InputKey) -> Result<(), StoreError> {
        self.inner.index.pin(key, false).await?;
        self.inner.objects.delete(&object_of(key)).await
    }

    /// The pinned builds.
    pub async fn pins(&self) -> Result<HashSet<InputKey>, StoreError> {
        self.inner.index.pins().await
    }

    /// Brings pins into an index that was made again.
    pub(super) async fn learn_pins(&self) -> Result<(), StoreError> {
        let objects = &self.inner.objects;
        let fail = |source| objects.fail("listing pins".into(), source);
        let mut listed = objects.list(PREFIX);
        while let Some(meta) = listed.try_next().await.map_err(fail)? {
            let key = meta.location.filename().and_then(|name| name.parse().ok()).map(InputKey);
            if let Some(key) = key.filter(|key| object_of(key) == meta.location) {
                self.inner.index.pin(&key, true).await?;
            }
        }
        Ok(())
    }
}
