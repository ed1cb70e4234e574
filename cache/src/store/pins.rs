//! Pins: builds that stay whatever a policy says. They are rows for whoever collects, and objects so
//! that they outlive an index.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::StoreError;
use crate::input::InputKey;

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
        let (objects, index) = (&self.inner.objects, &self.inner.index);
        if !pinned {
            self.inner.join().await?;
            index.pin(key, false).await?;
            return objects.delete(&object_of(key)).await;
        }
        let owner = self.hold_build(key).await?;
        let pinned = self.pin_held(key).await;
        index.release(&owner).await?;
        pinned
    }

    /// Pins a build that is held: whoever had decided to remove it has done so by now, or does no
    /// more.
    async fn pin_held(&self, key: &InputKey) -> Result<(), StoreError> {
        self.must_be_here(key).await?;
        self.inner.objects.create(&object_of(key), "pinned".into()).await?;
        self.inner.index.pin(key, true).await?;
        // To a clock that is far ahead the hold may have seemed to be old. The pin stays then: the
        // build may have come again, and somebody else may have pinned it.
        self.must_be_here(key).await
    }

    async fn must_be_here(&self, key: &InputKey) -> Result<(), StoreError> {
        match self.look_up(key).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::UnknownBuild(*key)),
        }
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
