//! Many trials, and what came of them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::plan::{Settings, Verdict};

use super::history::History;
use super::lab::Lab;
use super::random::Random;
use super::world::World;
use super::{git, kiln};

/// Who bisects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum Policy {
    /// The planner of [`crate::plan`].
    Kiln(Settings),
    /// `git bisect run` with so many runs a revision, any crash being bad.
    Git {
        /// Runs a revision.
        runs: u32,
    },
}

/// Shares and means over the trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Trials made.
    pub trials: u32,
    /// Share of right answers: the culprit named, or "older than the good end" where it is.
    pub right: f64,
    /// Share of wrong answers.
    pub wrong: f64,
    /// Share without an answer.
    pub inconclusive: f64,
    /// Of those without, the share whose credible set holds the truth; one when there are none.
    pub set_contains_truth: f64,
    /// Mean size of those credible sets.
    pub set_size: f64,
    /// Mean number of builds, failed ones included.
    pub builds: f64,
    /// Mean number of runs.
    pub runs: f64,
    /// Mean hours.
    pub hours: f64,
    /// Hours that no method can beat at 5 % error.
    pub lower_bound_hours: f64,
}

#[derive(Clone, Copy, Default)]
struct Trial {
    right: bool,
    named: bool,
    holds_truth: bool,
    set_size: usize,
    builds: u32,
    runs: u32,
    minutes: f64,
}

/// Plays `trials` bisections, on `threads` threads; the answer depends on `seed` only.
pub fn run(world: &World, policy: &Policy, trials: u32, seed: u64, threads: usize) -> Summary {
    let next = AtomicU64::new(0);
    let mut all: Vec<(u64, Trial)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let trial = next.fetch_add(1, Ordering::Relaxed);
                if trial >= u64::from(trials) {
                    return done;
                }
                done.push((trial, play(world, policy, seed, trial)));
            }
        };
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        // A worker that panicked is a bug of the planner, which the caller must see.
        let join = |w: std::thread::ScopedJoinHandle<'_, _>| match w.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_by_key(|(trial, _)| *trial);
    summarise(world, all.iter().map(|(_, trial)| trial))
}

fn play(world: &World, policy: &Policy, seed: u64, trial: u64) -> Trial {
    let mut random = Random::new(seed, trial);
    let history = History::new(world, &mut random);
    let mut lab = Lab::new(world, &history, random);
    let mut done = Trial::default();
    match policy {
        Policy::Git { runs } => {
            if let Some(named) = git::play(&mut lab, *runs) {
                done.named = true;
                done.right = Some(named) == history.culprit;
            }
        }
        Policy::Kiln(settings) => match kiln::play(&mut lab, settings) {
            Some(Verdict::Culprit { commit, .. }) => {
                done.named = true;
                done.right = Some(commit) == history.culprit;
            }
            Some(Verdict::OlderThanGood { .. }) => {
                done.named = true;
                done.right = history.culprit.is_none();
            }
            Some(Verdict::Inconclusive { set, .. }) => {
                done.set_size = set.commits.len();
                done.holds_truth = match history.culprit {
                    Some(culprit) => set.commits.iter().any(|(c, _)| *c == culprit),
                    None => set.older.is_some(),
                };
            }
            Some(Verdict::NotReproduced { .. }) | None => {}
        },
    }
    Trial { builds: lab.builds, runs: lab.runs, minutes: lab.minutes, ..done }
}

fn summarise<'a>(world: &World, trials: impl Iterator<Item = &'a Trial>) -> Summary {
    let mut sum = Summary { lower_bound_hours: world.lower_bound_hours(), ..Summary::default() };
    let (mut silent, mut hold) = (0.0, 0.0);
    for trial in trials {
        sum.trials += 1;
        let one = |yes: bool| f64::from(u8::from(yes));
        sum.right += one(trial.named && trial.right);
        sum.wrong += one(trial.named && !trial.right);
        silent += one(!trial.named);
        hold += one(!trial.named && trial.holds_truth);
        sum.set_size += trial.set_size as f64;
        sum.builds += f64::from(trial.builds);
        sum.runs += f64::from(trial.runs);
        sum.hours += trial.minutes / 60.0;
    }
    let n = f64::from(sum.trials.max(1));
    for share in [&mut sum.right, &mut sum.wrong, &mut sum.builds, &mut sum.runs, &mut sum.hours] {
        *share /= n;
    }
    sum.inconclusive = silent / n;
    sum.set_contains_truth = if silent > 0.0 { hold / silent } else { 1.0 };
    sum.set_size = if silent > 0.0 { sum.set_size / silent } else { 0.0 };
    sum
}
