//! Reading a blob: any range, every byte proven by the blob's name.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::GetRange;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::objects::{Fetched, Objects};
use crate::pack::delta::{Group, UNIT};

use super::cache::FrameCache;
use super::checked::Checked;
use super::forms::{Apart, Based, Stored};
use super::made;
use super::quarantine::quarantine;
use super::store::object_of;
use super::table::{Defect, FOOTER, Footer, Form, Proof};

/// Bytes fetched first from the end of a stored blob: footer and table of blobs up to 101 MiB,
/// and all of a small delta.
const GLIMPSE: u64 = 4096;

/// Frames unpacked side by side.
const AHEAD: usize = 2;

/// Bytes of the parts of a blob, all together: what can be taken apart has fewer.
const LARGEST_PARTS: u64 = 1 << 30;

/// How often a read begins again because somebody replaced the object under it.
const RETRIES: usize = 3;

/// Blobs that may rest on one another: an image on its payload, that on the kernel it was made
/// from, that on its keyframe, and one more for stores to come.
pub(crate) const DEPTH: u8 = 4;

/// An open blob. Clones share it.
#[derive(Clone, Debug)]
pub struct BlobReader {
    objects: Objects,
    cache: Arc<FrameCache>,
    digest: Digest,
    opened: Arc<Opened>,
    /// How many blobs rest on this one, in this read.
    depth: u8,
    /// Whether copies of what was put together before don't count.
    afresh: bool,
}

#[derive(Debug)]
struct Opened {
    /// Entity tag of the object that the table was read from.
    tag: Option<String>,
    /// What the object takes, in bytes.
    size: u64,
    stored: Stored,
}

impl BlobReader {
    pub(crate) async fn open(
        objects: &Objects,
        cache: &Arc<FrameCache>,
        digest: &Digest,
    ) -> Result<Self, StoreError> {
        Self::open_at(objects, cache, digest, 0).await
    }

    async fn open_at(
        objects: &Objects,
        cache: &Arc<FrameCache>,
        digest: &Digest,
        depth: u8,
    ) -> Result<Self, StoreError> {
        if depth >= DEPTH {
            let why = format!("more than {DEPTH} blobs rest on one another");
            return Err(StoreError::Damaged { what: format!("blob {digest}"), why });
        }
        for _ in 0..RETRIES {
            let (tag, defect) = match open(objects, digest).await {
                Err(object_store::Error::Precondition { .. }) => continue,
                Err(source) => return Err(objects.fail(format!("reading blob {digest}"), source)),
                Ok(None) => return Err(StoreError::Missing(*digest)),
                Ok(Some((tag, _, Err(defect)))) => (tag, defect),
                Ok(Some((tag, size, Ok(stored)))) => {
                    let opened = Arc::new(Opened { tag, size, stored });
                    let (objects, cache) = (objects.clone(), cache.clone());
                    let (digest, afresh) = (*digest, false);
                    return Ok(Self { objects, cache, digest, opened, depth, afresh });
                }
            };
            if defect == Defect::LetGo {
                return Err(StoreError::LetGo(*digest));
            }
            if let Some((found, known)) = defect.newer() {
                let what = format!("blob {digest}");
                return Err(StoreError::NewerFormat { what, found, known });
            }
            return Err(corrupt(objects, digest, tag.as_deref(), &defect).await);
        }
        Err(restless(digest))
    }

    /// The same, made of what is stored alone: copies from before are not looked at.
    pub(crate) fn afresh(self) -> Self {
        Self { afresh: true, ..self }
    }

    /// The blob's name.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Plain size in bytes.
    pub fn size(&self) -> u64 {
        self.proof().plain_size()
    }

    /// What its object takes, in bytes; not what it rests on.
    pub(crate) fn stored(&self) -> u64 {
        self.opened.size
    }

    /// How it is stored, with all that its tail says.
    pub(crate) fn form_of(&self) -> &Stored {
        &self.opened.stored
    }

    /// How it is stored.
    pub(crate) fn form(&self) -> Form {
        self.opened.stored.form()
    }

    /// The blobs without which this one can't be read.
    pub(crate) fn rests_on(&self) -> Vec<Digest> {
        self.opened.stored.rests_on()
    }

    /// The hashes that prove it.
    pub(crate) fn proof(&self) -> &Proof {
        self.opened.stored.proof()
    }

    /// A range of the plain bytes, frame by frame (at most 1 MiB each). Every piece was proven
    /// before it comes out. The stream ends at its first error: a range outside the blob,
    /// [`StoreError::Corrupt`], or a failing disk.
    pub fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StoreError>> {
        if range.start > range.end || range.end > self.size() {
            let error = StoreError::Range {
                digest: self.digest,
                size: self.size(),
                start: range.start,
                end: range.end,
            };
            return stream::once(std::future::ready(Err(error))).boxed();
        }
        let frames = self.proof().frames(&range);
        let reader = self.clone();
        let pieces = stream::iter(frames)
            .map(move |frame| {
                let (reader, range) = (reader.clone(), range.clone());
                async move {
                    let plain = reader.frame(frame, true).await?;
                    let holds = reader.proof().plain_range(frame);
                    let from = range.start.saturating_sub(holds.start) as usize;
                    let to = (range.end.min(holds.end) - holds.start) as usize;
                    Ok(plain.slice(from..to))
                }
            })
            .buffered(AHEAD);
        end_at_error(pieces).boxed()
    }

    /// A range of the plain bytes, in memory.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let mut stream = self.stream(range);
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// One frame. `prove`: compared with its hash; otherwise its caller proves what it makes of it.
    fn frame(&self, frame: usize, prove: bool) -> BoxFuture<'_, Result<Bytes, StoreError>> {
        async move {
            let mut now = self.clone();
            for _ in 0..RETRIES {
                let made = match &now.opened.stored {
                    Stored::Frames(..) => now.unpack(frame, prove).await,
                    Stored::Delta(based) => now.derive(based, frame).await,
                    Stored::Parts(apart) => now.assemble(apart, frame).await,
                };
                match made {
                    Ok(bytes) => return Ok(bytes),
                    Err(Trouble::Store(error)) => return Err(error),
                    // Somebody replaced the object; another form of the same blob is as good.
                    Err(Trouble::Replaced) => {
                        let (log2, depth) = (self.proof().log2(), self.depth);
                        now =
                            Self::open_at(&self.objects, &self.cache, &self.digest, depth).await?;
                        now.afresh = self.afresh;
                        if now.proof().log2() != log2 {
                            return Err(restless(&self.digest));
                        }
                    }
                    // Its parts are right, and so is its recipe: nothing that is stored is wrong.
                    Err(Trouble::Defect(Defect::Parts)) => {
                        now.note_made(false).await;
                        return Err(StoreError::NotRepeated(self.digest));
                    }
                    Err(Trouble::Defect(defect)) => return Err(now.blame(defect).await),
                }
            }
            Err(restless(&self.digest))
        }
        .boxed()
    }

    /// A frame for a blob that rests on this one, from the cache or into it.
    async fn part(&self, frame: usize) -> Result<Bytes, StoreError> {
        if let Some(bytes) = self.cache.get(&self.digest, frame) {
            return Ok(bytes);
        }
        let bytes = self.frame(frame, false).await?;
        self.cache.put(&self.digest, frame, bytes.clone());
        Ok(bytes)
    }

    /// Some of the object's bytes, as it was opened.
    async fn fetch(&self, range: Range<u64>) -> Result<Bytes, Trouble> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let object = object_of(&self.digest);
        let (range, tag) = (GetRange::Bounded(range), self.opened.tag.clone());
        match self.objects.get(&object, Some(range), tag).await {
            Ok(Some(fetched)) => Ok(fetched.bytes),
            Ok(None) => Err(StoreError::Missing(self.digest).into()),
            Err(object_store::Error::Precondition { .. }) => Err(Trouble::Replaced),
            Err(source) => {
                Err(self.objects.fail(format!("reading blob {}", self.digest), source).into())
            }
        }
    }

    /// A frame of a blob that is stored in frames.
    async fn unpack(&self, frame: usize, prove: bool) -> Result<Bytes, Trouble> {
        let Stored::Frames(table, _) = &self.opened.stored else {
            return Err(Defect::Sizes.into());
        };
        let stored = self.fetch(table.stored_range(frame)).await?;
        let opened = Arc::clone(&self.opened);
        blocking(move || {
            let Stored::Frames(table, _) = &opened.stored else { return Err(Defect::Sizes) };
            let unpacked = match prove {
                true => table.open(frame, &stored)?,
                false => table.unpack(frame, &stored)?,
            };
            Ok(unpacked.map_or(stored, Bytes::from))
        })
        .await
    }

    /// A frame of a blob that is stored as a delta.
    async fn derive(&self, based: &Based, frame: usize) -> Result<Bytes, Trouble> {
        let unit = frame as u64;
        let group = self.group(based, unit).await?;
        let base = based.opened.get_or_try_init(|| self.below(&based.base)).await?;
        if base.size() != based.delta.base_len() {
            return Err(Defect::OtherBase(based.base).into());
        }
        let range = based.proof.plain_range(frame);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for copy in based.delta.copies(unit) {
            let mut to = (copy.new - unit * UNIT) as usize;
            let source = copy.base..copy.base + copy.len;
            for part in base.proof().frames(&source) {
                let holds = base.proof().plain_range(part);
                let plain = base.part(part).await?;
                let from = source.start.saturating_sub(holds.start) as usize;
                let end = (source.end.min(holds.end) - holds.start) as usize;
                let Some(plain) = plain.get(from..end) else {
                    return Err(Defect::OtherBase(based.base).into());
                };
                bytes[to..to + plain.len()].copy_from_slice(plain);
                to += plain.len();
            }
        }
        let opened = Arc::clone(&self.opened);
        blocking(move || {
            let Stored::Delta(based) = &opened.stored else { return Err(Defect::Sizes) };
            based.delta.finish(unit, &mut bytes, &group);
            based.proof.check(frame, &bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn group(&self, based: &Based, unit: u64) -> Result<Arc<Group>, Trouble> {
        let (number, range) = based.delta.group_of(unit).ok_or(Defect::Recipe)?;
        let last = || based.group.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, group)) = &*last()
            && *kept == number
        {
            return Ok(Arc::clone(group));
        }
        let stored = self.fetch(range).await?;
        let opened = Arc::clone(&self.opened);
        let group = blocking(move || {
            let Stored::Delta(based) = &opened.stored else { return Err(Defect::Sizes) };
            based.delta.open_group(number, &stored).map_err(|_| Defect::Recipe)
        });
        let group = Arc::new(group.await?);
        *last() = Some((number, Arc::clone(&group)));
        Ok(group)
    }

    /// A frame of a blob that is stored in parts.
    async fn assemble(&self, apart: &Apart, frame: usize) -> Result<Bytes, Trouble> {
        let whole = match self.afresh {
            true => apart.whole.get_or_try_init(|| self.put_together(apart)).await?.clone(),
            false => self.whole(apart).await?,
        };
        let range = apart.proof.plain_range(frame);
        let bytes = whole.get(range.start as usize..range.end as usize).ok_or(Defect::Parts)?;
        apart.proof.check(frame, bytes).map_err(|_| Defect::Parts)?;
        // A slice would keep all of it for as long as its reader takes.
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// All of a blob in parts: a copy from before, or put together now, which one does at a time.
    async fn whole(&self, apart: &Apart) -> Result<Bytes, Trouble> {
        let wholes = &self.cache.wholes;
        if let Some(bytes) = wholes.get(&self.digest) {
            return Ok(bytes);
        }
        let (opened, digest) = (Arc::clone(&self.opened), self.digest);
        let folder = self.objects.folder().join(made::FOLDER);
        let kept = blocking(move || Ok(made::get(&folder, &digest, opened.stored.proof()))).await?;
        if let Some(bytes) = kept {
            let bytes = Bytes::from(bytes);
            wholes.put(&self.digest, bytes.clone());
            return Ok(bytes);
        }
        // A part that is an image itself is made in the turn of its whole.
        let _turn = if self.depth == 0 { Some(wholes.turn().await) } else { None };
        if let Some(bytes) = wholes.get(&self.digest) {
            return Ok(bytes);
        }
        let bytes = self.put_together(apart).await?;
        wholes.put(&self.digest, bytes.clone());
        Ok(bytes)
    }

    /// Puts a blob together. What comes of it is right.
    async fn put_together(&self, apart: &Apart) -> Result<Bytes, Trouble> {
        let (mut parts, mut all) = (Vec::new(), 0_u64);
        for part in apart.recipe.parts() {
            let reader = self.below(&part).await?;
            // All of them are in memory at once.
            all = all.saturating_add(reader.size());
            if all > LARGEST_PARTS {
                return Err(Defect::Parts.into());
            }
            let mut bytes = Vec::with_capacity(reader.size().min(1 << 30) as usize);
            for frame in reader.proof().frames(&(0..reader.size())) {
                bytes.extend_from_slice(&reader.frame(frame, true).await?);
            }
            parts.push(bytes);
        }
        let (opened, digest, recipe) =
            (Arc::clone(&self.opened), self.digest, apart.recipe.clone());
        let folder = self.objects.folder().join(made::FOLDER);
        blocking(move || {
            let bytes = recipe.assemble(parts).ok_or(Defect::Parts)?;
            if !made::proves(opened.stored.proof(), &bytes) {
                return Err(Defect::Parts);
            }
            if let Err(error) = made::put(&folder, &digest, &bytes, made::LIMIT) {
                tracing::debug!(%digest, %error, "not kept");
            }
            Ok(bytes.into())
        })
        .await
    }

    /// Opens a blob that this one rests on.
    pub(super) async fn below(&self, digest: &Digest) -> Result<Self, StoreError> {
        Self::open_at(&self.objects, &self.cache, digest, self.depth + 1).boxed().await
    }

    /// Reads all of it and proves it.
    pub(super) async fn read_through(&self) -> Result<(), StoreError> {
        for frame in self.proof().frames(&(0..self.size())) {
            self.frame(frame, true).await?;
        }
        Ok(())
    }

    /// Whether it could not be put together when somebody last tried: then only trying tells.
    pub(super) async fn is_doubtful(&self) -> bool {
        if self.form() != Form::Parts {
            return false;
        }
        let (folder, digest) = (self.objects.folder().join(made::FOLDER), self.digest);
        blocking(move || Ok(made::is_doubtful(&folder, &digest))).await.unwrap_or_default()
    }

    /// Remembers whether it could be put together.
    pub(super) async fn note_made(&self, could: bool) {
        if !could {
            self.cache.checked.forget();
        }
        let (folder, digest) = (self.objects.folder().join(made::FOLDER), self.digest);
        let noted = crate::blocking::blocking(move || made::note(&folder, &digest, could)).await;
        if let Ok(Err(error)) = noted {
            tracing::debug!(%digest, %error, "whether it could be put together was not noted");
        }
    }

    /// What this process has proven lately.
    pub(super) fn checked(&self) -> &Checked {
        &self.cache.checked
    }

    /// The entity tag of the object that was opened.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.opened.tag.as_deref()
    }

    /// What to say, and to do, when a blob does not come out right. When it rests on another one,
    /// that may be what is corrupt: it is read as a whole, and quarantined if so.
    async fn blame(&self, defect: Defect) -> StoreError {
        for part in self.rests_on() {
            self.cache.forget(&part);
            let checked = async { self.below(&part).await?.read_through().await };
            if let Err(error) = checked.await {
                return error;
            }
        }
        corrupt(&self.objects, &self.digest, self.opened.tag.as_deref(), &defect).await
    }
}

/// Why there is no frame.
enum Trouble {
    /// Another object has the name by now.
    Replaced,
    /// The bytes are wrong.
    Defect(Defect),
    /// Something else.
    Store(StoreError),
}

impl From<Defect> for Trouble {
    fn from(defect: Defect) -> Self {
        Self::Defect(defect)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Work that finds out whether bytes are right.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Defect> + Send + 'static,
) -> Result<T, Trouble> {
    Ok(crate::blocking::blocking(work).await??)
}

/// Passes a stream on up to and including its first error.
fn end_at_error<S>(pieces: S) -> impl futures::Stream<Item = Result<Bytes, StoreError>> + Send
where
    S: futures::Stream<Item = Result<Bytes, StoreError>> + Send,
{
    pieces.scan(false, |failed, piece| {
        let item = (!*failed).then_some(piece);
        *failed = item.as_ref().is_some_and(Result::is_err);
        std::future::ready(item)
    })
}

/// Entity tag, size and tail of an object.
type Found = (Option<String>, u64, Result<Stored, Defect>);

/// Reads footer and table. `None`: no such object.
async fn open(objects: &Objects, digest: &Digest) -> Result<Option<Found>, object_store::Error> {
    let object = object_of(digest);
    let Some(end) = objects.get(&object, Some(GetRange::Suffix(GLIMPSE)), None).await? else {
        return Ok(None);
    };
    let (tag, size) = (end.meta.e_tag.clone(), end.meta.size);
    let footer = match footer_of(&end) {
        Ok(footer) => footer,
        Err(defect) => return Ok(Some((tag, size, Err(defect)))),
    };
    let table = if footer.table.start >= end.range.start {
        let from = (footer.table.start - end.range.start) as usize;
        let to = (footer.table.end - end.range.start) as usize;
        end.bytes.slice(from..to)
    } else {
        let range = GetRange::Bounded(footer.table.clone());
        match objects.get(&object, Some(range), tag.clone()).await? {
            Some(table) => table.bytes,
            None => return Ok(None),
        }
    };
    Ok(Some((tag, size, Stored::parse(&table, &footer, digest))))
}

fn footer_of(end: &Fetched) -> Result<Footer, Defect> {
    let at = end.bytes.len().saturating_sub(FOOTER);
    Footer::parse(&end.bytes[at..], end.meta.size)
}

/// Quarantines a blob; gives the error to return.
async fn corrupt(
    objects: &Objects,
    digest: &Digest,
    tag: Option<&str>,
    defect: &Defect,
) -> StoreError {
    let moved = quarantine(objects, &object_of(digest), tag).await;
    let error = StoreError::Corrupt { digest: *digest, what: defect.to_string(), moved };
    tracing::error!(%digest, %error, "corrupt blob");
    error
}

/// Replacing a blob by the same blob is rare; three times during one read never happens.
fn restless(digest: &Digest) -> StoreError {
    StoreError::Damaged {
        what: format!("blob {digest}"),
        why: "it was replaced again and again while it was being read".into(),
    }
}
