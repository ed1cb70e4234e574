//! Many trials, and what came of them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::plan::{Settings, Verdict};

use super::history::History;
use super::lab::Lab;
use super::random::Random;
use super::syzkaller::{self, Rules};
use super::world::World;
use super::{bayesect, git, kiln};

/// Who bisects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum Policy {
    /// The planner of [`crate::plan`].
    Kiln(Box<Settings>),
    /// `git bisect run` with so many runs a revision, any crash being bad.
    Git {
        /// Runs a revision.
        runs: u32,
    },
    /// syzkaller's rules of 2021.
    Syzkaller2021,
    /// syzkaller's rules of 2024 and later.
    Syzkaller2026,
    /// `git bayesect run`: one run at a time where it leaves least entropy.
    Bayesect,
}

/// Lower ends of the bins of [`Summary::calibration`].
const BINS: [f64; 4] = [0.0, 0.9, 0.95, 0.99];

/// Answers that were given with about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lowest probability of the bin; it ends where the next one begins.
    pub from: f64,
    /// Answers in it.
    pub answers: u32,
    /// Their mean probability.
    pub probability: f64,
    /// The share of them that was right.
    pub right: f64,
}

/// Shares and means over the trials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Answers by the probability that the planner gave them; empty bins are left out, and other
    /// policies give no probabilities.
    pub calibration: Vec<Bin>,
}

#[derive(Clone, Copy, Default)]
struct Trial {
    right: bool,
    named: bool,
    probability: Option<f64>,
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
    let named = match policy {
        Policy::Kiln(settings) => {
            judge(&mut done, kiln::play(&mut lab, settings), history.culprit);
            None
        }
        Policy::Git { runs } => git::play(&mut lab, *runs),
        Policy::Syzkaller2021 => syzkaller::play(&mut lab, Rules::Of2021),
        Policy::Syzkaller2026 => syzkaller::play(&mut lab, Rules::Of2026),
        Policy::Bayesect => bayesect::play(&mut lab),
    };
    if named.is_some() {
        done.named = true;
        done.right = named == history.culprit;
    }
    Trial { builds: lab.builds, runs: lab.runs, minutes: lab.minutes, ..done }
}

/// Compares the planner's verdict with the truth.
fn judge(done: &mut Trial, verdict: Option<Verdict>, culprit: Option<u32>) {
    match verdict {
        Some(Verdict::Culprit { commit, probability, .. }) => {
            done.named = true;
            done.right = Some(commit) == culprit;
            done.probability = Some(probability);
        }
        Some(Verdict::OlderThanGood { probability, .. }) => {
            done.named = true;
            done.right = culprit.is_none();
            done.probability = Some(probability);
        }
        Some(Verdict::Inconclusive { set, .. }) => {
            done.set_size = set.commits.len();
            done.holds_truth = match culprit {
                Some(culprit) => set.commits.iter().any(|(c, _)| *c == culprit),
                None => set.older.is_some(),
            };
        }
        Some(Verdict::NotReproduced { .. }) | None => {}
    }
}

fn summarise<'a>(world: &World, trials: impl Iterator<Item = &'a Trial>) -> Summary {
    let mut sum = Summary { lower_bound_hours: world.lower_bound_hours(), ..Summary::default() };
    let (mut silent, mut hold) = (0.0, 0.0);
    let mut bins = BINS.map(|from| Bin { from, ..Bin::default() });
    for trial in trials {
        if let Some(probability) = trial.probability
            && let Some(bin) = bins.iter_mut().rfind(|bin| probability >= bin.from)
        {
            bin.answers += 1;
            bin.probability += probability;
            bin.right += f64::from(u8::from(trial.right));
        }
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
    sum.calibration = bins.into_iter().filter(|bin| bin.answers > 0).collect();
    for bin in &mut sum.calibration {
        bin.probability /= f64::from(bin.answers);
        bin.right /= f64::from(bin.answers);
    }
    sum
}
