//! The loop: decide, carry out, write down.

use std::sync::Arc;

use kiln_cache::manifest::BuildResult;

use super::budget::NO_TIME;
use super::error::BisectError;
use super::setup::{Bisection, blocking};
use super::verdict_of::verdict_of;
use crate::plan::{self, Beside, Decision, Place, Settings, Spent};
use crate::record::{Decided, Event, Record};
use crate::tester::Tester;
use crate::title::Target;
use crate::verdict::Verdict;
use crate::watch::{Happening, Paid};

impl Bisection {
    /// Goes on until there is an answer, and returns the record.
    pub async fn run(mut self) -> Result<Record, BisectError> {
        self.begin_doubts().await?;
        self.recall_builds().await?;
        let bad_end = self.bad_end();
        if !self.walking() {
            self.learn_efforts().await;
        }
        if let Some(verdict) = self.beyond_budget().await? {
            return self.finish(verdict).await;
        }
        if self.knowledge.build(bad_end).is_none() {
            let commit = self.commit(bad_end);
            let why = "the bad end: what it reads tells which commits matter";
            self.watch.happening(Happening::Chosen { commit: &commit, why, runs: 0 });
        }
        let made = match self.build(bad_end).await {
            Err(BisectError::Late) => {
                let verdict = self.without_bad_end(NO_TIME);
                return self.finish(verdict).await;
            }
            made => made?,
        };
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
            match self.step(&tester).await {
                Ok(Some(verdict)) => return self.finish(verdict).await,
                Ok(None) => {}
                // What is known by now is decided upon, without time for anything more.
                Err(BisectError::Late) => self.overdue = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Decides what is next, and does it; or the answer.
    async fn step(&mut self, tester: &Arc<Tester>) -> Result<Option<Verdict>, BisectError> {
        self.learn_ended(tester).await?;
        self.settle_doubts(tester).await?;
        if let Some(verdict) = self.walk(tester).await? {
            let is_settled = !self.settle_last_doubts(tester).await?;
            return Ok(is_settled.then_some(verdict));
        }
        self.learn_blamed(tester).await?;
        let target = self.target()?.clone();
        let (decision, mut beside) = self.decide(&target).await?;
        let answer = match decision {
            Decision::Test(test) => {
                let several = std::mem::take(&mut beside.several);
                if self.prepare(tester, &test, beside).await? {
                    match several.is_empty() {
                        true => self.visit(tester, test.revision, test.runs, &test.why).await?,
                        false => self.visit_several(tester, &several).await?,
                    }
                }
                return Ok(None);
            }
            Decision::Stop(answer) => answer,
        };
        if self.walks_on(tester, &target, &answer).await? {
            return Ok(None);
        }
        if let Some((place, runs)) = self.doubtful_branch(&target, &answer).await? {
            let why = "shows whether the bug was there before this branch forked off: only then can the \
                       branch be searched for the fix";
            self.visit(tester, place, runs, why).await?;
            return Ok(None);
        }
        let mut findings = Vec::new();
        if let plan::Verdict::Culprit { commit, parents, rate, .. } = &answer {
            if self.found_no_change(*commit).await? {
                return Ok(None);
            }
            self.end_builds().await?;
            self.show_parents(tester, parents).await?;
            findings = self.findings(tester, *commit, parents, rate.mean).await?;
        }
        // Builds that were made for it may have spoken against what it rests on, and others may have.
        if self.settle_last_doubts(tester).await? {
            return Ok(None);
        }
        Ok(Some(verdict_of(self, &target, answer, findings)))
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
        self.learn_efforts().await;
        let mut problem = self.knowledge.problem(target, self.header.limits.machines);
        problem.seconds_left = self.seconds_left();
        self.workshop.tell(&mut problem);
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
        self.decided = Some((problem, settings));
        if let Decision::Test(test) = &decision
            && let Some(picture) = self.picture().await?
        {
            let left = self.forecast(&picture, test);
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
}
