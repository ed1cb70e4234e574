//! The walk back over releases, carried out, while no good end is known.
//!
//! To everything but the planner the releases are a small range of their own: the oldest is its older
//! end, the others and the bad end its commits. They are built, run, recalled and written down like any
//! revisions. Once a good end is found, the range between it and the oldest bad release takes its
//! place; and theirs again, should that good end turn out to be bad.

use std::collections::BTreeSet;
use std::sync::Arc;

use kiln_builder::closure::Edges;
use kiln_builder::{BuildError, Commit as Node, History, Repository};
use kiln_cache::signature::SignatureKind;

use super::budget::NO_TIME;
use super::error::BisectError;
use super::setup::{Bisection, blocking, graph_of};
use super::verdict_of::verdict_of;
use crate::belief::{Counts, Model};
use crate::picture::{ReleaseSeen, WalkPicture};
use crate::plan::{self, Place, Settings, State};
use crate::record::{Commit, Decided, Event, Header, Record, Release};
use crate::tester::Tester;
use crate::title::Target;
use crate::verdict::{MoreRuns, Verdict};
use crate::walk::{self, Decision, Problem, Range, Walked};
use crate::watch::{Happening, Paid};

/// Where the walk is.
#[derive(Clone)]
pub(super) struct Walk {
    /// The releases that may serve as a good end, newest first.
    releases: Vec<Release>,
    /// Tags of those that can't after all.
    skipped: BTreeSet<String>,
    /// While a range between releases is searched: the prior probability that its good end is bad.
    older: Option<f64>,
    /// Runs of the bad end, while a range is searched that it is not in.
    shown: Counts,
    /// The good end that was searched after last, by its commit, and the answer if it was found bad.
    last: Option<(String, Option<Verdict>)>,
}

impl Walk {
    /// For a question without a good end; goes on where `record`, if there is one, has stopped.
    pub(super) fn new(header: &Header, record: Option<&Record>) -> Option<Self> {
        let releases = header.releases.as_ref()?;
        let usable = |release: &&Release| release.left_out.is_none();
        let mut walk = Self {
            releases: releases.list.iter().filter(usable).cloned().collect(),
            skipped: BTreeSet::new(),
            older: None,
            shown: Counts::default(),
            last: None,
        };
        for (_, event) in record.iter().flat_map(|record| &record.events) {
            match event {
                Event::Skipped { release, .. } => {
                    walk.skipped.insert(release.clone());
                }
                Event::Walked(_) => walk.older = None,
                Event::Ends { good, bad, older } => {
                    walk.older = Some(*older);
                    walk.shown = record.map(|it| shown(it, bad)).unwrap_or_default();
                    walk.last = Some((good.id.clone(), None));
                }
                _ => {}
            }
        }
        Some(walk)
    }

    /// Whether no range is searched at the moment.
    pub(super) fn is_on(&self) -> bool {
        self.older.is_none()
    }

    /// Where a release lies in the range of releases.
    fn place(&self, release: usize) -> Place {
        match (self.releases.len() - 1).checked_sub(release + 1) {
            Some(at) => Place::Commit(at as u32),
            None => Place::Base,
        }
    }

    /// The releases and the bad end as a range of their own; no commit is proved to give another's build
    /// by what lies between two releases, so that is not looked at.
    pub(super) fn range(
        &self,
        repository: &Repository,
        bad: &Commit,
    ) -> Result<(History, Arc<Edges>), BisectError> {
        let base = self.releases.last().ok_or(BisectError::NoRelease)?;
        let newer = self.releases.iter().rev().skip(1).map(|release| &release.commit);
        let mut commits = Vec::with_capacity(self.releases.len());
        for commit in newer.chain([bad]) {
            let revision = repository.resolve(&commit.id)?;
            commits.push(Node {
                id: revision.commit,
                tree: revision.tree,
                parents: Vec::new(),
                outside: Vec::new(),
                subject: revision.subject,
                author: String::new(),
                time: 0,
            });
        }
        let (base, tip) = (repository.resolve(&base.commit.id)?, repository.resolve(&bad.id)?);
        let mut history = History { base, tip, commits, forks: Vec::new() };
        let edges = Arc::new(Edges::new(repository, &history));
        for (at, commit) in history.commits.iter_mut().enumerate() {
            match at.checked_sub(1) {
                Some(before) => commit.parents.push(before),
                None => commit.outside.push(history.base.commit.clone()),
            }
        }
        Ok((history, edges))
    }
}

/// Runs of the bad end that a record has, for a range that ends at an older one of another image.
fn shown(record: &Record, tip: &Commit) -> Counts {
    let Some(target) = record.matcher() else { return Counts::default() };
    let (mut counts, mut images) = (kiln_cache::evidence::Counts::default(), [None; 2]);
    for step in record.steps() {
        let ends = [&record.header.bad, tip];
        let Some(end) = ends.iter().position(|end| end.id == step.commit.id) else { continue };
        images[end] = step.build.signatures.get(SignatureKind::Image).copied();
        if end == 0 {
            step.runs.iter().for_each(|run| counts.add(&run.outcome, 1));
        }
    }
    let seen = target.informative(&counts);
    match images[0] == images[1] {
        true => Counts::default(),
        false => Counts { crashes: seen.target, clean: seen.clean, censored: 0 },
    }
}

/// An answer that says which release the good end is, where that is all that the bug is older than.
fn naming(verdict: Verdict, releases: &[Release], good: &str) -> Verdict {
    let found = releases.iter().find(|release| release.commit.id == good);
    match verdict {
        Verdict::OlderThanGood { probability, target, clean, release } => {
            let release = found.map(|found| found.name.clone()).or(release);
            Verdict::OlderThanGood { probability, target, clean, release }
        }
        other => other,
    }
}

impl Bisection {
    /// Whether the releases are walked over at the moment.
    pub(super) fn walking(&self) -> bool {
        self.walk.as_ref().is_some_and(Walk::is_on)
    }

    /// The world model. What the walk leaves of the good end's being bad is assumed of it, and how
    /// often the bad end crashes is known where the range does not hold it.
    pub(super) fn model(&self) -> Model {
        let model = Model::default();
        match &self.walk {
            Some(Walk { older: Some(older), shown, .. }) => {
                Model { older: *older, shown: *shown, ..model }
            }
            _ => model,
        }
    }

    /// Walks until there is a range to search, or the answer that there is none. Does nothing while a
    /// range is searched.
    pub(super) async fn walk(
        &mut self,
        tester: &Arc<Tester>,
    ) -> Result<Option<Verdict>, BisectError> {
        while self.walking() {
            self.settle_doubts(tester).await?;
            let target = self.target()?.clone();
            if let Some(decision) = self.bad_end_first(&target).await? {
                match decision {
                    plan::Decision::Test(test) => {
                        self.visit(tester, test.revision, test.runs, &test.why).await?;
                        continue;
                    }
                    plan::Decision::Stop(answer) => {
                        return Ok(Some(verdict_of(self, &target, answer, Vec::new())));
                    }
                }
            }
            let walked = self.next_release(&target).await?;
            if matches!(walked.decision, Decision::Oldest { .. } | Decision::NoneWorks) {
                self.name_too_old(&walked).await?;
            }
            match &walked.decision {
                Decision::Test(test) if self.is_late_in(test.expected_seconds) => {
                    let why = NO_TIME;
                    return Ok(Some(self.unfinished(why, Some(test))));
                }
                Decision::Test(test) => self.try_release(tester, test).await?,
                Decision::Search(range) => {
                    if let Some(verdict) = self.search(tester, &target, range).await? {
                        return Ok(Some(verdict));
                    }
                }
                Decision::Oldest { release, probability, crashes, clean } => {
                    let release = self.release(*release)?.name.clone();
                    let (probability, target, clean) = (*probability, *crashes, *clean);
                    let release = Some(release);
                    let verdict = Verdict::OlderThanGood { probability, target, clean, release };
                    return Ok(Some(verdict));
                }
                Decision::NoneWorks => {
                    let why = "no release before the bad end can be tested; give a --good that can";
                    return Ok(Some(self.unfinished(why, None)));
                }
                Decision::Spent { why, next } => {
                    return Ok(Some(self.unfinished(why, Some(next))));
                }
            }
        }
        Ok(None)
    }

    /// Whether an answer leads back to the releases instead of ending the bisection: the good end that
    /// the walk found is bad; or the release that it took for bad, by a crash that was chance, is not.
    pub(super) async fn walks_on(
        &mut self,
        tester: &Arc<Tester>,
        target: &Target,
        answer: &plan::Verdict,
    ) -> Result<bool, BisectError> {
        let Some(walk) = &self.walk else { return Ok(false) };
        match answer {
            plan::Verdict::OlderThanGood { .. } => {}
            plan::Verdict::NotReproduced { crashes, clean, .. } => {
                let tip = self.commit(self.bad_end()).id;
                let release = walk.releases.iter().position(|release| release.commit.id == tip);
                let Some(release) = release else { return Ok(false) };
                let runs = crashes + clean;
                let why = format!(
                    "shows the target in {crashes} of {runs} runs: too rarely to search before it"
                );
                self.skip(release, why).await?;
            }
            _ => return Ok(false),
        }
        let verdict = verdict_of(self, target, answer.clone(), Vec::new());
        let older = matches!(answer, plan::Verdict::OlderThanGood { .. });
        let Some(walk) = &mut self.walk else { return Ok(false) };
        walk.older = None;
        if let (true, Some((good, refuted))) = (older, &mut walk.last) {
            *refuted = Some(naming(verdict, &walk.releases, good));
        }
        let (walk, bad) = (walk.clone(), self.header.bad.clone());
        let path = self.header.repository.clone();
        let (history, edges) =
            blocking(move || walk.range(&Repository::open(&path)?, &bad)).await?;
        self.enter(history, edges, tester).await?;
        Ok(true)
    }

    /// What the bad end has to show before its ancestors are tried.
    async fn bad_end_first(
        &mut self,
        target: &Target,
    ) -> Result<Option<plan::Decision>, BisectError> {
        if self.walk.as_ref().is_none_or(|walk| walk.last.is_some()) {
            return Ok(None);
        }
        let mut problem = self.knowledge.problem(target, self.header.limits.machines);
        problem.seconds_left = self.seconds_left();
        let settings = self.settings();
        let Some(decision) = plan::bad_end_first(&problem, &settings)? else { return Ok(None) };
        let before = self.decided.as_ref().map(|(problem, settings)| (problem, settings));
        let decided = Decided::since(
            before,
            &problem,
            &settings,
            (decision.clone(), plan::Beside::default()),
        );
        self.write(Event::Decided(Box::new(decided))).await?;
        self.decided = Some((problem, settings));
        Ok(Some(decision))
    }

    /// Asks which release is next, and writes the decision down.
    async fn next_release(&self, target: &Target) -> Result<Walked, BisectError> {
        let (problem, settings) = (self.walk_problem(target), self.settings());
        let walked = blocking(move || Ok(walk::decide(&problem, &settings))).await?;
        self.write(Event::Walked(Box::new(walked.clone()))).await?;
        let picture = self.walk_picture(&walked);
        self.watch.happening(Happening::Walks { picture: &picture });
        Ok(walked)
    }

    /// The walk as its planner takes it.
    fn walk_problem(&self, target: &Target) -> Problem {
        let problem = self.knowledge.problem(target, self.header.limits.machines);
        let releases = self.walk.iter().flat_map(|walk| {
            walk.releases.iter().enumerate().map(|(at, release)| {
                let mut status = problem.status(walk.place(at));
                if walk.skipped.contains(&release.name) {
                    // One that has shown the target works, only too rarely.
                    status.state = match problem.counts(walk.place(at)).crashes {
                        0 => State::Untestable,
                        _ => State::Unclear,
                    };
                }
                walk::Release { back: release.back, status }
            })
        });
        Problem {
            releases: releases.collect(),
            bad_end: problem.status(problem.bad_end()).image,
            history: self
                .header
                .releases
                .as_ref()
                .map_or(0, |releases| walk::ages::whole(releases.history, releases.begins_late)),
            costs: problem.costs,
            machines: problem.machines,
            spent: problem.spent,
            images: problem.images,
        }
    }

    /// Probability that each release that was built is bad, by its commit; nothing while none is walked
    /// over.
    pub(super) fn releases_bad(&self) -> Vec<(String, f64)> {
        let (Some(walk), Some(target)) = (&self.walk, &self.target) else { return Vec::new() };
        if !walk.is_on() {
            return Vec::new();
        }
        let bad = walk::bad(&self.walk_problem(target), &Settings::default().model);
        let releases = walk.releases.iter().zip(bad).enumerate();
        releases
            .filter(|(at, _)| self.knowledge.build(walk.place(*at)).is_some())
            .map(|(_, (release, bad))| (release.commit.id.clone(), bad))
            .collect()
    }

    /// Probability that no release is good, as far as anything is known.
    fn all_bad(&self) -> f64 {
        let Some(target) = self.target.as_ref().filter(|_| self.walking()) else { return 0.0 };
        let bad = walk::bad(&self.walk_problem(target), &Settings::default().model);
        bad.last().copied().unwrap_or_default()
    }

    /// Adds the bad end, which is no revision of a range between older releases: it contains all of
    /// them, and is as bad as the worst.
    pub(super) fn with_bad_end(&self, mut tested: Vec<(String, f64)>) -> Vec<(String, f64)> {
        let bad_end = &self.header.bad.id;
        if self.walk.is_some() && !tested.iter().any(|(id, _)| id == bad_end) {
            let worst = tested.iter().map(|(_, bad)| *bad).reduce(f64::max);
            tested.extend(worst.map(|bad| (bad_end.clone(), bad)));
        }
        tested
    }

    fn release(&self, release: usize) -> Result<&Release, BisectError> {
        let found = self.walk.as_ref().and_then(|walk| walk.releases.get(release));
        found.ok_or_else(|| BisectError::Task("no such release".into()))
    }

    fn release_place(&self, release: usize) -> Place {
        self.walk.as_ref().map_or(Place::Base, |walk| walk.place(release))
    }

    async fn try_release(
        &mut self,
        tester: &Arc<Tester>,
        test: &walk::Test,
    ) -> Result<(), BisectError> {
        let place = self.release_place(test.release);
        let why = format!("{}, {}", self.release(test.release)?.name, test.why);
        match self.visit(tester, place, test.runs, &why).await {
            Err(BisectError::Build(
                error @ (BuildError::ConfigChanged(_) | BuildError::Outside { .. }),
            )) => self.skip(test.release, error.to_string()).await,
            done => done,
        }
    }

    /// Names the releases that nobody tries, because newer ones are too old.
    async fn name_too_old(&mut self, walked: &Walked) -> Result<(), BisectError> {
        let problem = &walked.problem;
        let Some(floor) = walk::too_old(problem, walked.settings.patience) else { return Ok(()) };
        let why = format!("not tried: {} and others fail alike", self.release(floor)?.name);
        let mut named = Vec::new();
        for (at, release) in problem.releases.iter().enumerate().skip(floor + 1) {
            if release.status.state == State::Unknown {
                named.push(self.release(at)?.name.clone());
            }
        }
        for release in &named {
            self.write(Event::Skipped { release: release.clone(), why: why.clone() }).await?;
        }
        if let (Some(newest), Some(oldest)) = (named.first(), named.last()) {
            let release = format!("{newest} to {oldest}");
            self.watch.happening(Happening::Skipped { release: &release, why: &why });
        }
        if let Some(walk) = &mut self.walk {
            walk.skipped.extend(named);
        }
        Ok(())
    }

    async fn skip(&mut self, release: usize, why: String) -> Result<(), BisectError> {
        let release = self.release(release)?.name.clone();
        self.watch.happening(Happening::Skipped { release: &release, why: &why });
        if let Some(walk) = &mut self.walk {
            walk.skipped.insert(release.clone());
        }
        self.write(Event::Skipped { release, why }).await
    }

    /// Goes over to the commits between two releases; unless the older can't show the crash, or was
    /// found bad before, which would go on for ever.
    async fn search(
        &mut self,
        tester: &Arc<Tester>,
        target: &Target,
        range: &Range,
    ) -> Result<Option<Verdict>, BisectError> {
        let place = self.release_place(range.good);
        if let Some(why) = self.cannot_show(target, place).await? {
            self.skip(range.good, why).await?;
            return Ok(None);
        }
        let good = self.release(range.good)?.commit.clone();
        let bad = match range.bad {
            Some(bad) => self.release(bad)?.commit.clone(),
            None => self.header.bad.clone(),
        };
        let problem = self.knowledge.problem(target, self.header.limits.machines);
        let ends =
            [problem.bad_end(), range.bad.map_or(problem.bad_end(), |it| self.release_place(it))];
        let shown = match ends.map(|end| problem.status(end).image) {
            [bad_end, tip] if bad_end == tip => Counts::default(),
            _ => problem.counts(problem.bad_end()),
        };
        let Some(walk) = &mut self.walk else { return Ok(None) };
        if let Some((last, Some(refuted))) = &walk.last
            && *last == good.id
        {
            return Ok(Some(refuted.clone()));
        }
        walk.older = Some(range.older);
        walk.shown = shown;
        walk.last = Some((good.id.clone(), None));
        let older = range.older;
        let (base, tip) = (good.id.clone(), bad.id.clone());
        let path = self.header.repository.clone();
        let (history, edges) = blocking(move || {
            let repository = Repository::open(&path)?;
            let history = repository.history(&base, &tip)?;
            let edges = Arc::new(Edges::new(&repository, &history));
            Ok((history, edges))
        })
        .await?;
        self.write(Event::Ends { good: good.clone(), bad: bad.clone(), older }).await?;
        self.watch.happening(Happening::Ends { good: &good, bad: &bad });
        self.enter(history, edges, tester).await?;
        Ok(None)
    }

    /// Puts another range in the place of the one at hand, with all that the store knows of it.
    async fn enter(
        &mut self,
        history: History,
        edges: Arc<Edges>,
        tester: &Arc<Tester>,
    ) -> Result<(), BisectError> {
        // Places mean other revisions from here on. What builds ahead have stored is known to the store.
        self.end_builds().await?;
        self.tell_doubts().await?;
        self.unlearned.clear();
        self.workshop.failed.clear();
        self.knowledge = self.knowledge.over(graph_of(&history)?);
        (self.history, self.edges) = (history, edges);
        self.untouched = super::untouched::Untouched::default();
        self.asked_for_blamed = false;
        self.made.clear();
        self.shown.clear();
        self.decided = None;
        self.recall_builds().await?;
        self.recall_evidence(tester).await
    }

    /// The walk for people.
    fn walk_picture(&self, walked: &Walked) -> WalkPicture {
        let problem = &walked.problem;
        let bad = walk::bad(problem, &Settings::default().model);
        let releases = self.walk.iter().flat_map(|walk| &walk.releases);
        let seen = releases.enumerate().map(|(at, release)| {
            let image = problem.releases[at].status.image;
            let counts = image.map(|image| problem.images[image as usize]).unwrap_or_default();
            ReleaseSeen {
                release: release.name.clone(),
                crashes: counts.crashes,
                clean: counts.clean,
                other: counts.censored,
                bad: bad[at],
                state: problem.releases[at].status.state,
            }
        });
        let left_out = self.header.releases.iter().flat_map(|releases| &releases.list);
        let plan::Spent { builds, runs } = self.knowledge.spent;
        WalkPicture {
            releases: seen.collect(),
            left_out: left_out
                .filter_map(|it| Some((it.name.clone(), it.left_out.clone()?)))
                .collect(),
            spent: Paid { builds, runs, seconds: self.elapsed() },
            expected_seconds: walked.expected_seconds,
        }
    }

    /// The answer of a walk that can't go on.
    fn unfinished(&self, why: &str, next: Option<&walk::Test>) -> Verdict {
        let bad = self.releases_bad();
        let known = bad.iter().rev().find(|(_, bad)| *bad >= 0.95);
        let oldest = known.and_then(|(id, bad)| {
            let releases = self.walk.iter().flat_map(|walk| &walk.releases);
            releases.into_iter().find(|it| it.commit.id == *id).map(|it| (&it.name, bad))
        });
        let why = match oldest {
            Some((name, bad)) => {
                format!("{why}; no good end was found, and {name} is bad (probability {bad:.2})")
            }
            None => format!("{why}; no good end was found"),
        };
        let more = next.and_then(|test| {
            Some(MoreRuns {
                commit: self.release(test.release).ok()?.commit.clone(),
                runs: test.runs,
                build: test.build,
                bits: 0.0,
                seconds: test.expected_seconds,
            })
        });
        let older = self.all_bad();
        Verdict::Inconclusive {
            credible: Vec::new(),
            older,
            not_reproducible: 0.0,
            share: None,
            why,
            more,
            contradiction: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_end_that_was_found_and_is_bad_is_called_by_its_name() {
        let commit = Commit { id: "a".repeat(40), subject: String::new() };
        let release = Release { name: "v6.1".into(), commit, back: 7, left_out: None };
        let older = Verdict::OlderThanGood { probability: 1.0, target: 3, clean: 9, release: None };
        let named = |good: &str| match naming(older.clone(), std::slice::from_ref(&release), good) {
            Verdict::OlderThanGood { release, target: 3, clean: 9, .. } => release,
            other => panic!("{other:?}"),
        };
        assert_eq!(named(&"a".repeat(40)).as_deref(), Some("v6.1"));
        assert_eq!(named("b"), None);
        let other = Verdict::NotReproduced { clean: 1, crashes: Vec::new() };
        assert_eq!(naming(other.clone(), &[release], "b"), other);
    }
}
