//! The rule of `git bayesect` (hauntsaninja/git_bayesect), for comparison: it knows neither costs nor
//! titles nor side branches, and makes one run at a time, wherever that leaves least entropy.

use std::collections::HashSet;

use crate::belief::ln_gamma;
use crate::plan::Place;

use super::lab::{Lab, Seen};

/// Posterior at which it stops.
const ENOUGH: f64 = 0.95;
/// Runs after which it is stopped.
const MOST: u32 = 5000;

/// Plays a whole bisection; nothing when it does not end, or ends at the good end itself.
///
/// A build counts once a revision: whoever uses it well keeps them.
pub(super) fn play(lab: &mut Lab<'_>) -> Option<u32> {
    let mut line = Line::new(first_parents(lab));
    let mut works = HashSet::new();
    for _ in 0..MOST {
        if let Some(at) = line.answer() {
            return line.places[at].commit();
        }
        let at = line.select()?;
        let place = line.places[at];
        if !works.contains(&at) {
            if !lab.build(place) {
                line.skip(at);
                continue;
            }
            works.insert(at);
        }
        match lab.run(place, 1, |_| false).first() {
            // The host's failure: a careful script makes the run again.
            None | Some(Seen::Infra) => {}
            Some(seen) => line.record(at, seen.crashed()),
        }
    }
    None
}

/// The good end and the first parents of the bad end, oldest first.
fn first_parents(lab: &Lab<'_>) -> Vec<Place> {
    let graph = &lab.history.graph;
    let mut line = vec![Place::Commit(graph.tip())];
    let mut at = graph.tip();
    while let Some(parent) = graph.parents(at).first() {
        line.push(Place::Commit(*parent));
        at = *parent;
    }
    line.push(Place::Base);
    line.reverse();
    line
}

/// Revisions in a row. From an unknown one on runs fail with one unknown rate, before it with
/// another; both have Jeffreys' prior, so what each split of the counts is worth is a ratio of beta
/// functions.
struct Line {
    places: Vec<Place>,
    /// Prior of each being the first with the new rate: zero once it was skipped.
    possible: Vec<bool>,
    /// Failures and runs at revisions before each.
    failed_before: Vec<u32>,
    runs_before: Vec<u32>,
    failed: u32,
    runs: u32,
    posterior: Vec<f64>,
    /// `ln Γ(n + ½)` and `ln Γ(n + 1)`.
    halves: Vec<f64>,
    wholes: Vec<f64>,
}

impl Line {
    fn new(places: Vec<Place>) -> Self {
        let n = places.len();
        let mut line = Self {
            places,
            possible: vec![true; n],
            failed_before: vec![0; n],
            runs_before: vec![0; n],
            failed: 0,
            runs: 0,
            posterior: Vec::new(),
            halves: Vec::new(),
            wholes: Vec::new(),
        };
        line.update();
        line
    }

    fn record(&mut self, at: usize, failed: bool) {
        self.runs += 1;
        self.failed += u32::from(failed);
        for after in at + 1..self.places.len() {
            self.runs_before[after] += 1;
            self.failed_before[after] += u32::from(failed);
        }
        self.update();
    }

    fn skip(&mut self, at: usize) {
        self.possible[at] = false;
        self.update();
    }

    fn update(&mut self) {
        for n in self.halves.len()..=self.runs as usize {
            self.halves.push(ln_gamma(n as f64 + 0.5));
            self.wholes.push(ln_gamma(n as f64 + 1.0));
        }
        let beta = |failed: u32, runs: u32| {
            self.halves[failed as usize] + self.halves[(runs - failed) as usize]
                - self.wholes[runs as usize]
        };
        let logs: Vec<f64> = (0..self.places.len())
            .map(|at| {
                let (failed, runs) = (self.failed_before[at], self.runs_before[at]);
                match self.possible[at] {
                    true => beta(failed, runs) + beta(self.failed - failed, self.runs - runs),
                    false => f64::NEG_INFINITY,
                }
            })
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut posterior: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let sum: f64 = posterior.iter().sum();
        posterior.iter_mut().for_each(|p| *p /= sum);
        self.posterior = posterior;
    }

    fn answer(&self) -> Option<usize> {
        self.posterior.iter().position(|p| *p >= ENOUGH)
    }

    /// Where one run leaves least entropy on average; the middle of equals. Nothing when every
    /// revision was skipped.
    ///
    /// With w the joint probability of an answer and a hypothesis, the entropy left is the sum over
    /// answers of `P ln P - Σ w ln w`, where P is the sum of the w. Hypotheses up to the tested
    /// revision give it the new rate, later ones the old: both are running sums.
    fn select(&self) -> Option<usize> {
        let of = |failed: u32, runs: u32| (f64::from(failed) + 0.5) / (f64::from(runs) + 1.0);
        let term = |w: f64| if w > 0.0 { w * w.ln() } else { 0.0 };
        let n = self.places.len();
        let (mut new, mut old) = (vec![[0.0; 4]; n], vec![[0.0; 4]; n]);
        for at in 0..n {
            let (failed, runs) = (self.failed_before[at], self.runs_before[at]);
            let p = self.posterior[at];
            let parts = |rate: f64| {
                let (yes, no) = (p * rate, p * (1.0 - rate));
                [yes, no, term(yes), term(no)]
            };
            new[at] = parts(of(self.failed - failed, self.runs - runs));
            old[at] = parts(of(failed, runs));
        }
        let mut sums = [0.0; 4];
        old.iter().for_each(|parts| add(&mut sums, parts, 1.0));
        let middle = n / 2;
        let mut best: Option<(f64, usize)> = None;
        for at in 0..n {
            add(&mut sums, &old[at], -1.0);
            add(&mut sums, &new[at], 1.0);
            if !self.possible[at] {
                continue;
            }
            let left = term(sums[0]) + term(sums[1]) - sums[2] - sums[3];
            let better = best.is_none_or(|(least, chosen)| {
                left < least - 1e-12
                    || left < least + 1e-12 && at.abs_diff(middle) < chosen.abs_diff(middle)
            });
            if better {
                best = Some((left, at));
            }
        }
        best.map(|(_, at)| at)
    }
}

fn add(sums: &mut [f64; 4], parts: &[f64; 4], times: f64) {
    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += times * part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32) -> Line {
        Line::new((0..n).map(Place::Commit).collect())
    }

    #[test]
    fn begins_in_the_middle_and_goes_where_runs_point() {
        let mut line = line(101);
        assert_eq!(line.select(), Some(50));
        // One run says nothing when either rate may be the higher one: an end is tested next.
        line.record(100, true);
        line.record(100, true);
        line.record(0, false);
        line.record(0, false);
        let next = line.select().unwrap();
        assert!((30..70).contains(&next), "{next}");
        for _ in 0..30 {
            line.record(60, true);
            line.record(59, false);
        }
        assert_eq!(line.answer(), Some(60));
    }

    #[test]
    fn what_was_skipped_is_neither_tested_nor_named() {
        let mut line = line(3);
        line.skip(1);
        assert_ne!(line.select(), Some(1));
        assert!(line.posterior[1] < 1e-12);
    }
}
