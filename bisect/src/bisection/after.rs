//! Once the planner names a commit: is it one at all, would it do to undo it, did it merely make
//! the bug visible?

use std::sync::Arc;
use std::time::Instant;

use kiln_builder::{Repository, Request, Reverted};
use kiln_cache::Manifest;
use kiln_cache::evidence::Counts;
use kiln_cache::signature::ImageId;

use super::batch::{Batch, Ran};
use super::budget::NO_TIME;
use super::error::BisectError;
use super::knowledge::Known;
use super::made::record_of;
use super::setup::{Bisection, blocking};
use crate::belief::Find;
use crate::detector::{Kernel, visible_only};
use crate::plan::{Cleared, Place, Settings, clean_runs};
use crate::record::{Commit, Event, Obtained, RunRecord, Step, TestSpec};
use crate::tester::Tester;
use crate::verdict::Finding;
use crate::watch::Happening;

/// Target crashes that show that a kernel is bad.
const CRASHES: u32 = 2;
/// Longest configuration, symbol table or reproducer that is looked at, in bytes.
const LONGEST: u64 = 64 << 20;

impl Bisection {
    /// Whether a commit that is to be named was just found to change nothing that runs: then the
    /// planner knows it now, and decides anew.
    pub(super) async fn found_no_change(&mut self, commit: u32) -> Result<bool, BisectError> {
        if self.knowledge.codes.unchanged().contains(&commit) {
            return Ok(false);
        }
        let parents = self.knowledge.codes.parents(commit);
        for place in parents.into_iter().chain([Place::Commit(commit)]) {
            // Builds that were met as the store's own were not looked at so far.
            if matches!(self.knowledge.build(place), Some(Known::Built { .. })) {
                self.build(place).await?;
            }
        }
        Ok(self.knowledge.codes.unchanged().contains(&commit))
    }

    /// What there is to say of a named commit beyond the runs of the range.
    pub(super) async fn findings(
        &mut self,
        tester: &Arc<Tester>,
        commit: u32,
        parents: &[Cleared],
        rate: f64,
    ) -> Result<Vec<Finding>, BisectError> {
        let mut findings = Vec::new();
        if let Some(parent) = parents.iter().find(|parent| parent.is_settled()) {
            let visibility = self.visibility(tester, Place::Commit(commit), parent.parent).await?;
            findings.extend(visibility);
        }
        if self.header.confirm_revert {
            findings.push(self.reverted(tester, commit, rate).await?);
        }
        Ok(findings)
    }

    /// Whether configuration, system calls or a check that the commit brings explain why only one of two
    /// kernels crashes.
    async fn visibility(
        &mut self,
        tester: &Tester,
        commit: Place,
        parent: Place,
    ) -> Result<Option<Finding>, BisectError> {
        let mut texts = Vec::new();
        for place in [commit, parent] {
            if !matches!(self.knowledge.build(place), Some(Known::Built { .. })) {
                return Ok(None);
            }
            let manifest = self.build(place).await?.manifest;
            texts.push((
                self.text_of(&manifest, ".config").await?,
                self.text_of(&manifest, "System.map").await?,
            ));
        }
        let source = self.test_source().await;
        fn kernel(texts: &(Option<String>, Option<String>)) -> Kernel<'_> {
            Kernel { config: texts.0.as_deref(), symbols: texts.1.as_deref() }
        }
        let (own, other) = (kernel(&texts[0]), kernel(&texts[1]));
        let mut reasons = match self.header.find {
            Find::Cause => visible_only(own, other, source.as_deref()),
            Find::Fix => visible_only(other, own, source.as_deref()),
        };
        if self.header.find == Find::Cause {
            reasons.extend(self.new_check(tester, commit, parent).await?);
        }
        Ok((!reasons.is_empty()).then_some(Finding::Visibility { reasons }))
    }

    /// What provokes the crash, as text.
    pub(super) async fn test_source(&self) -> Option<String> {
        match &self.header.test {
            TestSpec::Reproducer { path, .. } => tokio::fs::read_to_string(path).await.ok(),
            TestSpec::Command { command, .. } => Some(command.clone()),
        }
    }

    /// An artifact as text; none when the build has none of that name.
    pub(super) async fn text_of(
        &self,
        manifest: &Manifest,
        name: &str,
    ) -> Result<Option<String>, BisectError> {
        let Some(artifact) = manifest.artifact(name).filter(|it| it.size <= LONGEST) else {
            return Ok(None);
        };
        let reader = self.store.reader(&artifact.digest).await?;
        let bytes = reader.read(0..reader.size()).await?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Builds and runs the newer end without the commit.
    async fn reverted(
        &mut self,
        tester: &Arc<Tester>,
        commit: u32,
        rate: f64,
    ) -> Result<Finding, BisectError> {
        let named = self.commit(Place::Commit(commit)).id;
        let tip = self.history.tip.commit.clone();
        let from = self.header.repository.clone();
        // One for each repository, so that its objects are not piled up by each bisection.
        let name = blake3::hash(from.as_os_str().as_encoded_bytes()).to_hex();
        let beside = self.work.join("reverts").join(format!("{}.git", &name[..16]));
        let (beside, reverted) = blocking(move || {
            std::fs::create_dir_all(&beside)
                .map_err(|source| BisectError::Io { path: beside.clone(), source })?;
            Ok(Repository::open(&from)?.revert(&named, &tip, &beside)?)
        })
        .await?;
        let revision = match reverted {
            Reverted::Revision(revision) => revision,
            Reverted::Nothing => {
                let why = "later commits have undone it already".to_owned();
                return Ok(Finding::NotReverted { why });
            }
            Reverted::Conflicts(files) => {
                let why = format!("later commits changed the same lines of {}", files.join(", "));
                return Ok(Finding::NotReverted { why });
            }
        };
        let request = Request {
            repository: beside.path().to_owned(),
            revision,
            ..self.request(Place::Commit(commit))
        };
        self.run_reverted(tester, &request, rate).await
    }

    async fn run_reverted(
        &mut self,
        tester: &Arc<Tester>,
        request: &Request,
        rate: f64,
    ) -> Result<Finding, BisectError> {
        let commit = Commit {
            id: request.revision.commit.clone(),
            subject: request.revision.subject.clone(),
        };
        let needed = clean_runs(rate, Settings::default().parent_doubt);
        let build = self.builder.known(request).await?.is_none();
        if let Some(why) = self.forbidden(build, needed) {
            return Ok(Finding::NotReverted { why: why.to_owned() });
        }
        let why = "the newer end without the commit: it must behave like the other side";
        self.watch.happening(Happening::Chosen { commit: &commit, why, runs: needed });
        let begun = Instant::now();
        let deadline = if build { self.deadline() } else { None };
        let built = match self.build_until(deadline, commit.clone(), request.clone()).await {
            Err(BisectError::Late) => {
                return Ok(Finding::NotReverted { why: NO_TIME.to_owned() });
            }
            built => built?,
        };
        let record = record_of(&built, begun);
        self.watch.happening(Happening::Built { commit: &commit, build: &record });
        if record.obtained == Obtained::Compiled {
            self.knowledge.spent.builds += 1;
            let (commit, seconds) = (commit.clone(), record.seconds);
            self.write(Event::Compiled { commit, seconds }).await?;
        }
        let mut step = Step {
            commit: commit.clone(),
            why: why.to_owned(),
            recalled: false,
            build: record,
            runs: Vec::new(),
            probability_bad: None,
            credible: None,
        };
        let Some(image) = built.manifest.image() else {
            let why = format!(
                "the newer end does not build without it ({})",
                step.build.errors.first().map_or("no error was found in the log", String::as_str)
            );
            self.write(Event::Reverted(step)).await?;
            return Ok(Finding::NotReverted { why });
        };
        step.runs = self.runs_of(tester, image).await?;
        let target = self.target()?.clone();
        let folder = self.kernels();
        let files = tester.place(&self.store, &image, &built.manifest, &folder).await?;
        // Twice the clean runs may make up for one crash that came by chance.
        let (seen, holds) = loop {
            let counts = sum(&step.runs);
            let seen = target.informative(&counts);
            let other = counts.total() - counts.infra - seen.target - seen.clean;
            let bad = match (seen.target, seen.clean) {
                (n, _) if n >= CRASHES => Some(true),
                (0, clean) if clean >= needed => Some(false),
                (1, clean) if clean >= 2 * needed => Some(false),
                _ => None,
            };
            let missing = (needed * (1 + seen.target)).saturating_sub(seen.clean);
            let runs = missing.min(self.runs_left());
            if bad.is_some() || runs == 0 || other > 2 * needed {
                let holds = bad.map(|bad| bad == (self.header.find == Find::Fix));
                break ((seen, other), holds);
            }
            let batch = Batch {
                store: self.store.clone(),
                tester: Arc::clone(tester),
                image,
                commit: commit.id.clone(),
                place: files.clone(),
                target: Some(target.clone()),
                machines: self.header.limits.machines,
                most: self.runs_left(),
                deadline: None,
                has_run: self.knowledge.has_run(),
            };
            let Ran { records, gave_up } = batch.run(runs, &*self.watch).await?;
            self.knowledge.spent.runs += records.len() as u32;
            step.runs.extend(records);
            if let Some(failed) = gave_up {
                // The answer is there without it.
                let why = format!("the newer end without it can't be run: {failed}");
                self.watch.happening(Happening::StepDone { step: &step });
                self.write(Event::Reverted(step)).await?;
                return Ok(Finding::NotReverted { why });
            }
        };
        let ((seen, other), build) = (seen, step.build.input_key);
        self.watch.happening(Happening::StepDone { step: &step });
        self.write(Event::Reverted(step)).await?;
        Ok(Finding::Reverted {
            revision: commit,
            build,
            target: seen.target,
            clean: seen.clean,
            other,
            holds,
        })
    }

    /// All that was ever seen of an image that is none of the range's.
    async fn runs_of(
        &mut self,
        tester: &Arc<Tester>,
        image: ImageId,
    ) -> Result<Vec<RunRecord>, BisectError> {
        let runs = self.store.runs(&image, &tester.key()).await?;
        Ok(runs.into_iter().map(|run| self.recalled(run)).collect())
    }
}

fn sum(runs: &[RunRecord]) -> Counts {
    let mut counts = Counts::default();
    runs.iter().for_each(|run| counts.add(&run.outcome, 1));
    counts
}
