//! From one store to another: builds, evidence and journals.
//!
//! Nothing is believed: a build's files go in like those of a build that was just made, so the
//! other store computes digests and signatures itself, and what it computes must be what the
//! manifest says. Everything has a name that is the same everywhere, so a transfer that broke off
//! is gone on with by asking for it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::build_draft::{BuildDraft, content_signature};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::evidence::Run;
use crate::index::Use;
use crate::input::InputKey;
use crate::journal::Journal;
use crate::manifest::{Artifact, Manifest};
use crate::signature::{ImageId, Signature, SignatureKind};
use crate::transfer::{Selection, TransferPhase, TransferProgress, TransferReport};
use crate::verify::Problem;

use super::builds::Added;
use super::ingest::{describe, ingest};
use super::{Mark, Store};

/// What transfers tell while they run.
type Tell<'a> = &'a (dyn Fn(TransferProgress) + Sync);

impl Store {
    /// Brings what is selected to another store, where what is there already stays as it is. A
    /// build, run or journal that can't be brought is a problem in the report, and the rest goes
    /// on; an error of the other store ends it.
    pub async fn copy_to(
        &self,
        to: &Self,
        selection: &Selection,
        progress: Tell<'_>,
    ) -> Result<TransferReport, StoreError> {
        let mut report = TransferReport::default();
        let builds: BTreeSet<InputKey> = match &selection.builds {
            Some(builds) => builds.clone(),
            None => {
                // One whose row is missing, as when a collection was killed, is a build all the same.
                self.learn().await?;
                self.inner.index.all_builds().await?.into_keys().collect()
            }
        };
        self.copy_marks(to, &builds).await?;
        let mut images = BTreeSet::new();
        let (uses, pins) = (self.inner.index.uses().await?, self.inner.index.pins().await?);
        for (done, key) in (0..).zip(&builds) {
            let total = builds.len() as u64;
            progress(TransferProgress { phase: TransferPhase::Builds, done, total });
            let used = uses.get(key);
            // Nobody collects it between its coming and its pin.
            let held = match pins.contains(key) {
                true => Some(to.hold_build(key).await?),
                false => None,
            };
            let came = self.copy_build(to, key, used, &mut images, &mut report).await?;
            if let Some(owner) = held {
                if came {
                    to.pin(key, true).await?;
                }
                to.inner.index.release(&owner).await?;
            }
        }
        let only = selection.builds.as_ref().map(|_| &images);
        self.copy_runs(to, only, &mut report, progress).await?;
        let journals: Vec<String> = match &selection.journals {
            Some(ids) => ids.iter().cloned().collect(),
            None => self.inner.index.journal_ids().await?,
        };
        for (done, id) in (0..).zip(&journals) {
            let total = journals.len() as u64;
            progress(TransferProgress { phase: TransferPhase::Journals, done, total });
            self.copy_journal(to, id, &mut report).await?;
        }
        // What was refuted in the hours since. (A build that came before it is right by the next time.)
        self.copy_revoked(to).await?;
        Ok(report)
    }

    /// Brings what is known to prove nothing and to be no build, all of it.
    async fn copy_revoked(&self, to: &Self) -> Result<(), StoreError> {
        for mark in [Mark::Withdrawn, Mark::Revoked] {
            let there = to.marks(mark).await?;
            for name in self.marks(mark).await?.difference(&there) {
                to.mark(mark, name).await?;
            }
        }
        Ok(())
    }

    /// The same, and which of some builds are still to be audited. Before the builds come: nobody there
    /// finds one without it.
    async fn copy_marks(&self, to: &Self, builds: &BTreeSet<InputKey>) -> Result<(), StoreError> {
        self.copy_revoked(to).await?;
        for name in self.marks(Mark::Unaudited).await? {
            if name.parse().is_ok_and(|key| builds.contains(&InputKey(key))) {
                to.mark(Mark::Unaudited, &name).await?;
            }
        }
        Ok(())
    }

    /// Brings one build, its names and when it was last used: being brought is no use. `false` when it
    /// is not brought, for a reason in the report. Its image is added to `images` all the same: what was
    /// seen of it holds without its files.
    async fn copy_build(
        &self,
        to: &Self,
        key: &InputKey,
        used: Option<&Use>,
        images: &mut BTreeSet<ImageId>,
        report: &mut TransferReport,
    ) -> Result<bool, StoreError> {
        let mut problem = |why: String| {
            report.problems.push(Problem { what: format!("build {key}"), why });
        };
        let manifest = match self.look_up(key).await {
            Ok(Some(read)) => read.manifest,
            Ok(None) => {
                problem("it is not in the store that it should come from".into());
                return Ok(false);
            }
            Err(error @ StoreError::Damaged { .. }) => {
                problem(error.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        images.extend(manifest.image());
        let used = used.map_or(manifest.created, |used| used.at);
        // Its coming is written as a use.
        let mut times = to.inner.index.times(key).await? + 1;
        let mut there = to.confirm(key, used).await?;
        // (What was refuted here is so there by now.)
        let refuted = to.refuted().await?;
        let is_void = refuted.voids(self, &manifest).await?;
        if let Some(build) = &there
            && !is_void
            && refuted.voids(to, build).await?
        {
            // It is not believed there; this one is.
            to.withdraw_build(build).await?;
            (there, times) = (None, times + 1);
        }
        if there.is_none() && is_void {
            // An audit took it away there, or would not have it: perhaps it is wrong.
            report.builds_in_doubt += 1;
            if !self.is_void(&manifest).await? {
                let why =
                    "an audit left it in doubt where it should come to; it is to be built there";
                report.problems.push(Problem { what: format!("build {key}"), why: why.into() });
            }
            return Ok(false);
        }
        if let Some(there) = &there {
            report.builds_known += 1;
            report.builds_otherwise += u64::from(manifest.is_another_than(there));
        } else {
            match self.copy_files(to, &manifest).await {
                Ok(brought) => {
                    report.builds += 1;
                    report.builds_without_debug += u64::from(!brought.is_whole);
                    report.bytes += brought.bytes;
                }
                Err(
                    error @ (StoreError::Missing(_)
                    | StoreError::Corrupt { .. }
                    | StoreError::LetGo(_)
                    | StoreError::NotRepeated(_)
                    | StoreError::Damaged { .. }
                    | StoreError::Signature { .. }
                    | StoreError::Draft(_)),
                ) => {
                    report
                        .problems
                        .push(Problem { what: format!("build {key}"), why: error.to_string() });
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        let names = self.inner.index.names_of(key).await?;
        // What a closure proved, it proved of the build that has it.
        let here = there.as_ref().unwrap_or(&manifest);
        let holds = |proof: &Option<Digest>| proof.is_none_or(|closure| here.has_closure(&closure));
        for (request, proof) in names.requests.into_iter().filter(|(_, proof)| holds(proof)) {
            let there = to.inner.index.request(&request).await?;
            let is_proved_there = matches!(there, Some((_, Some(_))));
            match proof {
                Some(closure) if there.is_none() => {
                    to.add_proved_request(&request, key, &closure).await?;
                }
                // Its own build is better than one that it was proved to be.
                None if there.is_none() || is_proved_there => to.add_request(&request, key).await?,
                // A name that leads elsewhere there stays.
                _ => {}
            }
        }
        for (commit, proof) in names.commits.into_iter().filter(|(_, proof)| holds(proof)) {
            to.inner.index.add_name(&commit, key, proof.as_ref()).await?;
        }
        if there.is_none() {
            // Any other use counts.
            to.inner.index.used_before(key, used, times).await?;
        }
        Ok(true)
    }

    /// Brings the files of a build, and has the other store make its own record of them. Of those
    /// that were let go of only the names.
    async fn copy_files(&self, to: &Self, manifest: &Manifest) -> Result<Brought, StoreError> {
        let fail = |source| StoreError::file("write in", to.inner.objects.folder(), source);
        let folder = tempfile::Builder::new()
            .prefix(".transfer-")
            .tempdir_in(to.inner.objects.folder())
            .map_err(fail)?;
        let mut artifacts = Vec::with_capacity(manifest.artifacts.len());
        let (mut bytes, mut let_go) = (0, Vec::new());
        for (n, artifact) in manifest.artifacts.iter().enumerate() {
            let path = folder.path().join(n.to_string());
            match self.read_to_file(&artifact.digest, &path).await {
                Ok(()) => {
                    bytes += artifact.size;
                    artifacts.push((artifact.name.clone(), path));
                }
                Err(StoreError::LetGo(digest)) if digest == artifact.digest => {
                    let_go.push(artifact);
                }
                Err(error) => return Err(error),
            }
        }
        match let_go.is_empty() {
            true => _ = to.add_known(manifest, artifacts).await?,
            false => to.add_without(manifest, artifacts, &let_go).await?,
        }
        Ok(Brought { bytes, is_whole: let_go.is_empty() })
    }

    /// Stores a build of which some files were let go of, with the others by name. They must be
    /// those that its manifest names. Of its signatures those that need the rest can't be made again,
    /// and are the ones that it was stored with.
    async fn add_without(
        &self,
        manifest: &Manifest,
        files: Vec<(String, PathBuf)>,
        let_go: &[&Artifact],
    ) -> Result<(), StoreError> {
        let owner = Uuid::new_v4().to_string();
        let (found, signed) = ingest(&self.inner, &owner, &manifest.result, &files).await?;
        let said = manifest.artifacts.iter().filter(|it| !let_go.contains(it));
        if !found.iter().eq(said) {
            let what = format!("the manifest of build {}", manifest.input_key);
            return Err(StoreError::Damaged { what, why: "it does not describe its files".into() });
        }
        let mut made = describe(draft_of(manifest, Vec::new()), found, signed);
        let image = manifest.signatures.get(SignatureKind::Image);
        let content = content_signature(&manifest.artifacts, image);
        made.signatures.0.insert(SignatureKind::Content, content);
        let differs = |kind: &SignatureKind, said: &Signature| {
            let made = made.signatures.get(*kind);
            made.is_some_and(|made| made.version == said.version && made.hash != said.hash)
        };
        let wrong = manifest.signatures.0.iter().find(|(kind, said)| differs(kind, said));
        if let Some((kind, _)) = wrong {
            let what = format!("the manifest of build {}", manifest.input_key);
            let why = format!("its {kind} signature is not that of its files");
            return Err(StoreError::Damaged { what, why });
        }
        let names: Vec<_> = let_go.iter().map(|file| file.digest).collect();
        self.inner.index.reserve(&owner, &names).await?;
        for file in let_go {
            self.inner.blobs.note_absent(&file.digest, file.size).await?;
        }
        self.add_described(&owner, manifest.clone()).await?;
        self.put_back(manifest, &files).await?;
        self.inner.index.release(&owner).await
    }

    /// Stores a build that was made elsewhere, with its files by name. Nothing in its manifest is
    /// believed: [`StoreError::Damaged`] when it is not what is computed of the files here.
    pub async fn add_known(
        &self,
        manifest: &Manifest,
        artifacts: Vec<(String, PathBuf)>,
    ) -> Result<Added, StoreError> {
        let draft = draft_of(manifest, artifacts);
        let judge = |made: Manifest| match difference(manifest, &made) {
            Some(why) => {
                let what = format!("the manifest of build {}", manifest.input_key);
                Err(StoreError::Damaged { what, why })
            }
            None => Ok(Manifest { created: manifest.created, ..made }),
        };
        self.add_if(draft, judge).await
    }

    /// Brings the runs of some images, or of all.
    async fn copy_runs(
        &self,
        to: &Self,
        only: Option<&BTreeSet<ImageId>>,
        report: &mut TransferReport,
        progress: Tell<'_>,
    ) -> Result<(), StoreError> {
        let tested = self.inner.index.tested().await?;
        let tested: Vec<_> = tested
            .into_iter()
            .filter(|(image, _)| only.is_none_or(|only| only.contains(image)))
            .collect();
        for (done, (image, test)) in (0..).zip(&tested) {
            let total = tested.len() as u64;
            progress(TransferProgress { phase: TransferPhase::Runs, done, total });
            for run in self.runs(image, test).await? {
                self.copy_run(to, run, report).await?;
            }
        }
        Ok(())
    }

    /// Brings a run. One whose console was lost is a run all the same.
    async fn copy_run(
        &self,
        to: &Self,
        mut run: Run,
        report: &mut TransferReport,
    ) -> Result<(), StoreError> {
        if let Some(console) = run.console
            && !to.hold(&console).await?
        {
            let folder = to.inner.objects.folder();
            let file = tempfile::Builder::new().prefix(".transfer-").tempfile_in(folder);
            let path = file.map_err(|error| StoreError::file("write in", folder, error))?;
            let path: &Path = &path.into_temp_path();
            match self.read_to_file(&console, path).await {
                Ok(()) => _ = to.put_file(path).await?,
                Err(error @ (StoreError::Missing(_) | StoreError::Corrupt { .. })) => {
                    let what = format!("the console of run {}", run.id);
                    report.problems.push(Problem { what, why: error.to_string() });
                    run.console = None;
                }
                Err(error) => return Err(error),
            }
        }
        to.inner.join().await?;
        match to.inner.index.add_run(&run).await? {
            true => report.runs += 1,
            false => report.runs_known += 1,
        }
        Ok(())
    }

    /// Brings a journal. One that is there with fewer entries is gone on with.
    async fn copy_journal(
        &self,
        to: &Self,
        id: &str,
        report: &mut TransferReport,
    ) -> Result<(), StoreError> {
        let what = || format!("journal '{id}'");
        let Some(journal) = self.journal_read(id).await? else {
            let why = StoreError::UnknownJournal(id.to_owned()).to_string();
            report.problems.push(Problem { what: what(), why });
            return Ok(());
        };
        match to.journal_read(id).await? {
            None => to.inner.index.add_journal(&journal, 0).await?,
            Some(there) if !is_beginning_of(&there, &journal) => {
                // The longer one may be there already.
                if is_beginning_of(&journal, &there) {
                    report.journals_known += 1;
                } else {
                    let why = "another journal of that id is there; it stays as it is";
                    report.problems.push(Problem { what: what(), why: why.into() });
                }
                return Ok(());
            }
            Some(there) if there.events.len() == journal.events.len() => {
                report.journals_known += 1;
                return Ok(());
            }
            Some(there) => to.inner.index.add_journal(&journal, there.events.len()).await?,
        }
        report.journals += 1;
        Ok(())
    }
}

/// What was brought of a build.
struct Brought {
    /// Plain bytes of its files.
    bytes: u64,
    /// Whether all of its files came.
    is_whole: bool,
}

/// What a build says of itself, with its files by name.
fn draft_of(manifest: &Manifest, artifacts: Vec<(String, PathBuf)>) -> BuildDraft {
    BuildDraft {
        input: manifest.input.clone(),
        request_key: manifest.request_key,
        family_key: manifest.family_key,
        commit: manifest.commit.clone(),
        result: manifest.result.clone(),
        artifacts,
        compiler: manifest.compiler.clone(),
        seconds: manifest.seconds,
    }
}

/// Whether one journal is the beginning of another.
fn is_beginning_of(short: &Journal, long: &Journal) -> bool {
    (&short.kind, &short.header, short.created) == (&long.kind, &long.header, long.created)
        && long.events.starts_with(&short.events)
}

/// What a manifest says that its files don't. Signatures of another version can't be compared.
fn difference(said: &Manifest, made: &Manifest) -> Option<String> {
    if said.input_key != made.input_key {
        return Some("its input has another key".into());
    }
    if said.artifacts != made.artifacts || said.build_id != made.build_id {
        return Some("it does not describe its files".into());
    }
    let wrong = said.signatures.0.iter().find(|(kind, signature)| {
        made.signatures
            .get(**kind)
            .is_none_or(|made| made.version == signature.version && made.hash != signature.hash)
    });
    wrong.map(|(kind, _)| format!("its {kind} signature is not that of its files"))
}
