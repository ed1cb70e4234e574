//! Builds and bisections as lines of progress.

use std::sync::{Mutex, PoisonError};

use kiln_bisect::watch::{Happening, Watch};
use kiln_builder::{BuildEvent, Observer, Stage};
use kiln_cache::evidence::Counts;

use super::progress::Progress;
use super::table::WIDTH;
use super::text::{duration, fit, percent};
use crate::kiln::bisect::report::outcome_word;

/// Shows builds.
pub(crate) struct BuildProgress {
    progress: Progress,
}

impl BuildProgress {
    /// Shows them here.
    pub(crate) fn new(progress: Progress) -> Self {
        Self { progress }
    }
}

impl Observer for BuildProgress {
    fn event(&self, event: &BuildEvent) {
        let commit = event.commit.get(..12).unwrap_or(&event.commit);
        match event.stage {
            Stage::Waiting => {
                self.progress.status(format!("{commit}: waiting for another build to end"));
            }
            Stage::CheckingOut { done, total } => {
                self.progress.counted_status(format!("{commit}: checking out"), done, total);
            }
            Stage::Configuring => self.progress.status(format!("{commit}: configuring")),
            Stage::Compiling { done, expected: Some(total) } => {
                self.progress.counted_status(format!("{commit}: compiling"), done, total);
            }
            Stage::Compiling { done, expected: None } => {
                self.progress.status(format!("{commit}: compiling, {done} steps done"));
            }
            Stage::Linking => self.progress.status(format!("{commit}: linking")),
            Stage::Storing => self.progress.status(format!("{commit}: storing")),
            Stage::Finished { .. } => {}
        }
    }
}

/// Shows bisections. Steps at one revision, one after the other, are shown as one visit.
pub(crate) struct BisectProgress {
    progress: Progress,
    visit: Mutex<Visit>,
}

/// What was seen of one revision since its heading.
#[derive(Default)]
struct Visit {
    commit: String,
    counts: Counts,
    /// Probability that the revision is bad, and how many commits are left.
    belief: Option<(f64, usize)>,
}

impl Visit {
    /// Everything on one line, or a line for each crash when that is too long; nothing when
    /// nothing ran.
    fn line(&self) -> Option<String> {
        let counts = &self.counts;
        let mut crashes: Vec<String> =
            counts.crashes.iter().map(|(title, n)| format!("{n} x {title}")).collect();
        crashes.extend(counts.boot_failures.iter().map(|(t, n)| format!("{n} x boot failed: {t}")));
        let mut rest = Vec::new();
        if counts.ok > 0 {
            rest.push(format!("{} ok", counts.ok));
        }
        if counts.infra > 0 {
            rest.push(format!("{} failed on the host", counts.infra));
        }
        if crashes.is_empty() && rest.is_empty() {
            return None;
        }
        if let Some((bad, credible)) = self.belief {
            let commits = if credible == 1 { "commit" } else { "commits" };
            rest.push(format!("bad: {}, {credible} {commits} left", percent(bad)));
        }
        let all = [crashes.clone(), rest.clone()].concat().join("; ");
        if all.chars().count() <= WIDTH - 2 {
            return Some(format!("  {all}"));
        }
        crashes.push(rest.join("; "));
        Some(format!("  {}", crashes.join("\n  ")))
    }
}

impl BisectProgress {
    /// Shows them here.
    pub(crate) fn new(progress: Progress) -> Self {
        Self { progress, visit: Mutex::default() }
    }

    /// Ends the visit that is shown, if any, and begins another.
    fn visit(&self, visit: &mut Visit, commit: String) {
        if let Some(line) = std::mem::take(visit).line() {
            self.progress.line(line);
        }
        visit.commit = commit;
    }
}

impl Watch for BisectProgress {
    fn happening(&self, happening: Happening<'_>) {
        let progress = &self.progress;
        let mut visit = self.visit.lock().unwrap_or_else(PoisonError::into_inner);
        match happening {
            Happening::Range { commits, builds_known, evidence_known } => progress.line(format!(
                "{commits} commits; the store has builds of {builds_known} revisions, and evidence of {evidence_known}"
            )),
            Happening::Chosen { commit, why, .. } => {
                if visit.commit != commit.id {
                    self.visit(&mut visit, commit.id.clone());
                    let subject = fit(&commit.subject, 64);
                    progress.line(format!("{} {subject}\n  {why}", commit.short()));
                }
            }
            Happening::Built { commit, build } => {
                for note in &build.notes {
                    progress.line(format!("  note: {note}"));
                }
                if let Some(error) = build.errors.first() {
                    progress.line(format!("  does not build: {error}"));
                } else if build.obtained == kiln_bisect::record::Obtained::Compiled {
                    progress.line(format!("  compiled in {}", duration(build.seconds)));
                } else {
                    progress.status(format!("{}: known", commit.short()));
                }
            }
            // What follows from builds that were there before is in the range's own line.
            Happening::Proved { .. } if visit.commit.is_empty() => {}
            Happening::Proved { others, .. } => {
                let commits = if others == 1 { "commit" } else { "commits" };
                progress.line(format!("  {others} more {commits} proved to give the same"));
            }
            Happening::Ran { outcome, done, wanted } => progress.counted_status(
                format!("running, last: {}", fit(&outcome_word(outcome), 40)),
                u64::from(done),
                u64::from(wanted),
            ),
            Happening::TitleLearned { title } => {
                self.visit(&mut visit, String::new());
                progress.line(format!("target: {title}"));
            }
            Happening::StepDone { step } => {
                for run in &step.runs {
                    visit.counts.add(&run.outcome, 1);
                }
                visit.belief = step.probability_bad.zip(step.credible);
            }
            Happening::Finished => self.visit(&mut visit, String::new()),
        }
    }
}
