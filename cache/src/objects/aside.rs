//! Putting an object out of its place, unless another has that place by now.

use std::time::SystemTime;

use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use uuid::Uuid;

use crate::blocking::blocking;
use crate::error::StoreError;

use super::{Objects, version_of};

impl Objects {
    /// Puts an object in another place, which must be free, and nothing in its own. `tag` is the
    /// entity tag of the one that is meant: whatever else is there, then or by the time it would
    /// go, stays. `false` when nothing was put aside.
    pub(crate) async fn put_aside(
        &self,
        object: &Path,
        place: &Path,
        tag: Option<&str>,
    ) -> Result<bool, StoreError> {
        let found = match self.head(object).await? {
            Some(found) if tag.is_none_or(|tag| found.e_tag.as_deref() == Some(tag)) => found,
            _ => return Ok(false),
        };
        let fail = |source| self.fail(format!("moving {object} to {place}"), source);
        let Some(bucket) = &self.bucket else {
            return self.move_file(object, place, found.e_tag.as_deref()).await.map_err(fail);
        };
        // What was found corrupt may have been copied to this machine.
        if let Some(cache) = &bucket.cache {
            cache.forget(object).await;
        }
        if !self.heeds().await.map_err(fail)? {
            return Err(fail(Error::NotImplemented {
                operation: "a write under a condition (If-Match)".into(),
                implementer: self.name().to_owned(),
            }));
        }
        // A copy has a tag of its own, which tells nothing. That the object itself still has the
        // one it was found with, when nothing is put in its place, tells what was copied.
        let done = match self.copy(object, place).await {
            Ok(false) => return Ok(false),
            Ok(true) => self.replace_by_nothing(object, version_of(&found)).await,
            Err(error) => Err(error),
        };
        if !matches!(done, Ok(true)) {
            self.delete(place).await?;
        }
        done.map_err(fail)
    }

    /// Removes an object if it is still the one of this entity tag; one without a tag is not
    /// compared. `false`: another one has taken its place. One that is not there is as good as
    /// removed. In a bucket that heeds conditions nothing is put in its place, which is one
    /// request; otherwise look and removal are two, and the caller keeps others from writing.
    pub(crate) async fn delete_if(
        &self,
        object: &Path,
        tag: Option<&str>,
    ) -> Result<bool, StoreError> {
        let Some(found) = self.head(object).await? else { return Ok(true) };
        if tag.is_some() && found.e_tag.as_deref() != tag {
            return Ok(false);
        }
        let fail = |source| self.fail(format!("removing {object}"), source);
        if self.heeds().await.map_err(fail)? {
            return self.replace_by_nothing(object, version_of(&found)).await.map_err(fail);
        }
        self.delete(object).await.map(|()| true)
    }

    /// Moves a file. Moved files keep their tag: inode, time and length.
    async fn move_file(
        &self,
        object: &Path,
        place: &Path,
        tag: Option<&str>,
    ) -> Result<bool, Error> {
        match self.store.rename(object, place).await {
            Ok(()) => {}
            Err(Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.store.head(place).await?.e_tag.as_deref() == tag {
            // How long it has been there is told from now on.
            let file = self.file(place);
            let touch = move || {
                std::fs::File::options().append(true).open(file)?.set_modified(SystemTime::now())
            };
            if let Ok(Err(error)) = blocking(touch).await {
                tracing::debug!(%place, %error, "the time of a quarantined file was not set");
            }
            return Ok(true);
        }
        // A healed one had taken its place. By now yet another may have, which is as good.
        match self.store.copy_if_not_exists(place, object).await {
            Ok(()) | Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        self.store.delete(place).await?;
        Ok(false)
    }

    /// Whether a bucket does what the condition of a write says, which is found out once; no folder
    /// does.
    pub(crate) async fn heeds(&self) -> Result<bool, Error> {
        let Some(bucket) = &self.bucket else { return Ok(false) };
        bucket.heeds.get_or_try_init(|| self.heeds_conditions()).await.copied()
    }

    /// Whether a bucket refuses to replace a version that an object no longer has: some write
    /// whatever the condition says. Tried out with an object of its own.
    async fn heeds_conditions(&self) -> Result<bool, Error> {
        let name = Uuid::new_v4().simple().to_string();
        let (path, mut tries) = (Path::from_iter(["conditions", &name]), self.tries());
        let at = self.at(&path);
        let heeds = loop {
            let tried = async {
                self.store.put(&at, "first".into()).await?;
                let first = self.store.head(&at).await?;
                self.store.put(&at, "second".into()).await?;
                let mode = PutMode::Update(version_of(&first));
                let options = PutOptions { mode, ..PutOptions::default() };
                self.store.put_opts(&at, "third".into(), options).await
            };
            match tried.await {
                Ok(_) => break false,
                Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => break true,
                Err(error) => tries.again(error).await?,
            }
        };
        if let Err(error) = self.delete(&path).await {
            tracing::debug!(%path, %error, "left behind");
        }
        Ok(heeds)
    }

    /// Copies an object of a bucket; `false` when there is none.
    async fn copy(&self, object: &Path, place: &Path) -> Result<bool, Error> {
        let mut tries = self.tries();
        loop {
            match self.store.copy(&self.at(object), &self.at(place)).await {
                Ok(()) => return Ok(true),
                Err(Error::NotFound { .. }) => return Ok(false),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Puts nothing in the place of one version of an object; `false` when it has another by now.
    async fn replace_by_nothing(
        &self,
        object: &Path,
        version: object_store::UpdateVersion,
    ) -> Result<bool, Error> {
        let (at, mut tries) = (self.at(object), self.tries());
        loop {
            let mode = PutMode::Update(version.clone());
            let options = PutOptions { mode, ..PutOptions::default() };
            let error = match self.store.put_opts(&at, PutPayload::default(), options).await {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            let is_other = matches!(
                error,
                Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. }
            );
            if !is_other {
                tries.again(error).await?;
                continue;
            }
            // It may be this very write, which succeeded, was answered with an error and was sent
            // again.
            return match self.store.head(&at).await {
                Ok(there) => Ok(self.is_gone(&there)),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            };
        }
    }
}
