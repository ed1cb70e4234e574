//! What a number of runs of one revision is expected to tell, and to cost.

use crate::belief::{Counts, POINTS, Posterior, RateGrid, entropy_bits};

/// Share of the best value that is as good as the best: the larger number of runs, fewer questions.
const NEARLY: f64 = 0.98;

/// A possible test, weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prospect {
    /// Runs, at most: the first target crash ends them.
    pub(super) runs: u32,
    /// Expected information about the culprit.
    pub(super) bits: f64,
    /// Expected seconds, build included.
    pub(super) seconds: f64,
}

impl Prospect {
    /// Bits for a second.
    pub(super) fn value(&self) -> f64 {
        self.bits / self.seconds
    }
}

/// What surrounds a test.
pub(super) struct Terms<'a> {
    pub(super) grid: &'a RateGrid,
    pub(super) posterior: &'a Posterior,
    pub(super) epsilon: f64,
    pub(super) run_seconds: f64,
    pub(super) machines: u32,
    pub(super) most_runs: u32,
}

/// Chances that some numbers of runs all stay without a target crash.
pub(super) struct Quiet {
    /// Numbers of runs, rising.
    runs: Vec<u32>,
    /// For each group of commits, and last for "older", by number of runs: the chance on a bad
    /// kernel, and its entropy.
    bad: Vec<Vec<(f64, f64)>>,
    good: Vec<(f64, f64)>,
    seen: Counts,
}

impl Quiet {
    /// For a kernel of which `seen` is known already.
    pub(super) fn new(terms: &Terms<'_>, seen: Counts) -> Self {
        let runs = ladder(terms.machines.max(1), terms.most_runs);
        // By rate, given what its image has shown: of that, and of the chance that it is an exception.
        let chance = terms.grid.exception(&seen);
        let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
        let mut by_rate: Vec<[f64; POINTS]> = Vec::with_capacity(runs.len());
        let mut by_good: Vec<f64> = Vec::with_capacity(runs.len());
        let (mut shown, mut stray, mut done) = ([1.0; POINTS], 1.0, 0);
        for upto in &runs {
            for run in done..*upto {
                let clean = clean + f64::from(run);
                for (k, quiet) in shown.iter_mut().enumerate() {
                    let stay = terms.grid.clean[k] + clean;
                    *quiet *= stay / (terms.grid.crash[k] + crashes + stay);
                }
                stray *= (1.0 + clean) / (2.0 + crashes + clean);
            }
            done = *upto;
            let honest = (f64::from(*upto) * (-terms.epsilon).ln_1p()).exp();
            let good = chance.stray * stray + (1.0 - chance.stray) * honest;
            by_good.push(good);
            by_rate.push(std::array::from_fn(|k| {
                chance.hidden[k] * good + (1.0 - chance.hidden[k]) * shown[k]
            }));
        }
        let with_entropy = |q: f64| (q, entropy_bits(q));
        let groups = terms.posterior.groups().iter().chain([terms.posterior.older_by_rate()]);
        let bad = groups
            .map(|mass| {
                let total: f64 = mass.iter().sum();
                by_rate
                    .iter()
                    .map(|quiet| {
                        let stay: f64 = mass.iter().zip(quiet).map(|(m, q)| m * q).sum();
                        with_entropy(if total > 0.0 { (stay / total).min(1.0) } else { 1.0 })
                    })
                    .collect()
            })
            .collect();
        let good = by_good.into_iter().map(with_entropy).collect();
        Self { runs, bad, good, seen }
    }

    /// The number of runs with the most information about the culprit for its cost.
    ///
    /// `bad` is the mass of each group, and of "older", under which this revision is bad; `build`
    /// the seconds to get it, `works` the chance that it can be tested, `most` the runs there is time for. What is told is the mutual
    /// information between the culprit and whether a run crashes: it includes what a crash tells
    /// of the rate, and so of all the clean runs seen before. Nothing when no run can tell anything.
    pub(super) fn best(
        &self,
        terms: &Terms<'_>,
        bad: &[f64],
        build: f64,
        works: f64,
        most: u32,
    ) -> Option<Prospect> {
        let good = (1.0 - bad.iter().sum::<f64>()).clamp(0.0, 1.0);
        let mut quiet = vec![0.0; self.runs.len()];
        let mut known = vec![0.0; self.runs.len()];
        for (mass, chances) in bad.iter().chain([&good]).zip(self.bad.iter().chain([&self.good])) {
            if *mass > 0.0 {
                for (i, (q, entropy)) in chances.iter().enumerate() {
                    quiet[i] += mass * q;
                    known[i] += mass * entropy;
                }
            }
        }
        // Runs that say something among those made: a revision that mostly shows other crashes is
        // dear.
        let telling =
            (f64::from(self.seen.informative()) + 9.5) / (f64::from(self.seen.total()) + 10.0);
        let round = terms.run_seconds / telling / f64::from(terms.machines.max(1));
        let (mut seconds, mut before, mut done) = (0.0, 1.0, 0);
        let mut best: Option<Prospect> = None;
        let mut peak = 0.0f64;
        for (i, runs) in self.runs.iter().enumerate().take_while(|(_, runs)| **runs <= most) {
            seconds += f64::from(runs - done) * round * (before + quiet[i]) / 2.0;
            (before, done) = (quiet[i], *runs);
            let prospect = Prospect {
                runs: *runs,
                bits: works * (entropy_bits(quiet[i]) - known[i]).max(0.0),
                seconds: build + works * seconds,
            };
            peak = peak.max(prospect.value());
            if best.is_none() || prospect.value() >= NEARLY * peak {
                best = Some(prospect);
            }
        }
        best.filter(|b| works > 0.0 && b.bits > 1e-9)
    }
}

/// Numbers of runs to weigh: whole rounds of all machines, each about a fifth more.
pub(crate) fn ladder(machines: u32, most: u32) -> Vec<u32> {
    let mut list = Vec::new();
    let mut rounds = 1u32;
    loop {
        let runs = rounds.saturating_mul(machines);
        if runs >= most || rounds > 256 {
            if list.is_empty() || runs <= most {
                list.push(runs.min(most.max(1)));
            }
            return list;
        }
        list.push(runs);
        rounds = (rounds + 1).max(rounds * 6 / 5);
    }
}
