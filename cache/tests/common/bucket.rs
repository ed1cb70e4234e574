//! A bucket of which a test says what happens while it answers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Get,
    Put,
    Delete,
}

/// The first request of a kind for something below a path.
pub(crate) struct Event {
    pub(crate) what: What,
    pub(crate) below: &'static str,
    /// Whether it is not done, and its answer is an error.
    pub(crate) fails: bool,
    /// What happens before the answer comes.
    pub(crate) meanwhile: BoxFuture<'static, ()>,
}

/// A bucket that some events wait for, one after the other.
#[derive(Clone, Default)]
pub(crate) struct Eventful {
    pub(crate) bucket: Arc<InMemory>,
    events: Arc<Mutex<VecDeque<Event>>>,
}

impl Eventful {
    /// Waits for one more event.
    pub(crate) fn wait_for(&self, event: Event) {
        self.events.lock().unwrap().push_back(event);
    }

    /// Whether all events have come.
    pub(crate) fn is_done(&self) -> bool {
        self.events.lock().unwrap().is_empty()
    }

    async fn meet<T>(
        &self,
        what: What,
        path: &Path,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let is_meant = |it: &mut Event| it.what == what && path.as_ref().starts_with(it.below);
        let met = self.events.lock().unwrap().pop_front_if(is_meant);
        let Some(event) = met else { return request.await };
        let answer = match event.fails {
            true => Err(Error::Generic { store: "eventful", source: "503 Slow Down".into() }),
            false => request.await,
        };
        event.meanwhile.await;
        answer
    }
}

impl fmt::Debug for Eventful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eventful")
    }
}

impl fmt::Display for Eventful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an eventful bucket")
    }
}

#[async_trait]
impl ObjectStore for Eventful {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.meet(What::Put, path, self.bucket.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.bucket.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.meet(What::Get, path, self.bucket.get_opts(path, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let met = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.meet(What::Delete, &path, async { Ok(()) }).await.map(|()| path)
            }
        });
        self.bucket.delete_stream(met.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.bucket.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.bucket.copy_opts(from, to, options).await
    }
}
