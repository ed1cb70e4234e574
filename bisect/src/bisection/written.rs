//! What the record and whoever watches are told: steps, how the bisection stands, the answer.

use std::sync::Arc;

use kiln_cache::evidence::Counts;

use super::error::BisectError;
use super::knowledge::{Belief, Known};
use super::running;
use super::setup::{Bisection, blocking};
use crate::belief::Find;
use crate::picture::{Picture, Seen};
use crate::plan::{Cleared, Place};
use crate::record::{BuildRecord, Event, Record, RunRecord, Step};
use crate::tester::Tester;
use crate::verdict::Verdict;
use crate::watch::Happening;

impl Bisection {
    /// How the bisection stands; nothing while the target is not known.
    pub(super) async fn picture(&self) -> Result<Option<Picture>, BisectError> {
        let (Some(belief), Some(target)) = (self.belief().await?, &self.target) else {
            return Ok(None);
        };
        let mut seen = Vec::new();
        for place in self.places() {
            if !self.made.contains_key(&place) && !self.shown.contains(&place) {
                continue;
            }
            let counts = match self.knowledge.build(place) {
                Some(Known::Built { image, .. }) => self.knowledge.judging(image),
                Some(Known::Broken) => Counts::default(),
                None => continue,
            };
            let told = target.informative(&counts);
            seen.push(Seen {
                commit: self.commit(place),
                at: place.commit(),
                crashes: told.target,
                clean: told.clean,
                other: counts.total() - told.target - told.clean,
                bad: belief.bad(place),
                broken: self.knowledge.build(place) == Some(Known::Broken),
            });
        }
        Ok(Some(belief.picture(|at| self.commit(Place::Commit(at)), seen)))
    }

    /// A parent may have been cleared (or found untestable) by the runs of its twins alone. The
    /// record shows it all the same, with its signature and those runs: nothing is compiled or
    /// booted for that.
    pub(super) async fn show_parents(
        &mut self,
        tester: &Arc<Tester>,
        parents: &[Cleared],
    ) -> Result<(), BisectError> {
        for parent in parents {
            let place = parent.parent;
            let Some(Known::Built { image, .. }) = self.knowledge.build(place) else { continue };
            if self.shown.contains(&place) {
                continue;
            }
            let made = self.build(place).await?;
            let runs = self.recall_runs(tester, image).await?;
            let why = match (parent.is_settled(), self.header.find) {
                (true, Find::Cause) => "a parent of the culprit, cleared by the runs of its image",
                (true, Find::Fix) => "a parent of the fix, shown bad by the runs of its image",
                (false, _) => "a parent, which could not be tested",
            };
            self.write_step(place, why, made.record, runs).await?;
        }
        Ok(())
    }

    pub(super) async fn write_build_only(
        &mut self,
        place: Place,
        why: &str,
        build: BuildRecord,
    ) -> Result<(), BisectError> {
        self.write_step(place, why, build, Vec::new()).await
    }

    pub(super) async fn write_step(
        &mut self,
        place: Place,
        why: &str,
        build: BuildRecord,
        runs: Vec<RunRecord>,
    ) -> Result<(), BisectError> {
        self.shown.insert(place);
        let belief = self.belief().await?;
        let mut build = build;
        build.notes.append(&mut self.notes);
        let commit = self.commit(place);
        self.remember(&commit.id, &runs);
        let walked = self.releases_bad().into_iter().find(|(id, _)| *id == commit.id);
        let step = Step {
            commit,
            why: why.to_owned(),
            recalled: false,
            build,
            runs,
            probability_bad: belief
                .as_ref()
                .and_then(|belief| belief.bad(place))
                .or(walked.map(|(_, bad)| bad)),
            credible: belief.as_ref().map(|belief| belief.credible),
        };
        self.watch.happening(Happening::StepDone { step: &step });
        self.write(Event::Step(step)).await
    }

    /// The posterior as it stands; none while the target is not known, or no range.
    pub(super) async fn belief(&self) -> Result<Option<Belief>, BisectError> {
        let Some(target) = self.target.as_ref().filter(|_| !self.walking()) else {
            return Ok(None);
        };
        let problem = self.knowledge.problem(target, self.header.limits.machines);
        let model = self.model();
        blocking(move || Ok(Some(Belief::of(&problem, &model)))).await
    }

    /// Writes the answer down and reads the whole record back.
    pub(super) async fn finish(mut self, verdict: Verdict) -> Result<Record, BisectError> {
        self.end_builds().await?;
        self.tell_doubts().await?;
        let tested = match self.belief().await? {
            None => self.releases_bad(),
            Some(belief) => self
                .places()
                // What was only proved to be another's build was not tested.
                .filter(|place| self.shown.contains(place))
                .filter_map(|place| Some((self.commit(place).id, belief.bad(place)?)))
                .collect(),
        };
        let tested = self.with_bad_end(tested);
        let picture = self.picture().await?.map(Box::new);
        let revisions = self.spared().await?;
        if !revisions.is_empty() {
            self.write(Event::Spared { revisions }).await?;
        }
        self.write(Event::Finished { verdict, tested, picture }).await?;
        // What stays behind is swept by the next bisection.
        if let Err(error) = tokio::fs::remove_dir_all(self.kernels()).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "kernels under test can't be removed");
        }
        self.watch.happening(Happening::Finished);
        let journal = self.store.journal_read(&self.id).await?;
        let journal = journal.ok_or_else(|| BisectError::Task("the record is gone".into()))?;
        Ok(Record::from_journal(journal)?)
    }

    /// The older end, every commit of the range, and where branches forked off before it.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let commits = (0..self.history.commits.len() as u32).map(Place::Commit);
        let forks = (0..self.history.forks.len() as u32).map(Place::Fork);
        std::iter::once(Place::Base).chain(commits).chain(forks)
    }

    /// Where the kernels under test of this bisection lie, pulled from the store.
    pub(super) fn kernels(&self) -> std::path::PathBuf {
        running::kernels(&self.work, &self.id)
    }
}
