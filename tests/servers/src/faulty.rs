//! A bucket that fails the way buckets do, the same for the same seed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

/// What a bucket does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// 500, 503 or a time-out, and nothing was done.
    Refused,
    /// It was done, and then the answer was an error or got lost.
    Unanswered,
    /// It was done, the answer got lost, and the client sent it again by itself.
    Repeated,
    /// S3's 409: another conditional write is under way. Nothing was done.
    Conflict,
    /// The body of an answer breaks off with an error.
    Broken,
    /// The body of an answer ends early, as if that were all.
    Short,
}

/// A bucket with faults. Which operation fails, and how, depends on the seed, the operation, the
/// object's name and how often both met before: not on what happens beside it.
#[derive(Debug)]
pub struct Faulty<S> {
    bucket: Arc<S>,
    seed: u64,
    /// Faults in a thousand operations.
    per_mille: u64,
    met: Mutex<HashMap<(&'static str, String), u64>>,
    made: AtomicU64,
}

impl<S> Faulty<S> {
    /// The same bucket, with so many faults in a thousand operations.
    pub fn new(bucket: Arc<S>, seed: u64, per_mille: u64) -> Self {
        let (met, made) = (Mutex::default(), AtomicU64::new(0));
        Self { bucket, seed, per_mille, met, made }
    }

    /// Faults so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    fn fault(&self, operation: &'static str, path: &Path, kinds: &[Fault]) -> Option<Fault> {
        let times = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            let times = met.entry((operation, path.to_string())).or_default();
            *times += 1;
            *times
        };
        let mut random = self.seed ^ times.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in operation.bytes().chain(path.as_ref().bytes()) {
            random = mix(random ^ u64::from(byte));
        }
        if random % 1000 >= self.per_mille {
            return None;
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        kinds.get((mix(random) % kinds.len() as u64) as usize).copied()
    }
}

/// Steele, Lea and Flood's SplitMix64: one step.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unavailable() -> Error {
    Error::Generic { store: "faulty", source: "503 Slow Down".into() }
}

fn conflict(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "409 Conflict".into() }
}

impl<S: fmt::Debug> fmt::Display for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty bucket, seed {}", self.seed)
    }
}

/// Runs an operation under a fault.
macro_rules! under {
    ($fault:expr, $path:expr, $operation:expr) => {
        match $fault {
            None | Some(Fault::Broken | Fault::Short) => $operation.await,
            Some(Fault::Refused) => Err(unavailable()),
            Some(Fault::Conflict) => Err(conflict($path)),
            Some(Fault::Unanswered) => {
                $operation.await?;
                Err(unavailable())
            }
            Some(Fault::Repeated) => {
                $operation.await?;
                $operation.await
            }
        }
    };
}

const ASKING: &[Fault] = &[Fault::Refused];
const READING: &[Fault] = &[Fault::Refused, Fault::Broken, Fault::Short];
const WRITING: &[Fault] = &[Fault::Refused, Fault::Unanswered, Fault::Repeated];
const CREATING: &[Fault] = &[Fault::Refused, Fault::Unanswered, Fault::Repeated, Fault::Conflict];

#[async_trait]
impl<S: ObjectStore> ObjectStore for Faulty<S> {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let creates = options.mode == PutMode::Create;
        let kinds = if creates { CREATING } else { WRITING };
        let fault = self.fault("put", path, kinds);
        under!(fault, path, self.bucket.put_opts(path, payload.clone(), options.clone()))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.bucket.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let kinds = if options.head { ASKING } else { READING };
        let fault = self.fault("get", path, kinds);
        let mut result = under!(fault, path, self.bucket.get_opts(path, options.clone()))?;
        if !matches!(fault, Some(Fault::Broken | Fault::Short)) {
            return Ok(result);
        }
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), std::mem::take(&mut result.attributes));
        let extensions = std::mem::take(&mut result.extensions);
        let whole = result.bytes().await?;
        let part = whole.slice(..whole.len() / 2);
        let end = (fault == Some(Fault::Broken)).then(|| Err(unavailable()));
        let body = stream::iter([Ok(part)].into_iter().chain(end)).boxed();
        Ok(GetResult {
            payload: GetResultPayload::Stream(body),
            meta,
            range,
            attributes,
            extensions,
        })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.bucket.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let fault = self.fault("list", prefix.unwrap_or(&Path::default()), ASKING);
        broken_off(self.bucket.list(prefix), fault)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let fault = self.fault("list", prefix.unwrap_or(&Path::default()), ASKING);
        broken_off(self.bucket.list_with_offset(prefix, offset), fault)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.bucket.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fault = self.fault("copy", from, WRITING);
        under!(fault, from, self.bucket.copy_opts(from, to, options.clone()))
    }
}

/// A listing that fails after its first entries.
fn broken_off(
    listing: BoxStream<'static, Result<ObjectMeta>>,
    fault: Option<Fault>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    match fault {
        None => listing,
        Some(_) => listing.take(2).chain(stream::iter([Err(unavailable())])).boxed(),
    }
}

#[async_trait]
impl<S: ObjectStore + MultipartStore> MultipartStore for Faulty<S> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let fault = self.fault("begin", path, WRITING);
        under!(fault, path, self.bucket.create_multipart(path))
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let fault = self.fault("part", path, WRITING);
        under!(fault, path, self.bucket.put_part(path, id, number, data.clone()))
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let fault = self.fault("complete", path, WRITING);
        under!(fault, path, self.bucket.complete_multipart(path, id, parts.clone()))
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.bucket.abort_multipart(path, id).await
    }
}
