//! What the store knows already: builds, and what was seen of their images.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kiln_cache::Manifest;
use kiln_cache::evidence::Counts;
use kiln_cache::signature::ImageId;

use super::error::BisectError;
use super::knowledge::Known;
use super::made::errors_of;
use super::setup::Bisection;
use crate::plan::Place;
use crate::record::{BuildRecord, Event, Obtained, RunRecord, Source, Span, Step};
use crate::tester::Tester;
use crate::watch::Happening;

impl Bisection {
    /// Asks the store about every revision of the range at once.
    pub(super) async fn recall_builds(&mut self) -> Result<(), BisectError> {
        let places: Vec<Place> = self.places().collect();
        let mut keys = Vec::with_capacity(places.len());
        for place in &places {
            keys.push(self.builder.request_key(&self.request(*place))?);
        }
        let known = self.builder.known_of(&keys).await?;
        let mut spread = HashSet::new();
        for (place, key) in places.into_iter().zip(&keys) {
            let Some(build) = known.get(key) else { continue };
            let learned = match build.image {
                Some(image) => Known::Built { image, seconds: build.seconds },
                None => Known::Broken,
            };
            self.settle(place, learned, build.input_key);
            let commit = self.commit(place);
            if let Some(span) = self.left_behind.remove(&commit.id)
                && let Some(manifest) = self.builder.known(&self.request(place)).await?
                && was_compiled(&manifest, &commit.id, span)
                && self.builder.provenance(&manifest).await?.is_none_or(|it| it.stage.is_none())
            {
                // The process that compiled it was killed before it wrote that down.
                self.knowledge.spent.builds += 1;
                self.write(Event::Compiled { commit, seconds: build.seconds }).await?;
            }
            if spread.insert(build.input_key)
                && let Some(manifest) = self.builder.known(&self.request(place)).await?
            {
                self.spread(place, &manifest).await?;
            }
        }
        Ok(())
    }

    /// Loads all evidence of this test for the images of the range, and writes down what it was.
    pub(super) async fn recall_evidence(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<(), BisectError> {
        let images = self.knowledge.images();
        let evidence = self.store.evidence_of(&images, &tester.key()).await?;
        // Twins are many: the runs of each image are loaded once.
        let mut recalled: HashMap<ImageId, Vec<RunRecord>> = HashMap::new();
        for image in evidence.keys() {
            recalled.insert(*image, self.recall_runs(tester, *image).await?);
        }
        let places: Vec<Place> = self.places().collect();
        let (mut builds_known, mut evidence_known) = (0, 0);
        for place in places {
            let Some(known) = self.knowledge.build(place) else { continue };
            builds_known += 1;
            let runs = match known {
                Known::Built { image, .. } => match recalled.get(&image) {
                    Some(runs) => {
                        evidence_known += 1;
                        Some(runs)
                    }
                    // A build that nobody has run says nothing yet.
                    None => continue,
                },
                Known::Broken => None,
            };
            // What was only proved has no manifest of its own, and no step either; on a long range
            // that is nearly all, so nobody is asked about it.
            if self.knowledge.is_proved(place) {
                continue;
            }
            let Some(manifest) = self.builder.known(&self.request(place)).await? else { continue };
            let mut runs = runs.cloned().unwrap_or_default();
            let commit = self.commit(place);
            if let Some(recorded) = self.recorded.get(&commit.id) {
                // Goes on after a stop: the record has it, but perhaps not the last runs.
                runs.retain(|run| run.id.is_none_or(|id| !recorded.contains(&id)));
                self.shown.insert(place);
                if runs.is_empty() {
                    continue;
                }
            }
            let step = Step {
                commit,
                why: "the store knew it".into(),
                recalled: true,
                build: BuildRecord {
                    obtained: Obtained::Input,
                    input_key: manifest.input_key,
                    compiler: manifest.compiler.clone(),
                    seconds: 0.0,
                    compile_seconds: manifest.seconds,
                    errors: errors_of(&manifest),
                    notes: std::mem::take(&mut self.notes),
                    signatures: manifest.signatures,
                },
                runs,
                probability_bad: None,
                credible: None,
            };
            self.shown.insert(place);
            self.remember(&step.commit.id, &step.runs);
            self.write(Event::Step(step)).await?;
        }
        if self.walking() {
            return Ok(());
        }
        let commits = self.history.commits.len();
        self.watch.happening(Happening::Range { commits, builds_known, evidence_known });
        self.write(Event::Range { commits, builds_known, evidence_known }).await
    }

    /// Loads what was seen of images of which nothing is known here.
    pub(super) async fn recall_unseen_images(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<(), BisectError> {
        let mut images = self.knowledge.images();
        images.retain(|image| self.knowledge.counts(*image) == Counts::default());
        let evidence = self.store.evidence_of(&images, &tester.key()).await?;
        for image in evidence.keys() {
            self.recall_runs(tester, *image).await?;
        }
        Ok(())
    }

    /// All that was ever seen of an image under this test.
    pub(super) async fn recall_runs(
        &mut self,
        tester: &Arc<Tester>,
        image: ImageId,
    ) -> Result<Vec<RunRecord>, BisectError> {
        let runs = self.store.runs(&image, &tester.key()).await?;
        let mut counts = Counts::default();
        for run in &runs {
            counts.add(&run.outcome, 1);
            self.knowledge.learn_run_seconds(run.seconds);
        }
        self.knowledge.learn_counts(image, counts);
        Ok(runs.into_iter().map(|run| self.recalled(run)).collect())
    }

    /// Takes note of what the record has of a revision.
    pub(super) fn remember(&mut self, commit: &str, runs: &[RunRecord]) {
        let recorded = self.recorded.entry(commit.to_owned()).or_default();
        recorded.extend(runs.iter().filter_map(|run| run.id));
    }

    /// The record of a run that the store knows. What ran after this bisection was begun and before
    /// this process went on with it, and is not in the record, was made by the process that was
    /// killed: it was paid for here. (Or by another bisection at the same time; then this one says
    /// that it paid more than it did.)
    pub(super) fn recalled(&mut self, run: kiln_cache::Run) -> RunRecord {
        let own = self.interrupted.is_some_and(|(from, to)| (from..=to).contains(&run.finished))
            && !self.recorded.values().any(|ids| ids.contains(&run.id))
            && self.paid.insert(run.id);
        if own {
            self.knowledge.spent.runs += 1;
            self.before += run.seconds / self.header.limits.machines.max(1) as f64;
        }
        RunRecord {
            id: Some(run.id),
            outcome: run.outcome,
            seconds: run.seconds,
            source: if own { Source::Booted } else { Source::Evidence },
            console: run.console,
        }
    }
}

/// Whether a build that was begun for a commit, and whose end nobody wrote down, made this: what was
/// looked up was made before, or for another commit. (Or another bisection has made it at the same
/// time; then this one says that it paid more than it did.)
fn was_compiled(manifest: &Manifest, commit: &str, (from, to): Span) -> bool {
    manifest.commit == commit && (from..=to).contains(&manifest.created)
}
