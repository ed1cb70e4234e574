//! Sets of options as kernels: built, run, and what was seen of them.

use std::sync::Arc;
use std::time::Instant;

use kiln_builder::{Config, Request};
use kiln_cache::Manifest;
use kiln_cache::evidence::Counts;
use kiln_cache::manifest::BuildResult;

use super::answer::{Found, Tried};
use super::search::ConfigSearch;
use crate::belief;
use crate::bisection::BisectError;
use crate::bisection::batch::{Batch, Ran};
use crate::bisection::budget::build_in_time;
use crate::bisection::knowledge::{boots, judging};
use crate::record::{Commit, Obtained, Source};
use crate::watch::Happening;

impl ConfigSearch {
    /// The end of the search, when this place can't be tested.
    pub(super) fn unusable(&self, place: usize) -> Option<Found> {
        let why = self.answer.tried[place].unusable.clone()?;
        let which = if place == 0 { "the configuration" } else { "the baseline" };
        // What does not build never ran.
        let builds = self.counts[place].total() > 0;
        Some(Found::Unusable { which: which.into(), why, builds })
    }

    /// Runs of a tried set, for and against the target.
    pub(super) fn told(&self, place: usize) -> belief::Counts {
        let counts = &self.counts[place];
        let seen = self.target.as_ref().map(|target| target.informative(counts));
        let seen = seen.unwrap_or_default();
        belief::Counts {
            crashes: seen.target,
            clean: seen.clean,
            censored: counts.total() - counts.infra - seen.target - seen.clean,
        }
    }

    pub(super) fn request(&self, config: Config) -> Request {
        Request {
            repository: self.question.repository.clone(),
            revision: self.question.revision.clone(),
            config: Some(config),
            how: self.question.how.clone(),
            jobs: self.question.limits.jobs,
            strict_config: false,
        }
    }

    pub(super) async fn build(
        &mut self,
        name: &str,
        config: Config,
    ) -> Result<(Manifest, Obtained), BisectError> {
        let commit = Commit { id: self.question.revision.commit.clone(), subject: name.to_owned() };
        self.watch.happening(Happening::Chosen { commit: &commit, why: "", runs: 0 });
        let begun = Instant::now();
        let request = self.request(config);
        // What the store has takes no time worth a word.
        let is_known = self.builder.is_answered(&request).await?;
        let deadline = if is_known { None } else { self.deadline() };
        let build = async { Ok(self.builder.build(&request).await?) };
        let built = build_in_time(deadline, &self.stages, &commit.id, build).await?;
        let record = crate::bisection::record_of(&built, begun);
        self.watch.happening(Happening::Built { commit: &commit, build: &record });
        match record.obtained {
            Obtained::Compiled => self.answer.builds_compiled += 1,
            Obtained::Input
            | Obtained::Closure
            | Obtained::Commands
            | Obtained::Tokens
            | Obtained::Objects => self.answer.builds_avoided += 1,
        }
        Ok((built.manifest, record.obtained))
    }

    /// The configuration as the tree completed it; as given when builds keep none.
    pub(super) async fn completed(
        &self,
        manifest: &Manifest,
        given: &Config,
    ) -> Result<String, BisectError> {
        let Some(artifact) = manifest.artifact(".config") else {
            return Ok(given.text().to_owned());
        };
        let reader = self.store.reader(&artifact.digest).await?;
        let bytes = reader.read(0..reader.size()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Takes note of a set's build. Returns its place in the list.
    pub(super) fn note(&mut self, set: Vec<usize>, built: (Manifest, Obtained)) -> Option<usize> {
        let (manifest, obtained) = built;
        let unusable = match &manifest.result {
            BuildResult::Built => None,
            BuildResult::Failed { errors } => Some(format!(
                "it does not build ({})",
                errors.first().map_or("no error was found in the log", String::as_str)
            )),
        };
        let place = self.answer.tried.len();
        self.places.insert(set.clone(), place);
        self.counts.push(Counts::default());
        self.answer.tried.push(Tried {
            options: set,
            build: manifest.input_key,
            obtained,
            target: 0,
            clean: 0,
            other: 0,
            known_runs: 0,
            probability: 0.5,
            unusable,
        });
        Some(place)
    }

    /// Runs a set's image; what the store has of it counts first, and may be enough.
    pub(super) async fn test(
        &mut self,
        place: usize,
        config: Config,
        runs: u32,
    ) -> Result<(), BisectError> {
        let built = self.builder.build(&self.request(config)).await?;
        let manifest = built.manifest;
        let Some(image) = manifest.image() else { return Ok(()) };
        let tester = match &self.tester {
            Some(tester) => Arc::clone(tester),
            None => {
                let limits = &self.question.limits;
                let tester = self
                    .prepared
                    .tester(
                        limits,
                        &self.store,
                        &self.work,
                        &self.kernels,
                        &manifest,
                        &self.patterns,
                    )
                    .await?;
                Arc::clone(self.tester.insert(Arc::new(tester)))
            }
        };
        let fresh = self.counts[place].total() == 0 && self.answer.tried[place].known_runs == 0;
        let known = match fresh {
            true => self.store.runs(&image, &tester.key()).await?,
            false => Vec::new(),
        };
        if !known.is_empty() {
            self.answer.runs_avoided += known.len() as u32;
            self.answer.tried[place].known_runs = known.len() as u32;
            let mut counts = Counts::default();
            known.iter().for_each(|run| counts.add(&run.outcome, 1));
            // Boots that were too slow elsewhere are no reason not to try here.
            self.counts[place] = judging(counts, None);
        } else {
            let files = tester.place(&self.store, &image, &manifest, &self.kernels).await?;
            let batch = Batch {
                store: self.store.clone(),
                tester,
                image,
                commit: self.question.revision.commit.clone(),
                place: files,
                target: self.target.clone(),
                machines: self.question.limits.machines,
                most: self.runs_left().max(1),
                deadline: self.deadline(),
                has_run: self.answer.runs_made > 0,
            };
            let Ran { records, gave_up } = batch.run(runs, &*self.watch).await?;
            if let Some(failed) = gave_up {
                return Err(failed);
            }
            for run in records {
                debug_assert_eq!(run.source, Source::Booted);
                self.answer.runs_made += 1;
                self.counts[place].add(&run.outcome, 1);
            }
        }
        let counts = self.counts[place].clone();
        if !boots(&counts) {
            let title = counts.boot_failures.keys().next().cloned().unwrap_or_default();
            self.answer.tried[place].unusable = Some(format!("it does not boot ({title})"));
        }
        Ok(())
    }
}
