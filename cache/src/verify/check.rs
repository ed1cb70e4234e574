//! The verification itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::SystemTime;

use futures::TryStreamExt;

use crate::blob::quarantine;
use crate::blob::store::{PREFIX, digest_of};
use crate::blocking::blocking;
use crate::build_draft::content_signature;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::InputKey;
use crate::manifest::Manifest;
use crate::manifests;
use crate::reach::reach;
use crate::signature::SignatureKind;
use crate::store::{Settled, Store};

use super::leftovers::sweep;
use super::report::{Phase, Problem, VerifyProgress, VerifyReport};
use super::signatures;

/// Who needs a blob first, and how long everybody says it is (consoles say nothing).
struct Need {
    what: String,
    sizes: BTreeSet<u64>,
}

struct Check<'a> {
    store: &'a Store,
    progress: &'a (dyn Fn(VerifyProgress) + Sync),
    report: VerifyReport,
    needs: BTreeMap<Digest, Need>,
    /// Builds whose signatures are to be made again.
    to_sign: Vec<Manifest>,
}

impl Store {
    /// Checks the whole store: every manifest, every blob that a build or a run refers to, and
    /// the index against the manifests. With `deep`, every byte of every blob is read and
    /// compared with its name, and every kernel is signed anew; otherwise only the tables are, which proves that a blob is there
    /// and belongs to its name. Corrupt blobs are quarantined, missing rows of the index written.
    /// The store may be in use meanwhile.
    ///
    /// Fails only when the check itself can't go on; what is wrong is in the report.
    pub async fn verify(
        &self,
        deep: bool,
        progress: &(dyn Fn(VerifyProgress) + Sync),
    ) -> Result<VerifyReport, StoreError> {
        let report = VerifyReport { deep, ..VerifyReport::default() };
        let mut check =
            Check { store: self, progress, report, needs: BTreeMap::new(), to_sign: Vec::new() };
        check.builds().await?;
        check.consoles().await?;
        check.blobs(deep).await?;
        check.signatures().await?;
        check.leftovers().await?;
        Ok(check.report)
    }
}

impl Check<'_> {
    fn problem(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.report.problems.push(Problem { what: what.into(), why: why.into() });
    }

    /// Manifests, and the index beside them.
    async fn builds(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        // Read first: whatever is in it has a manifest by the time the manifests are listed.
        let index = store.inner().index.all_builds().await?;
        let mut seen = HashSet::new();
        let mut objects = manifests::list(&store.inner().objects);
        while let Some(object) = objects.try_next().await? {
            let Some(key) = manifests::key_of(&object) else {
                self.problem(object.to_string(), "it is not named like a manifest: remove it");
                continue;
            };
            seen.insert(key);
            self.build(&key, index.get(&key)).await?;
            self.report.builds += 1;
            (self.progress)(VerifyProgress {
                phase: Phase::Builds,
                items: self.report.builds,
                total_items: self.report.builds.max(index.len() as u64),
                bytes: 0,
                total_bytes: 0,
            });
        }
        for key in index.keys().filter(|key| !seen.contains(key)) {
            // It may have been replaced while the listing went on.
            if store.inner().objects.head(&manifests::object_of(key)).await?.is_none() {
                self.problem(
                    format!("build {key}"),
                    "the index knows it, but its manifest is gone: build it again",
                );
            }
        }
        Ok(())
    }

    async fn build(&mut self, key: &InputKey, indexed: Option<&Digest>) -> Result<(), StoreError> {
        let inner = self.store.inner();
        let read = match manifests::read(&inner.objects, key).await? {
            Some(Ok(read)) => read,
            Some(Err(unreadable)) => {
                self.problem(format!("build {key}"), unreadable.error.to_string());
                return Ok(());
            }
            None => return Ok(()),
        };
        let read = match indexed {
            Some(digest) if *digest == read.digest => read,
            _ => {
                let was = inner.index.manifest_of(key).await?;
                match self.store.settle(key).await {
                    // Removed since.
                    Ok(Settled::Right(None)) => return Ok(()),
                    Ok(Settled::Right(Some(now))) => {
                        let is_news = was.is_none_or(|was| was.manifest != now.digest);
                        self.report.healed += u64::from(is_news);
                        now
                    }
                    Ok(Settled::Changed(read)) => {
                        self.problem(
                            format!("build {key}"),
                            "its manifest is not the one that was stored; the next look-up \
                             quarantines it: build it again",
                        );
                        read
                    }
                    Err(error @ StoreError::Damaged { .. }) => {
                        self.problem(format!("build {key}"), error.to_string());
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.needs_of(key, &read.manifest);
        if self.report.deep {
            self.to_sign.push(read.manifest);
        }
        Ok(())
    }

    /// Signatures of kernels. Evidence rests on them.
    async fn signatures(&mut self) -> Result<(), StoreError> {
        let to_sign = std::mem::take(&mut self.to_sign);
        for (done, manifest) in (1..).zip(&to_sign) {
            match signatures::check(self.store, manifest).await {
                Ok(None) => {}
                Ok(Some(why)) => self.problem(format!("build {}", manifest.input_key), why),
                // Its blob is gone or corrupt, which is in the report already, or was let go of.
                Err(StoreError::Missing(_) | StoreError::Corrupt { .. } | StoreError::LetGo(_)) => {
                }
                Err(error) => return Err(error),
            }
            (self.progress)(VerifyProgress {
                phase: Phase::Signatures,
                items: done,
                total_items: to_sign.len() as u64,
                bytes: self.report.bytes,
                total_bytes: self.report.bytes,
            });
        }
        Ok(())
    }

    fn needs_of(&mut self, key: &InputKey, manifest: &Manifest) {
        let image = manifest.signatures.get(SignatureKind::Image);
        let content = content_signature(&manifest.artifacts, image);
        let stored = manifest.signatures.get(SignatureKind::Content);
        // Kernels of the first format have none; another version can't be compared.
        let is_old = match stored {
            None => manifest.format < 2 && image.is_some(),
            Some(stored) => stored.version != content.version,
        };
        if manifest.is_built() && !is_old && stored != Some(&content) {
            self.problem(format!("build {key}"), "its content signature is not that of its files");
        }
        for artifact in &manifest.artifacts {
            let need = self.needs.entry(artifact.digest).or_insert_with(|| Need {
                what: format!("{} of build {key}", artifact.name),
                sizes: BTreeSet::new(),
            });
            need.sizes.insert(artifact.size);
        }
    }

    async fn consoles(&mut self) -> Result<(), StoreError> {
        for (console, run) in self.store.inner().index.consoles().await? {
            self.needs.entry(console).or_insert_with(|| Need {
                what: format!("the console of run {run}"),
                sizes: BTreeSet::new(),
            });
        }
        Ok(())
    }

    /// Blobs: those that are needed, and those that are there.
    async fn blobs(&mut self, deep: bool) -> Result<(), StoreError> {
        let stored = self.stored().await?;
        for (digest, need) in &self.needs {
            // Blobs that came after the listing are there all the same.
            if !stored.contains_key(digest) && !self.store.contains(digest).await? {
                let (what, why) = (need.what.clone(), StoreError::Missing(*digest).to_string());
                self.report.lost.push(*digest);
                self.report.problems.push(Problem { what, why });
            }
        }
        let total_bytes = stored.values().sum();
        let total_items = stored.len() as u64;
        let (mut loose, mut rests) = (Vec::new(), HashMap::new());
        let mut without_base = Vec::new();
        for (digest, bytes) in stored {
            let need = self.needs.get(&digest);
            if need.is_none() {
                loose.push((digest, bytes));
            }
            let found = self.blob(&digest, need, deep, &mut rests).await;
            let (is_needed, what) = (need.is_some(), need.map(|need| need.what.clone()));
            let problem = match found {
                Err(StoreError::LetGo(gone)) if gone == digest => {
                    self.report.let_go += 1;
                    None
                }
                // A part of something, perhaps; or left over, then it is nobody's loss.
                Err(error @ StoreError::Missing(_)) if !is_needed => {
                    without_base.push((digest, error));
                    None
                }
                Err(error) => {
                    self.lost(&digest, is_needed, &error);
                    Some(error.to_string())
                }
                Ok(why) => why,
            };
            if let Some(why) = problem {
                self.problem(what.unwrap_or_else(|| format!("blob {digest}")), why);
            }
            self.report.blobs += 1;
            self.report.bytes += bytes;
            (self.progress)(VerifyProgress {
                phase: Phase::Blobs,
                items: self.report.blobs,
                total_items,
                bytes: self.report.bytes,
                total_bytes,
            });
        }
        let below = |digest: &Digest| Some(rests.get(digest).map_or(&[][..], Vec::as_slice));
        let needed = reach(self.needs.keys().copied(), below);
        for (digest, error) in without_base.iter().filter(|(digest, _)| needed.contains(digest)) {
            self.lost(digest, false, error);
            self.problem(format!("blob {digest}"), error.to_string());
        }
        self.report.lost.sort_unstable();
        self.report.lost.dedup();
        // Parts of boot images, and what others are differences to, have no name in a build.
        let rested: HashSet<_> = rests.values().flatten().collect();
        for (_, bytes) in loose.iter().filter(|(digest, _)| !rested.contains(digest)) {
            self.report.orphans += 1;
            self.report.orphan_bytes += bytes;
        }
        Ok(())
    }

    /// Notes what is to be had elsewhere: the blob that can't be read, when somebody needs it, and
    /// what it rests on, when that is why.
    fn lost(&mut self, digest: &Digest, needed: bool, error: &StoreError) {
        if let StoreError::Corrupt { digest: why, .. } | StoreError::Missing(why) = error {
            self.report.lost.push(*why);
            self.report.lost.extend(needed.then_some(*digest));
        }
    }

    /// All blobs, with what each takes.
    async fn stored(&mut self) -> Result<HashMap<Digest, u64>, StoreError> {
        let objects = &self.store.inner().objects;
        let mut stored = HashMap::new();
        let mut list = objects.list(PREFIX);
        let fail = |source| objects.fail("listing blobs".into(), source);
        while let Some(meta) = list.try_next().await.map_err(fail)? {
            match digest_of(&meta.location) {
                Some(digest) => _ = stored.insert(digest, meta.size),
                None => self.report.problems.push(Problem {
                    what: meta.location.to_string(),
                    why: "it is not named like a blob: remove it".into(),
                }),
            }
        }
        Ok(stored)
    }

    /// Reads one blob; says what is wrong with it, and gathers what it rests on.
    async fn blob(
        &self,
        digest: &Digest,
        need: Option<&Need>,
        deep: bool,
        rests: &mut HashMap<Digest, Vec<Digest>>,
    ) -> Result<Option<String>, StoreError> {
        let reader = self.store.reader(digest).await?.afresh();
        let bases = reader.rests_on();
        rests.insert(*digest, bases.clone());
        for base in bases {
            if !self.store.contains(&base).await? {
                return Err(StoreError::Missing(base));
            }
        }
        if deep {
            let mut pieces = reader.stream(0..reader.size());
            while pieces.try_next().await?.is_some() {}
        }
        let sizes = need.map(|need| &need.sizes);
        let wrong = sizes.and_then(|sizes| sizes.iter().find(|size| **size != reader.size()));
        Ok(wrong.map(|size| {
            format!("a manifest says {size} bytes, and its blob has {}", reader.size())
        }))
    }

    async fn leftovers(&mut self) -> Result<(), StoreError> {
        let objects = &self.store.inner().objects;
        let folder = self.store.folder();
        let swept = blocking(move || sweep(&folder, SystemTime::now(), false))
            .await?
            .map_err(|source| StoreError::file("read", objects.folder(), source))?;
        self.report.staged = swept.kept;
        self.report.staged_bytes = swept.bytes;
        self.report.staged_removed = swept.removed;
        let fail = |source| objects.fail("listing the quarantine".into(), source);
        let quarantined: Vec<_> =
            objects.list(quarantine::PREFIX).try_collect().await.map_err(fail)?;
        self.report.quarantined = quarantined.len() as u64;
        self.report.quarantined_bytes = quarantined.iter().map(|meta| meta.size).sum();
        (self.progress)(VerifyProgress {
            phase: Phase::Leftovers,
            items: swept.kept + swept.removed,
            total_items: swept.kept + swept.removed,
            bytes: self.report.bytes,
            total_bytes: self.report.bytes,
        });
        Ok(())
    }
}
