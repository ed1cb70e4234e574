//! A build that turns out to be half of one, right after it was stored.

use crate::error::StoreError;
use crate::index::Seen;
use crate::input::InputKey;
use crate::manifests;
use crate::retention::remove_manifest;

use super::Store;

impl Store {
    /// Takes back a build that the upload `owner` has just stored without all of its files, unless
    /// somebody relies on it by now: it was used more than `uses` times, or is held or pinned. Whoever
    /// does has stored what was missing, or sees that it is and stores the build anew. In two turns,
    /// like whoever collects.
    pub(super) async fn take_back(
        &self,
        owner: &str,
        key: &InputKey,
        uses: i64,
    ) -> Result<(), StoreError> {
        let (objects, index) = (&self.inner.objects, &self.inner.index);
        let Some(Ok(read)) = manifests::read(objects, key).await? else { return Ok(()) };
        let seen = Seen { manifest: read.digest, tag: read.tag, uses };
        let mut condemn = index.condemn_own(owner, key).await?;
        let is_hidden = condemn.unindex(key, &seen).await?;
        condemn.done().await?;
        if !is_hidden {
            return Ok(());
        }
        // Not while others wait.
        let fail = |source| objects.fail("trying out a condition".into(), source);
        objects.heeds().await.map_err(fail)?;
        let mut condemn = index.condemn_own(owner, key).await?;
        remove_manifest(objects, &mut condemn, key, &seen).await?;
        condemn.done().await?;
        // What stays has its row again.
        self.settle(key).await.map(|_| ())
    }
}
