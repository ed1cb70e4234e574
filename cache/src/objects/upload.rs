//! A write in parts to a bucket that may fail at any of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, MultipartId, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult,
    UploadPart,
};

use super::backend::Backend;
use super::patience::Patience;

/// An upload whose parts are sent again when the bucket fails, each under its own number.
pub(super) struct PatientUpload {
    store: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    patience: Patience,
    path: Path,
    id: MultipartId,
    /// What the bucket answered for each part that was given out.
    sent: Arc<Mutex<Vec<Option<PartId>>>>,
    size: u64,
}

impl PatientUpload {
    pub(super) async fn begin(backend: &Backend, path: Path) -> Result<Self, Error> {
        let mut tries = backend.patience.begin();
        // An upload that was begun without an answer is left over: the bucket's own rule for
        // incomplete uploads removes it.
        let id = loop {
            match backend.parts.create_multipart(&path).await {
                Ok(id) => break id,
                Err(error) => tries.again(error).await?,
            }
        };
        Ok(Self {
            store: Arc::clone(&backend.store),
            parts: Arc::clone(&backend.parts),
            patience: backend.patience,
            path,
            id,
            sent: Arc::default(),
            size: 0,
        })
    }

    /// Size and entity tag of the object that has this name now.
    async fn there(&self) -> Result<Option<(u64, Option<String>)>, Error> {
        let mut tries = self.patience.begin();
        loop {
            match self.store.head(&self.path).await {
                Ok(meta) => return Ok(Some((meta.size, meta.e_tag))),
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Whether an attempt to complete it succeeded, and its answer was lost: then there is another
    /// object than `before`, as long as this upload. (Blobs are named by their content, so who else
    /// put it there has put the same bytes there.)
    async fn is_there(&self, before: &Option<(u64, Option<String>)>) -> Result<bool, Error> {
        let now = self.there().await?;
        Ok(now != *before && now.is_some_and(|(size, _)| size == self.size))
    }
}

impl fmt::Debug for PatientUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientUpload").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for PatientUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.size += data.content_length() as u64;
        let number = {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push(None);
            sent.len() - 1
        };
        let (parts, path, id) = (Arc::clone(&self.parts), self.path.clone(), self.id.clone());
        let (sent, mut tries) = (Arc::clone(&self.sent), self.patience.begin());
        async move {
            loop {
                match parts.put_part(&path, &id, number, data.clone()).await {
                    Ok(part) => {
                        sent.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(part);
                        return Ok(());
                    }
                    Err(error) => tries.again(error).await?,
                }
            }
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult, Error> {
        let sent: Option<Vec<PartId>> = {
            let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.iter().cloned().collect()
        };
        let sent = sent.ok_or_else(|| Error::Generic {
            store: "upload",
            source: "a part was not sent".into(),
        })?;
        // Who uploads may be replacing bytes that are wrong, and just as many.
        let before = self.there().await?;
        let mut tries = self.patience.begin();
        loop {
            match self.parts.complete_multipart(&self.path, &self.id, sent.clone()).await {
                Ok(result) => return Ok(result),
                Err(_) if self.is_there(&before).await? => {
                    let (e_tag, version) = (None, None);
                    return Ok(PutResult { e_tag, version, extensions: Default::default() });
                }
                Err(error) => tries.again(error).await?,
            }
        }
    }

    async fn abort(&mut self) -> Result<(), Error> {
        self.parts.abort_multipart(&self.path, &self.id).await
    }
}
