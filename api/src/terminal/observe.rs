//! Builds and bisections as lines of progress.

use std::sync::{Mutex, PoisonError};

use kiln_bisect::picture::{Forecast, Picture};
use kiln_bisect::watch::{Happening, Paid, Watch};
use kiln_builder::{BuildEvent, Observer, Stage};
use kiln_cache::evidence::Counts;

use super::progress::Progress;
use super::screen::{Frame, beyond, forecast, screen};
use super::table::WIDTH;
use super::text::{count, duration, fit, hanging, percent, wrapped};
use super::walk::{beginning, walk_screen};
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
                let steps = if done == 1 { "step" } else { "steps" };
                self.progress.status(format!("{commit}: compiling, {done} {steps} done"));
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
    target: Mutex<String>,
    stands: Mutex<Stands>,
}

/// What the screen was last drawn from.
#[derive(Default)]
struct Stands {
    picture: Option<(Picture, Paid, Option<Forecast>)>,
    building: Vec<String>,
}

/// What was seen of one revision since its heading.
#[derive(Default)]
struct Visit {
    commit: String,
    counts: Counts,
    /// Probability that the revision is bad, and how many commits are left, where that is known.
    belief: Option<(f64, Option<usize>)>,
    /// What is expected was said once.
    forecast: bool,
    /// How many commits change nothing that is read was said once.
    untouched: bool,
    /// Where the walk over releases begins was said once.
    walked: bool,
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
            let left = match credible {
                None => String::new(),
                Some(1) => ", 1 commit left".to_owned(),
                Some(credible) => format!(", {credible} commits left"),
            };
            rest.push(format!("bad: {}{left}", percent(bad)));
        }
        let all = [crashes.clone(), rest.clone()].concat().join("; ");
        if all.chars().count() <= WIDTH - 2 {
            return Some(format!("  {all}"));
        }
        crashes.push(rest.join("; "));
        let lines: Vec<_> = crashes.iter().map(|line| hanging("  ", line)).collect();
        Some(lines.join("\n"))
    }
}

impl BisectProgress {
    /// Shows them here.
    pub(crate) fn new(progress: Progress) -> Self {
        Self {
            progress,
            visit: Mutex::default(),
            target: Mutex::default(),
            stands: Mutex::default(),
        }
    }

    /// The target that is shown from the start.
    pub(crate) fn hunting(self, target: &str) -> Self {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target.to_owned();
        self
    }

    /// Draws the screen anew, after `change`.
    fn draw(&self, change: impl FnOnce(&mut Stands)) {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut stands);
        let Some((picture, paid, left)) = &stands.picture else { return };
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let (paid, left, building) = (*paid, *left, stands.building.as_slice());
        let frame = Frame { target: &target, paid, left, building };
        self.progress.screen(&screen(picture, &frame));
    }

    /// A line for who reads lines: nothing where the screen says it.
    fn line(&self, text: impl AsRef<str>) {
        if !self.progress.is_live() {
            self.progress.line(text);
        }
    }

    /// Ends the visit that is shown, if any, and begins another.
    fn visit(&self, visit: &mut Visit, commit: String) {
        let Visit { forecast, untouched, walked, .. } = *visit;
        if let Some(line) = std::mem::take(visit).line() {
            self.line(line);
        }
        *visit = Visit { commit, forecast, untouched, walked, ..Visit::default() };
    }
}

impl Watch for BisectProgress {
    fn happening(&self, happening: Happening<'_>) {
        let progress = &self.progress;
        let mut visit = self.visit.lock().unwrap_or_else(PoisonError::into_inner);
        match happening {
            Happening::Range { commits, builds_known, evidence_known } => {
                let text = format!(
                    "{commits} commits; the store has builds of {builds_known} revisions, and \
                     evidence of {evidence_known}"
                );
                progress.line(wrapped(&text, WIDTH));
            }
            Happening::Chosen { commit, why, .. } => {
                // Configurations of one revision are told apart by what stands for the subject.
                let key = format!("{} {}", commit.id, commit.subject);
                if visit.commit != key {
                    self.visit(&mut visit, key);
                    let subject = fit(&commit.subject, 64);
                    self.line(format!("{} {subject}", commit.short()));
                    if !why.is_empty() {
                        self.line(hanging("  ", why));
                    }
                }
                progress.status(format!("{}: {why}", commit.short()));
            }
            Happening::SideBySide { commits } => {
                let all = count(commits.len() as u64, "revision");
                self.visit(&mut visit, all.clone());
                self.line(format!("{all} side by side:"));
                progress.status(format!("{all} side by side"));
            }
            Happening::Stands { picture, spent, left } => {
                self.draw(|stands| stands.picture = Some((picture.clone(), spent, left)));
                if let (Some(left), false) = (left, visit.forecast) {
                    self.line(format!("expected: {}", forecast(&left)));
                    if let Some(beyond) = beyond(&left.budget) {
                        self.line(format!("  {beyond}"));
                    }
                }
                if left.is_some() && !visit.forecast {
                    visit.forecast = true;
                    // What comes next is named again, be it the same revision.
                    self.visit(&mut visit, String::new());
                }
            }
            Happening::Walks { picture } => {
                let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
                progress.screen(&walk_screen(picture, &target));
                if !visit.walked {
                    visit.walked = true;
                    self.line(wrapped(&beginning(picture), WIDTH));
                }
            }
            Happening::Skipped { release, why } => {
                self.visit(&mut visit, String::new());
                progress.line(hanging("  ", &format!("{release} is no good end: {why}")));
            }
            Happening::Ends { good, bad } => {
                self.visit(&mut visit, String::new());
                self.line(format!("between {} and {}:", good.short(), bad.short()));
            }
            Happening::Built { commit, build } => {
                for note in &build.notes {
                    progress.line(hanging("  note: ", note));
                }
                // Another one than the one that is visited was built ahead.
                let whose = match visit.commit.starts_with(&commit.id) {
                    true => String::new(),
                    false => format!("{} ", commit.short()),
                };
                if let Some(error) = build.errors.first() {
                    progress.line(hanging(&format!("  {whose}does not build: "), error));
                } else if build.obtained == kiln_bisect::record::Obtained::Compiled {
                    self.line(format!("  {whose}compiled in {}", duration(build.seconds)));
                } else {
                    progress.status(format!("{}: known", commit.short()));
                }
            }
            Happening::BegunAhead { commit, probability } => {
                let text = format!(
                    "  also builds {}, to be asked for with {}: {}",
                    commit.short(),
                    percent(probability),
                    commit.subject
                );
                self.line(fit(&text, WIDTH));
            }
            Happening::Building { commits } => {
                let short = |id: &&str| id.get(..12).unwrap_or(id).to_owned();
                self.draw(|stands| stands.building = commits.iter().map(short).collect());
            }
            // What follows from builds that were there before is in the range's own line.
            Happening::Proved { .. } if visit.commit.is_empty() => {}
            Happening::Proved { others, .. } => {
                let commits = if others == 1 { "commit" } else { "commits" };
                self.line(format!("  {others} more {commits} proved to give the same"));
            }
            // The first build at hand tells most; what the others add is seen in the commits left.
            Happening::Untouched { commits, of }
                if !visit.untouched && !visit.commit.is_empty() =>
            {
                visit.untouched = true;
                self.line(format!(
                    "  {commits} of {of} commits change nothing that it reads, or comments"
                ));
            }
            Happening::Untouched { .. } => {}
            Happening::Blamed { functions, commits } => {
                let suspects = match commits {
                    1 => "the first suspect is the 1 commit that changes".to_owned(),
                    _ => format!("the first suspects are the {commits} commits that change"),
                };
                let names = functions.join(", ");
                self.line(hanging("  ", &format!("{suspects} files with {names}")));
            }
            Happening::Ran { outcome, done, wanted } => progress.counted_status(
                format!(
                    "{} runs, last: {}",
                    visit.commit.get(..12).unwrap_or(&visit.commit),
                    fit(&outcome_word(outcome), 30)
                ),
                u64::from(done),
                u64::from(wanted),
            ),
            Happening::TitleLearned { title } => {
                self.visit(&mut visit, String::new());
                title.clone_into(&mut self.target.lock().unwrap_or_else(PoisonError::into_inner));
                progress.line(hanging("target: ", title));
            }
            Happening::StepDone { step } => {
                for run in &step.runs {
                    visit.counts.add(&run.outcome, 1);
                }
                visit.belief = step.probability_bad.map(|bad| (bad, step.credible));
            }
            Happening::Finished => self.visit(&mut visit, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_fits_the_terminal() {
        let title = |what: &str| format!("{what}: slab-out-of-bounds ").repeat(6);
        for titles in 0..4 {
            let visit = Visit {
                counts: Counts {
                    ok: 12_345,
                    infra: 12,
                    crashes: (0..titles).map(|n| (title(&format!("KASAN {n}")), 999)).collect(),
                    boot_failures: (0..titles).map(|n| (title(&n.to_string()), 7)).collect(),
                },
                belief: Some((0.999_999_9, Some(1_000_000))),
                ..Visit::default()
            };
            let said = visit.line().unwrap();
            assert!(said.lines().all(|line| line.chars().count() <= WIDTH), "{said}");
            assert_eq!(said.matches(" x ").count(), 2 * titles, "{said}");
        }
        assert_eq!(Visit::default().line(), None);
    }
}
