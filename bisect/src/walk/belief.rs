//! Between which releases the bug came, after the runs.

use super::ages::younger;
use super::problem::Problem;
use crate::belief::{Counts, Model, POINTS, RateGrid};

/// Probabilities of where the commit lies, by rate.
pub(super) struct Belief {
    /// For each release: that it is the newest good one. Last: that none is good.
    mass: Vec<[f64; POINTS]>,
}

impl Belief {
    /// Weighs every place by the runs of all images but those `left_out`.
    ///
    /// An image of several revisions is all good or all bad: a commit that would part them is not the
    /// one, as in [`crate::belief::Posterior`].
    pub(super) fn new(problem: &Problem, model: &Model, grid: &RateGrid, left_out: &[u32]) -> Self {
        let n = problem.releases.len();
        let mut ln: Vec<[f64; POINTS]> = (0..=n)
            .map(|place| {
                let newer = match place {
                    0 => 0.0,
                    _ => younger(problem.releases[place - 1].back, problem.history),
                };
                let here = problem.releases.get(place);
                let older = here.map_or(1.0, |it| younger(it.back, problem.history));
                [(older - newer).max(1e-12).ln(); POINTS]
            })
            .collect();
        for (image, counts) in (0u32..).zip(&problem.images) {
            let is = |other: Option<u32>| other == Some(image);
            let members: Vec<usize> =
                (0..n).filter(|at| is(problem.releases[*at].status.image)).collect();
            let of_bad_end = is(problem.bad_end);
            if (members.is_empty() && !of_bad_end) || left_out.contains(&image) {
                continue;
            }
            let (good, bad) = (grid.ln_good(counts), grid.ln_bad(counts));
            for (place, row) in ln.iter_mut().enumerate() {
                // A release is bad when the commit is older than it.
                let bads = members.iter().filter(|at| place > **at).count();
                let whole = members.len() + usize::from(of_bad_end);
                match bads + usize::from(of_bad_end) {
                    0 => row.iter_mut().for_each(|l| *l += good),
                    all if all == whole => row.iter_mut().zip(&bad).for_each(|(l, b)| *l += b),
                    _ => row.iter_mut().for_each(|l| *l += good + model.split_floor.ln()),
                }
            }
        }
        let top = ln.iter().flatten().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let mut total = 0.0;
        for row in &mut ln {
            for (l, prior) in row.iter_mut().zip(&grid.prior) {
                *l = (*l - top).exp() * prior;
                total += *l;
            }
        }
        ln.iter_mut().flatten().for_each(|mass| *mass /= total);
        Self { mass: ln }
    }

    /// Probability that a release is bad.
    pub(super) fn bad(&self, release: usize) -> f64 {
        self.mass[release + 1..].iter().flatten().sum::<f64>().min(1.0)
    }

    /// The same by rate, together with its being that rate.
    pub(super) fn bad_by_rate(&self, release: usize) -> [f64; POINTS] {
        self.sum(release + 1)
    }

    /// By rate, wherever the commit lies.
    pub(super) fn by_rate(&self) -> [f64; POINTS] {
        self.sum(0)
    }

    fn sum(&self, from: usize) -> [f64; POINTS] {
        let mut sum = [0.0; POINTS];
        for row in &self.mass[from..] {
            sum.iter_mut().zip(row).for_each(|(s, mass)| *s += mass);
        }
        sum
    }
}

/// For rising numbers of runs: the chance that a bad kernel of which `seen` is known stays clean in all
/// of them, its rates weighed by `mass`.
pub(super) fn quiet(
    grid: &RateGrid,
    seen: &Counts,
    mass: &[f64; POINTS],
    runs: &[u32],
) -> Vec<f64> {
    let total: f64 = mass.iter().sum();
    let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
    let (mut by_rate, mut done) = ([1.0; POINTS], 0);
    let mut chances = Vec::with_capacity(runs.len());
    for upto in runs {
        for run in done..*upto {
            let clean = clean + f64::from(run);
            for (k, chance) in by_rate.iter_mut().enumerate() {
                let stay = grid.clean[k] + clean;
                *chance *= stay / (grid.crash[k] + crashes + stay);
            }
        }
        done = *upto;
        let stays: f64 = by_rate.iter().zip(mass).map(|(chance, mass)| chance * mass).sum();
        chances.push(if total > 0.0 { (stays / total).min(1.0) } else { 1.0 });
    }
    chances
}
