//! Packing a store.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::blob::forms::Stored;
use crate::blob::frames::FRAME_LOG2;
use crate::blob::reader::BlobReader;
use crate::blob::table::Form;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::index::{Alone, PACKER};
use crate::store::Store;

use super::keyframes::{Decision, Earlier, Keyframes};
use super::parts::Recipe;
use super::plan::{Candidate, Plan, plan};
use super::replace::{self, Pieces, blocking};
use super::report::{PackOptions, PackProgress, PackReport};
use super::spool::Spool;
use super::towers::Towers;
use super::{delta, image};

/// Names of the parts of an image are its own name and one of these.
const KERNEL: &str = ":kernel";
const REST: &str = ":rest";
const RELOCS: &str = ":relocs";
/// Images longer than this are not taken apart.
const LARGEST_IMAGE: u64 = 256 << 20;
/// A vmlinux so many times as long as its kernel has debug information.
const LEAN: u64 = 2;
/// What a blob takes packed hard, as a share of what it takes packed fast; measured on kernels.
const HARD: f64 = 0.75;

struct Run<'a> {
    store: &'a Store,
    alone: &'a Alone,
    /// Under which it holds the bases of what it writes.
    owner: &'a str,
    folder: PathBuf,
    options: PackOptions,
    progress: &'a (dyn Fn(PackProgress) + Sync),
    report: PackReport,
    total: u64,
    /// Whether parts of images are being packed.
    parts: bool,
    towers: Towers,
    /// The last base, which is likely the next one too.
    base: Option<(Digest, Arc<Spool>)>,
}

impl Store {
    /// Packs what was stored fast: boot images are taken apart, and each file of a build becomes
    /// a difference to the same file of a neighbouring build where that is smaller. Takes a
    /// processor for seconds to minutes; the store may be in use meanwhile. May be interrupted at
    /// any time, and begun again. [`StoreError::Busy`] when another process packs or collects
    /// garbage, [`StoreError::Overtaken`] when one began to, because this one had lost its
    /// lock; [`StoreError::NotShared`] or [`StoreError::AlsoUsedBy`] where nobody can know what must stay.
    pub async fn pack(
        &self,
        options: PackOptions,
        progress: &(dyn Fn(PackProgress) + Sync),
    ) -> Result<PackReport, StoreError> {
        let folder = self.folder();
        let house = self.house().await?;
        let index = &self.inner().index;
        let owner = format!("{PACKER}{}", Uuid::new_v4());
        let mut plan = plan(&self.inner().objects).await?;
        let total = plan.values().map(|blobs| blobs.len() as u64).sum();
        let mut run = Run {
            store: self,
            alone: &house.alone,
            owner: &owner,
            folder,
            options,
            progress,
            report: PackReport::default(),
            total,
            parts: false,
            towers: Towers::of(self).await?,
            base: None,
        };
        for (name, blobs) in std::mem::take(&mut plan) {
            let left = run.take_apart(&name, blobs, &mut plan).await?;
            plan.insert(name, left);
        }
        // A kernel out of an image is a difference to a vmlinux, wherever that is by now.
        for (name, blobs) in plan {
            run.pack_name(&name, blobs).await?;
        }
        // After an error they stay held, as what was sent may still arrive: until the next one packs or
        // collects, or in a bucket until they are old.
        index.release(&owner).await?;
        Ok(run.report)
    }
}

impl Run<'_> {
    fn tick(&mut self) {
        self.report.blobs += 1;
        let saved = self.report.bytes_before.saturating_sub(self.report.bytes_after);
        let (done, total) = (self.report.blobs, self.total.max(self.report.blobs));
        (self.progress)(PackProgress { done, total, saved });
    }

    /// Opens a blob; `None`, with a note, when it can't be had: packing goes on without it.
    async fn open(&mut self, digest: &Digest) -> Result<Option<BlobReader>, StoreError> {
        match self.store.reader(digest).await {
            Ok(reader) => Ok(Some(reader)),
            Err(error) => self.note(error).map(|()| None),
        }
    }

    /// Errors of one blob are notes; those of the store end the run.
    fn note(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Missing(_)
            | StoreError::Corrupt { .. }
            | StoreError::Damaged { .. }
            | StoreError::NotRepeated(_)
            | StoreError::NewerFormat { .. } => {
                self.report.problems.push(error.to_string());
                self.report.skipped += 1;
                Ok(())
            }
            StoreError::LetGo(_) => {
                self.report.skipped += 1;
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Takes the boot images among the blobs apart, and plans their parts. Gives the other blobs.
    async fn take_apart(
        &mut self,
        name: &str,
        blobs: Vec<Candidate>,
        plan: &mut Plan,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut left = Vec::new();
        let names = [REST, KERNEL, RELOCS].map(|suffix| format!("{name}{suffix}"));
        let planned =
            |name: &String| plan.get(name).into_iter().flatten().map(|it| it.digest).collect();
        let mut planned: [HashSet<Digest>; 3] = names.each_ref().map(planned);
        for blob in blobs {
            let Some(reader) = self.open(&blob.digest).await? else { continue };
            let parts = match reader.stored_parts() {
                Some(parts) => {
                    self.tick();
                    Some(parts)
                }
                None => match self.image(&reader).await {
                    Ok(parts) => parts,
                    Err(error) => {
                        self.note(error)?;
                        continue;
                    }
                },
            };
            let Some(parts) = parts else {
                left.push(blob);
                continue;
            };
            for ((name, planned), digest) in names.iter().zip(&mut planned).zip(parts) {
                if planned.insert(digest) {
                    plan.entry(name.clone()).or_default().push(Candidate { digest, ..blob });
                    self.total += 1;
                }
            }
        }
        Ok(left)
    }

    /// The parts of a boot image that was stored whole.
    async fn image(&mut self, reader: &BlobReader) -> Result<Option<Vec<Digest>>, StoreError> {
        let fits = reader.form() == Form::Fast
            && reader.size() <= LARGEST_IMAGE
            && reader.proof().log2() == FRAME_LOG2;
        if !fits || !image::may_be_image(&reader.read(0..reader.size().min(4096)).await?) {
            return Ok(None);
        }
        let whole = Arc::new(Spool::read(reader, &self.folder).await?);
        let Some(apart) = blocking(move || Ok(image::take_apart(&whole))).await? else {
            self.report.whole_images += 1;
            return Ok(None);
        };
        let blobs = &self.store.inner().blobs;
        let rest = blobs.put_bytes(Bytes::from(apart.rest)).await?;
        let kernel = blobs.put_bytes(Bytes::from(apart.kernel)).await?;
        let relocs = match apart.relocs {
            Some(relocs) => Some(blobs.put_bytes(Bytes::from(relocs)).await?),
            None => None,
        };
        let (size, split, codec) = (reader.size(), apart.split, apart.codec);
        let recipe = Recipe { rest, kernel, relocs, size, split, codec };
        let pieces = replace::parts(&recipe, reader);
        self.replace(reader, pieces, recipe.parts()).await?;
        self.report.images += 1;
        self.tick();
        Ok(Some(recipe.parts()))
    }

    /// Packs the blobs of one name.
    async fn pack_name(&mut self, name: &str, blobs: Vec<Candidate>) -> Result<(), StoreError> {
        self.parts = [REST, KERNEL, RELOCS].iter().any(|suffix| name.ends_with(suffix));
        let (mut packed, mut fast) = (Vec::new(), Vec::new());
        for blob in blobs {
            let Some(reader) = self.open(&blob.digest).await? else { continue };
            match reader.form() {
                Form::Fast if reader.size() > self.options.largest => {
                    self.report.skipped += 1;
                    self.tick();
                }
                Form::Fast if reader.proof().log2() == FRAME_LOG2 => fast.push(blob),
                Form::Frames | Form::Delta => {
                    let (digest, family, stored) = (blob.digest, blob.family, reader.stored());
                    let base = reader.rests_on().first().copied();
                    packed.push(Earlier { digest, family, stored, base });
                    self.tick();
                }
                _ => self.tick(),
            }
        }
        let mut keyframes = Keyframes::of(&packed);
        // The first keyframe is the one in the middle: nobody is far from it.
        if keyframes.is_empty() && fast.len() > 2 {
            let middle = fast.len() / 2;
            fast[..=middle].rotate_right(1);
        }
        for blob in fast {
            if let Err(error) = self.pack_blob(name, blob, &mut keyframes).await {
                self.note(error)?;
            }
            self.tick();
        }
        Ok(())
    }

    async fn pack_blob(
        &mut self,
        name: &str,
        blob: Candidate,
        keyframes: &mut Keyframes,
    ) -> Result<(), StoreError> {
        let reader = self.store.reader(&blob.digest).await?;
        let plain = Arc::new(Spool::read(&reader, &self.folder).await?);
        let mut bases = keyframes.candidates(&blob.family);
        if name.ends_with(KERNEL)
            && let Some(vmlinux) = blob.vmlinux
            && (bases.is_empty() || self.is_lean(&vmlinux, reader.size()).await)
        {
            bases.insert(0, vmlinux);
        }
        let alone = (reader.stored() as f64 * HARD) as u64;
        let mut best: Option<(Digest, delta::Packed)> = None;
        for base in bases {
            if !self.towers.may_rest(&blob.digest, &base) {
                continue;
            }
            let bytes = match self.base(&base).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.note(error)?;
                    continue;
                }
            };
            let (new, level) = (Arc::clone(&plain), self.options.level);
            let packed = blocking(move || delta::make(&bytes, &new, level)).await?;
            if best.as_ref().is_none_or(|(_, other)| packed.len() < other.len()) {
                let good = packed.len() * 20 < alone;
                best = Some((base, packed));
                // Nothing else will be much better.
                if good {
                    break;
                }
            }
        }
        if let Some((base, packed)) = best
            && keyframes.decide(&base, packed.len(), alone) == Decision::Difference
        {
            let bytes = self.base(&base).await?;
            let pieces = replace::delta(base, &bytes, packed, &reader).await?;
            if replace::size(&pieces) < reader.stored() {
                self.report.deltas += 1;
                return self.replace(&reader, pieces, vec![base]).await;
            }
        }
        let pieces = replace::frames(&plain, self.options.level).await?;
        keyframes.add(blob.digest, blob.family, replace::size(&pieces));
        self.report.keyframes += 1;
        self.replace(&reader, pieces, Vec::new()).await
    }

    /// Whether a vmlinux has little beside the kernel that is in its image. One with debug
    /// information is let go of sooner than the image, which must not rest on it then.
    async fn is_lean(&self, vmlinux: &Digest, kernel: u64) -> bool {
        let reader = self.store.reader(vmlinux).await;
        reader.is_ok_and(|reader| reader.size() < kernel.saturating_mul(LEAN))
    }

    /// The bytes of a base.
    async fn base(&mut self, digest: &Digest) -> Result<Arc<Spool>, StoreError> {
        if let Some((kept, bytes)) = &self.base
            && kept == digest
        {
            return Ok(Arc::clone(bytes));
        }
        let reader = self.store.reader(digest).await?;
        let bytes = Arc::new(Spool::read(&reader, &self.folder).await?);
        self.base = Some((*digest, Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// Replaces a blob by a form that rests on these, which nobody collects from here on.
    async fn replace(
        &mut self,
        reader: &BlobReader,
        pieces: Pieces,
        bases: Vec<Digest>,
    ) -> Result<(), StoreError> {
        let inner = self.store.inner();
        let mut held = Vec::new();
        for base in &bases {
            held.extend(inner.blobs.foundation(base).await?);
        }
        // Parts were in their image before.
        if !self.parts {
            self.report.bytes_before += reader.stored();
        }
        self.report.bytes_after += replace::size(&pieces);
        self.report.packed += 1;
        let mut tries = inner.objects.tries();
        loop {
            inner.index.reserve_alone(self.alone, self.owner, &held).await?;
            // One may have gone before it was held.
            for base in &bases {
                inner.blobs.foundation(base).await?;
            }
            match replace::replace(&inner.objects, reader.digest(), pieces.clone()).await {
                Ok(()) => break,
                // By the next attempt somebody else may pack.
                Err(error) => tries.after(error).await?,
            }
        }
        self.towers.set(*reader.digest(), bases);
        Ok(())
    }
}

impl BlobReader {
    /// The rest, the kernel and perhaps the relocations of a blob that is stored in parts.
    fn stored_parts(&self) -> Option<Vec<Digest>> {
        match self.form_of() {
            Stored::Parts(apart) => Some(apart.recipe.parts()),
            _ => None,
        }
    }
}
