//! Steps carried out: get the build, and run its image unless the store knows better. One revision at a
//! time, or, where the planner asks for that, several side by side.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kiln_cache::evidence::Outcome;
use kiln_cache::signature::ImageId;
use tokio::task::JoinSet;

use super::batch::{Batch, Ran};
use super::error::BisectError;
use super::setup::Bisection;
use crate::plan::{Place, Test};
use crate::record::{BuildRecord, Commit};
use crate::tester::Tester;
use crate::watch::{Happening, Watch};

/// A revision that is ready to be run.
struct Ready {
    place: Place,
    commit: Commit,
    image: ImageId,
    build: BuildRecord,
    /// Folder of the files that a run needs.
    files: PathBuf,
    runs: u32,
    why: String,
}

impl Bisection {
    /// One step of one revision. Returns why it was not run as often as it was to be, if the host failed
    /// again and again.
    pub(super) async fn try_visit(
        &mut self,
        tester: &Arc<Tester>,
        place: Place,
        runs: u32,
        why: &str,
    ) -> Result<Option<BisectError>, BisectError> {
        let commit = self.commit(place);
        self.watch.happening(Happening::Chosen { commit: &commit, why, runs });
        let Some(ready) = self.ready(tester, place, runs, why).await? else { return Ok(None) };
        let (machines, most) = (self.header.limits.machines, self.runs_left().max(1));
        let (batch, watch) = (self.batch(tester, &ready, machines, most), Arc::clone(&self.watch));
        let ran = self.beside(batch.run(ready.runs, &*watch)).await?;
        self.learn_ran(ready, ran).await
    }

    /// A step of each of several revisions, run side by side. Those that the host failed to run are then
    /// visited by themselves, which tells why.
    pub(super) async fn visit_several(
        &mut self,
        tester: &Arc<Tester>,
        tests: &[Test],
    ) -> Result<(), BisectError> {
        let mut all = Vec::new();
        for test in tests {
            all.extend(self.ready(tester, test.revision, test.runs, &test.why).await?);
        }
        let commits: Vec<Commit> = all.iter().map(|ready| ready.commit.clone()).collect();
        self.watch.happening(Happening::SideBySide { commits: &commits });
        let watch = Arc::new(Together {
            watch: Arc::clone(&self.watch),
            done: AtomicU32::new(0),
            wanted: all.iter().map(|ready| ready.runs).sum(),
        });
        let most = (self.runs_left() / all.len().max(1) as u32).max(1);
        let mut flying = JoinSet::new();
        for (at, ready) in all.iter().enumerate() {
            // As many machines as runs: together they are all that there are.
            let (batch, runs) = (self.batch(tester, ready, ready.runs as usize, most), ready.runs);
            let watch = Arc::clone(&watch);
            flying.spawn(async move { (at, batch.run(runs, &*watch).await) });
        }
        let mut rans = self
            .beside(async {
                let mut rans = Vec::new();
                while let Some(joined) = flying.join_next().await {
                    let (at, ran) = joined.map_err(|error| BisectError::Task(error.to_string()))?;
                    rans.push((at, ran?));
                }
                Ok(rans)
            })
            .await?;
        rans.sort_by_key(|(at, _)| *at);
        let mut failed = Vec::new();
        for (ready, (_, ran)) in all.into_iter().zip(rans) {
            let (place, runs) = (ready.place, ready.runs);
            let (commit, why) = (&ready.commit, ready.why.as_str());
            self.watch.happening(Happening::Chosen { commit, why, runs });
            if self.learn_ran(ready, ran).await?.is_some() {
                failed.push((place, runs));
            }
        }
        for (place, runs) in failed {
            let why = "could not be run side by side with others";
            self.visit(tester, place, runs, why).await?;
        }
        Ok(())
    }

    /// Gets the build of a revision and the files of its image. Nothing when its step is written already:
    /// it does not build, or its image is known to have run before.
    async fn ready(
        &mut self,
        tester: &Arc<Tester>,
        place: Place,
        runs: u32,
        why: &str,
    ) -> Result<Option<Ready>, BisectError> {
        let known_before = self.knowledge.build(place);
        let made = self.build(place).await?;
        let Some(image) = made.manifest.image() else {
            self.write_build_only(place, why, made.record).await?;
            return Ok(None);
        };
        // A build that is new to this bisection may be the twin of one that has run before.
        if known_before.is_none() || known_before != self.knowledge.build(place) {
            let recalled = self.recall_runs(tester, image).await?;
            if !recalled.is_empty() {
                self.write_step(place, why, made.record, recalled).await?;
                return Ok(None);
            }
        }
        // Once is enough to learn whether an image that timed out elsewhere boots here.
        let runs = if self.knowledge.doubted(image) { 1 } else { runs };
        let files = tester.place(&self.store, &image, &made.manifest, &self.kernels()).await?;
        let (commit, build, why) = (self.commit(place), made.record, why.to_owned());
        Ok(Some(Ready { place, commit, image, build, files, runs, why }))
    }

    fn batch(&self, tester: &Arc<Tester>, ready: &Ready, machines: usize, most: u32) -> Batch {
        Batch {
            store: self.store.clone(),
            tester: Arc::clone(tester),
            image: ready.image,
            commit: ready.commit.id.clone(),
            place: ready.files.clone(),
            target: self.target.clone(),
            machines,
            most,
            deadline: self.deadline(),
            has_run: self.knowledge.has_run(),
        }
    }

    /// Takes note of runs. Returns why there are fewer than were wanted, if so.
    async fn learn_ran(
        &mut self,
        ready: Ready,
        ran: Ran,
    ) -> Result<Option<BisectError>, BisectError> {
        let (Ready { place, image, build, why, .. }, Ran { records, gave_up }) = (ready, ran);
        let before = self.knowledge.counts(image);
        let mut counts = before.clone();
        for run in &records {
            counts.add(&run.outcome, 1);
            self.knowledge.learn_run_seconds(run.seconds);
            self.knowledge.spent.runs += 1;
        }
        self.knowledge.learn_counts(image, counts);
        if records.iter().any(|run| !matches!(run.outcome, Outcome::Infra { .. })) {
            self.knowledge.learn_tried(image, before);
        }
        self.write_step(place, &why, build, records).await?;
        Ok(gave_up)
    }
}

/// Counts the runs of several batches as those of one.
struct Together {
    watch: Arc<dyn Watch>,
    done: AtomicU32,
    wanted: u32,
}

impl Watch for Together {
    fn happening(&self, happening: Happening<'_>) {
        match happening {
            Happening::Ran { outcome, .. } => {
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                self.watch.happening(Happening::Ran { outcome, done, wanted: self.wanted });
            }
            other => self.watch.happening(other),
        }
    }
}
