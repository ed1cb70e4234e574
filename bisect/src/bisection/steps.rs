//! The loop: decide, carry out, write down.

use std::sync::Arc;
use std::time::Instant;

use kiln_builder::may_change_beyond_objects;
use kiln_cache::InputKey;
use kiln_cache::evidence::Counts;
use kiln_cache::manifest::{BuildResult, Manifest};

use super::batch::Batch;
use super::error::BisectError;
use super::knowledge::{Belief, Known, Refuted, boots};
use super::running;
use super::setup::{Bisection, blocking};
use super::verdict_of::verdict_of;
use crate::belief::Find;
use crate::picture::{Forecast, Picture, Seen};
use crate::plan::{self, Beside, Cleared, Decision, Place, Settings, Spent};
use crate::record::{BuildRecord, Decided, Event, Obtained, Record, RunRecord, Step};
use crate::rows::Rows;
use crate::tester::Tester;
use crate::title::{self, Learning, Target};
use crate::verdict::Verdict;
use crate::watch::{Happening, Paid};

/// Runs of the bad end at a time while nobody knows the title.
const LEARNING_BATCH: u32 = 8;

/// What a revision's build is, once asked for.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) manifest: Manifest,
    pub(super) record: BuildRecord,
}

impl Bisection {
    /// Goes on until there is an answer, and returns the record.
    pub async fn run(mut self) -> Result<Record, BisectError> {
        self.recall_builds().await?;
        let bad_end = self.bad_end();
        if self.knowledge.build(bad_end).is_none() {
            let commit = self.commit(bad_end);
            let why = "the bad end: what it reads tells which commits matter";
            self.watch.happening(Happening::Chosen { commit: &commit, why, runs: 0 });
        }
        let made = self.build(bad_end).await?;
        if let BuildResult::Failed { errors } = &made.manifest.result {
            let why = format!(
                "it does not build ({})",
                errors.first().map_or("no error was found in the log", String::as_str)
            );
            self.write_build_only(bad_end, "the bad end must build", made.record).await?;
            let commit = self.commit(bad_end);
            return self.finish(Verdict::EndUnusable { commit, why }).await;
        }
        let tester = Arc::new(self.make_tester(&made.manifest).await?);
        self.recall_evidence(&tester).await?;
        if self.target.is_none()
            && let Some(verdict) = self.learn_title(&tester).await?
        {
            return self.finish(verdict).await;
        }
        loop {
            self.learn_ended(&tester).await?;
            if let Some(verdict) = self.walk(&tester).await? {
                return self.finish(verdict).await;
            }
            self.learn_blamed(&tester).await?;
            let target = self.target()?.clone();
            let (decision, beside) = self.decide(&target).await?;
            match decision {
                Decision::Test(test) => {
                    if let Some(verdict) = self.too_dear(&target, &test).await? {
                        return self.finish(verdict).await;
                    }
                    if self.prepare(&tester, &test, beside).await? {
                        self.visit(&tester, test.revision, test.runs, &test.why).await?
                    }
                }
                Decision::Stop(answer) => {
                    if self.walks_on(&tester, &target, &answer).await? {
                        continue;
                    }
                    if let Some((place, runs)) = self.doubtful_branch(&target, &answer).await? {
                        let why = "shows whether the bug was there before this branch forked off: \
                                   only then can the branch be searched for the fix";
                        self.visit(&tester, place, runs, why).await?;
                        continue;
                    }
                    let mut findings = Vec::new();
                    if let plan::Verdict::Culprit { commit, parents, rate, .. } = &answer {
                        if self.found_no_change(*commit).await? {
                            continue;
                        }
                        self.end_builds().await?;
                        self.show_parents(&tester, parents).await?;
                        findings = self.findings(&tester, *commit, parents, rate.mean).await?;
                    }
                    let verdict = verdict_of(&self, &target, answer, findings);
                    return self.finish(verdict).await;
                }
            }
        }
    }

    /// What to run before the search for a fix gives up: the planner leaves out branches that may
    /// never have had the bug.
    async fn doubtful_branch(
        &self,
        target: &Target,
        answer: &plan::Verdict,
    ) -> Result<Option<(Place, u32)>, BisectError> {
        let plan::Verdict::Inconclusive { set, contradiction: false, .. } = answer else {
            return Ok(None);
        };
        let Some(belief) = self.belief().await? else { return Ok(None) };
        let suspects: Vec<u32> = set.commits.iter().map(|(commit, _)| *commit).collect();
        let needed = plan::clean_runs(belief.rate(), Settings::default().parent_doubt);
        let found = self.knowledge.doubtful_branch(&suspects, target, needed);
        let allowed =
            found.filter(|(place, runs)| self.forbidden(self.needs_build(*place), *runs).is_none());
        Ok(allowed.map(|(place, runs)| (place, runs.min(self.runs_left()))))
    }

    pub(super) fn target(&self) -> Result<&Target, BisectError> {
        self.target.as_ref().ok_or_else(|| BisectError::Task("no target".into()))
    }

    /// Asks the planner, off the async threads: a large range takes it a while.
    async fn decide(&mut self, target: &Target) -> Result<(Decision, Beside), BisectError> {
        let mut problem = self.knowledge.problem(target, self.header.limits.machines);
        problem.building = self.workshop.building(problem.costs.build_seconds);
        let builders = self.header.limits.builders;
        let settings = self.settings();
        let (problem, decision, beside) = blocking(move || {
            let decision = plan::decide(&problem, &settings)?;
            let beside = plan::beside(&problem, &settings, builders, &decision)?;
            Ok((problem, decision, beside))
        })
        .await?;
        let before = self.decided.as_ref().map(|(problem, settings)| (problem, settings));
        let made = (decision.clone(), beside.clone());
        let decided = Decided::since(before, &problem, &settings, made);
        self.write(Event::Decided(Box::new(decided))).await?;
        let costs = problem.costs;
        self.decided = Some((problem, settings));
        if let Decision::Test(test) = &decision
            && let Some(picture) = self.picture().await?
        {
            let machines = self.header.limits.machines as u32;
            let left = Forecast::of(&picture, test, &costs, machines);
            let Spent { builds, runs } = self.knowledge.spent;
            let spent = Paid { builds, runs, seconds: self.elapsed() };
            self.watch.happening(Happening::Stands { picture: &picture, spent, left });
            if let (false, Some(left)) = (self.expected, left) {
                self.expected = true;
                self.write(Event::Expected { left }).await?;
            }
        }
        Ok((decision, beside))
    }

    /// How the planner is steered.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            model: self.model(),
            threshold: self.header.limits.confidence,
            max_builds: self.header.limits.max_builds,
            max_runs: self.header.limits.max_runs,
            ..Settings::default()
        }
    }

    /// How the bisection stands; nothing while the target is not known.
    async fn picture(&self) -> Result<Option<Picture>, BisectError> {
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

    /// The title that the bad end shows most; or the answer, when it shows none.
    async fn learn_title(&mut self, tester: &Arc<Tester>) -> Result<Option<Verdict>, BisectError> {
        let bad_end = self.bad_end();
        loop {
            let counts = match self.knowledge.build(bad_end) {
                Some(Known::Built { image, .. }) => self.knowledge.judging(image),
                _ => Counts::default(),
            };
            if !boots(&counts) {
                let title = counts.boot_failures.keys().next().cloned().unwrap_or_default();
                let why = format!("it does not boot ({title})");
                return Ok(Some(Verdict::EndUnusable { commit: self.commit(bad_end), why }));
            }
            match title::learn(&counts) {
                Learning::Title(title) => {
                    self.watch.happening(Happening::TitleLearned { title: &title });
                    self.target = Some(Target::learned(&title));
                    self.write(Event::TitleLearned { title }).await?;
                    return Ok(None);
                }
                Learning::Tie(titles) => {
                    let why = format!(
                        "the bad end shows several crashes equally often: {}; say with --title \
                         which to hunt",
                        titles.join(", ")
                    );
                    return Ok(Some(Verdict::Inconclusive {
                        credible: Vec::new(),
                        older: 0.0,
                        why,
                        more: None,
                        contradiction: false,
                    }));
                }
                Learning::NothingCrashes => {
                    let crashes = title::ranked(&counts.crashes);
                    return Ok(Some(Verdict::NotReproduced { clean: counts.ok, crashes }));
                }
                Learning::RunMore => {
                    let left = self.runs_left();
                    let late = self.is_late_in(0.0);
                    if left == 0 || late {
                        let why =
                            "the budget is used up before a crash was seen often enough".into();
                        return Ok(Some(Verdict::Inconclusive {
                            credible: Vec::new(),
                            older: 0.0,
                            why,
                            more: None,
                            contradiction: false,
                        }));
                    }
                    let why = "shows which crash the reproducer provokes, and how often";
                    self.visit(tester, bad_end, LEARNING_BATCH.min(left), why).await?;
                }
            }
        }
    }

    /// One step: get the build, and run its image unless the store knows better.
    pub(super) async fn visit(
        &mut self,
        tester: &Arc<Tester>,
        place: Place,
        runs: u32,
        why: &str,
    ) -> Result<(), BisectError> {
        let commit = self.commit(place);
        self.watch.happening(Happening::Chosen { commit: &commit, why, runs });
        let known_before = self.knowledge.build(place);
        let made = self.build(place).await?;
        let Some(image) = made.manifest.image() else {
            return self.write_build_only(place, why, made.record).await;
        };
        // A build that is new to this bisection may be the twin of one that has run before.
        if known_before.is_none() || known_before != self.knowledge.build(place) {
            let recalled = self.recall_runs(tester, image).await?;
            if !recalled.is_empty() {
                return self.write_step(place, why, made.record, recalled).await;
            }
        }
        // Once is enough to learn whether an image that timed out elsewhere boots here.
        let runs = if self.knowledge.doubted(image) { 1 } else { runs };
        let folder = self.kernels();
        let files = tester.place(&self.store, &image, &made.manifest, &folder).await?;
        let (store, watch) = (self.store.clone(), Arc::clone(&self.watch));
        let target = self.target.clone();
        let machines = self.header.limits.machines;
        let batch = async {
            let batch = Batch {
                store: &store,
                tester,
                image,
                commit: &commit.id,
                place: &files,
                target: target.as_ref(),
                machines,
            };
            batch.run(runs, &*watch).await
        };
        let records = self.beside(batch).await?;
        let mut counts = self.knowledge.counts(image);
        for run in &records {
            counts.add(&run.outcome, 1);
            self.knowledge.learn_run_seconds(run.seconds);
            self.knowledge.spent.runs += 1;
        }
        self.knowledge.learn_counts(image, counts);
        self.knowledge.learn_tried(image);
        self.write_step(place, why, made.record, records).await
    }

    /// A parent may have been cleared (or found untestable) by the runs of its twins alone. The
    /// record shows it all the same, with its signature and those runs: nothing is compiled or
    /// booted for that.
    async fn show_parents(
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

    /// The build of a revision, from the store or compiled; asked for once.
    pub(super) async fn build(&mut self, place: Place) -> Result<Made, BisectError> {
        self.wait_for(place).await?;
        if let Some(made) = self.made.get(&place) {
            return Ok(made.clone());
        }
        let begun = Instant::now();
        let (builder, request) = (Arc::clone(&self.builder), self.request(place));
        let built = self.beside(async move { Ok(builder.build(&request).await?) }).await?;
        let record = record_of(&built, begun);
        if record.obtained == Obtained::Compiled {
            self.knowledge.spent.builds += 1;
            let (commit, seconds) = (self.commit(place), record.seconds);
            self.write(Event::Compiled { commit, seconds }).await?;
        }
        self.learn_built(place, built.manifest, record).await
    }

    /// Learns all that a revision's build says.
    pub(super) async fn learn_built(
        &mut self,
        place: Place,
        manifest: Manifest,
        record: BuildRecord,
    ) -> Result<Made, BisectError> {
        self.knowledge.learn_code(place, &manifest.signatures, &manifest.artifacts);
        if let Place::Commit(commit) = place {
            let edges = Arc::clone(&self.edges);
            let asked = move || Ok(may_change_beyond_objects(&edges, commit as usize)?);
            if blocking(asked).await? {
                self.knowledge.learn_beyond(commit);
            }
        }
        self.settle(place, known_of(&manifest), manifest.input_key);
        let commit = self.commit(place);
        self.watch.happening(Happening::Built { commit: &commit, build: &record });
        self.spread(place, &manifest).await?;
        let made = Made { manifest, record };
        self.made.insert(place, made.clone());
        Ok(made)
    }

    /// Takes note of a revision's own build, and says so when something else was known of it.
    pub(super) fn settle(&mut self, place: Place, known: Known, key: InputKey) {
        if let Some(refuted) = self.knowledge.settle(place, known, key) {
            self.note(place, refuted);
        }
    }

    /// Says loudly what must not be, and keeps it for the notes of the next step.
    fn note(&mut self, place: Place, Refuted(why): Refuted) {
        let commit = self.commit(place).id;
        tracing::error!(%commit, %why, "a build is not what was known of it; this is a bug in Kiln");
        self.notes.push(format!("at {commit}: {why}"));
    }

    /// Learns of all commits that a build's closure proves to give the same.
    pub(super) async fn spread(
        &mut self,
        place: Place,
        manifest: &Manifest,
    ) -> Result<(), BisectError> {
        // The good end is not a commit of the range: it has no edges there.
        let Place::Commit(start) = place else { return Ok(()) };
        let class = self.builder.same_class(&self.edges, start as usize, manifest).await?;
        if let Some(same) = self.fault_of(start as usize, manifest).await? {
            let commits = class.iter().map(|index| *index as u32);
            self.knowledge.faults.extend(commits.map(|commit| (commit, same.clone())));
        }
        let class: Vec<Place> =
            class.into_iter().map(|index| Place::Commit(index as u32)).collect();
        let learned = self.knowledge.learn_proved(&class, known_of(manifest), manifest.input_key);
        let others = learned.unwrap_or_else(|refuted| {
            self.note(place, refuted);
            0
        });
        if others > 0 {
            let commit = self.commit(place);
            self.watch.happening(Happening::Proved { commit: &commit, others });
            self.write(Event::Proved { commit, others }).await?;
        }
        self.suspect(manifest).await
    }

    /// When a build failed in a file of the sources: the commits in which that file is the same.
    async fn fault_of(&self, at: usize, manifest: &Manifest) -> Result<Option<Rows>, BisectError> {
        let BuildResult::Failed { errors } = &manifest.result else { return Ok(None) };
        let Some(path) = errors.first().and_then(|error| blamed(error)) else { return Ok(None) };
        let (edges, path) = (Arc::clone(&self.edges), path.to_owned());
        let same = blocking(move || Ok(edges.same_file(at, &path)?)).await?;
        Ok(same.map(|same| {
            let pairs = same.iter().zip(0u32..);
            Rows::of(pairs.filter(|(same, _)| **same).map(|(_, commit)| commit))
        }))
    }

    /// Learns which commits change nothing that a build reads.
    async fn suspect(&mut self, manifest: &Manifest) -> Result<(), BisectError> {
        if self.walking() || !self.untouched.is_new(manifest.input_key) {
            return Ok(());
        }
        let left = self.untouched.left(|| self.edges.all());
        if let Some(left) = self.builder.unnoticed(&self.edges, left, manifest).await? {
            self.untouched.narrow(left);
            self.knowledge.untouched = self.untouched.commits();
            let (commits, of) = (self.knowledge.untouched.len(), self.history.commits.len());
            self.watch.happening(Happening::Untouched { commits, of });
        }
        Ok(())
    }

    async fn write_build_only(
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
        let (model, holds) = (self.model(), self.knowledge.holds.clone());
        blocking(move || Ok(Some(Belief::of(&problem, &model, &holds)))).await
    }

    /// Writes the answer down and reads the whole record back.
    async fn finish(mut self, verdict: Verdict) -> Result<Record, BisectError> {
        self.end_builds().await?;
        let tested = match self.belief().await? {
            None => self.releases_bad(),
            Some(belief) => self
                .places()
                .filter(|place| self.knowledge.build(*place).is_some())
                .filter_map(|place| Some((self.commit(place).id, belief.bad(place)?)))
                .collect(),
        };
        let tested = self.with_bad_end(tested);
        let picture = self.picture().await?.map(Box::new);
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

    /// The good end and every commit of the range.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let commits = self.history.commits.len() as u32;
        std::iter::once(Place::Base).chain((0..commits).map(Place::Commit))
    }

    /// Where the kernels under test of this bisection lie, pulled from the store.
    pub(super) fn kernels(&self) -> std::path::PathBuf {
        running::kernels(&self.work, &self.id)
    }
}

/// A build that was asked for at `begun`, as records keep it.
pub(crate) fn record_of(built: &kiln_builder::Built, begun: Instant) -> BuildRecord {
    let manifest = &built.manifest;
    BuildRecord {
        obtained: built.obtained.into(),
        input_key: manifest.input_key,
        signatures: manifest.signatures.clone(),
        compiler: manifest.compiler.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        compile_seconds: manifest.seconds,
        errors: errors_of(manifest),
        notes: built.notes.clone(),
    }
}

fn known_of(manifest: &Manifest) -> Known {
    match manifest.image() {
        Some(image) => Known::Built { image, seconds: manifest.seconds },
        None => Known::Broken,
    }
}

/// The file that a compiler's message begins with: "mm/mmap.c:81:3: error: ...".
fn blamed(error: &str) -> Option<&str> {
    let (path, rest) = error.split_once(':')?;
    let line = rest.split(':').next().unwrap_or_default();
    let numbered = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    numbered.then(|| path.trim_start_matches("./"))
}

pub(super) fn errors_of(manifest: &Manifest) -> Vec<String> {
    match &manifest.result {
        BuildResult::Built => Vec::new(),
        BuildResult::Failed { errors } if errors.is_empty() => {
            vec!["no error was found in the log; see build.log".into()]
        }
        BuildResult::Failed { errors } => errors.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::blamed;

    #[test]
    fn a_compilers_message_names_a_file() {
        assert_eq!(
            blamed("lib/argv_split.c:86:35: error: 'word' undeclared"),
            Some("lib/argv_split.c")
        );
        assert_eq!(blamed("./include/linux/list.h:7: error: x"), Some("include/linux/list.h"));
        for other in
            ["ld: vmlinux.o: undefined reference to `gone'", "make: *** [x] Error 1", "", "a:b"]
        {
            assert_eq!(blamed(other), None, "{other}");
        }
    }
}
