//! How often a bad kernel crashes: a grid of rates, each drifting more or less from image to image.

use serde::{Deserialize, Serialize};

use super::evidence::Counts;
use super::math::{ln_add, ln_beta};
use super::model::{DRIFTS, Model};

/// Rates of the grid.
const RATES: usize = 28;
/// Points of the grid: each rate with each extent of drift.
pub(crate) const POINTS: usize = RATES * DRIFTS;

/// What is known of the rate of crashing of a bad kernel, a probability for one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Posterior mean.
    pub mean: f64,
    /// Lower end of the central 95 %.
    pub low: f64,
    /// Upper end of the central 95 %.
    pub high: f64,
}

/// How probable it is that an image is an exception, given its runs.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    /// That it shows the title for a cause of its own, were it good.
    pub(crate) stray: f64,
    /// That something hides the bug on it, were it bad: for each rate.
    pub(crate) hidden: [f64; POINTS],
}

/// Log-spaced rates, each the mean of a beta distribution over images.
#[derive(Clone, Debug)]
pub(crate) struct RateGrid {
    pub(crate) rate: [f64; POINTS],
    /// Prior probability of each point.
    pub(crate) prior: [f64; POINTS],
    /// Beta parameters: weight of crashing, and of running clean.
    pub(crate) crash: [f64; POINTS],
    pub(crate) clean: [f64; POINTS],
    ln_norm: [f64; POINTS],
    epsilon: f64,
    hidden: f64,
    stray: f64,
}

impl RateGrid {
    pub(crate) fn new(model: &Model) -> Self {
        const HIGHEST: f64 = 0.995;
        let low = model.lowest_rate.clamp(1e-4, 0.5);
        let mut grid = Self {
            rate: [0.0; POINTS],
            prior: [0.0; POINTS],
            crash: [0.0; POINTS],
            clean: [0.0; POINTS],
            ln_norm: [0.0; POINTS],
            epsilon: model.epsilon.clamp(1e-9, 0.5),
            hidden: model.hidden.clamp(0.0, 0.5),
            stray: model.stray.clamp(0.0, 0.5),
        };
        for i in 0..POINTS {
            let drift = &model.drifts[i % DRIFTS];
            let rate = low * (HIGHEST / low).powf((i / DRIFTS) as f64 / (RATES - 1) as f64);
            let variation = drift.variation.clamp(0.01, 2.0).powi(2);
            grid.prior[i] = drift.share.max(0.0) * rate.powf(model.rate_power);
            // A beta with mean `rate` and this variation; high rates can't vary that much, and
            // keep the spread of a rate of one half.
            let weight = ((1.0 - rate) / (variation * rate) - 1.0).max(1.0 / variation);
            grid.rate[i] = rate;
            grid.crash[i] = rate * weight;
            grid.clean[i] = (1.0 - rate) * weight;
            grid.ln_norm[i] = ln_beta(grid.crash[i], grid.clean[i]);
        }
        if model.shown.informative() > 0 {
            let shown = grid.ln_bad(&model.shown);
            let top = shown.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            grid.prior.iter_mut().zip(&shown).for_each(|(prior, ln)| *prior *= (ln - top).exp());
        }
        let total: f64 = grid.prior.iter().sum();
        grid.prior.iter_mut().for_each(|prior| *prior /= total.max(f64::MIN_POSITIVE));
        grid
    }

    /// Log-likelihood of the counts on a good image.
    pub(crate) fn ln_good(&self, seen: &Counts) -> f64 {
        let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
        let honest = self.ln_honest(seen);
        if self.stray == 0.0 {
            return honest;
        }
        let other = self.stray.ln() + ln_beta(crashes + 1.0, clean + 1.0);
        ln_add((-self.stray).ln_1p() + honest, other)
    }

    /// Log-likelihood of the counts on a bad image, for each rate.
    pub(crate) fn ln_bad(&self, seen: &Counts) -> [f64; POINTS] {
        self.unless_hidden(self.ln_good(seen), self.ln_shown(seen))
    }

    /// Log-likelihood of the counts on an image that shows the bug, for each rate.
    pub(crate) fn ln_shown(&self, seen: &Counts) -> [f64; POINTS] {
        let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
        std::array::from_fn(|i| {
            ln_beta(self.crash[i] + crashes, self.clean[i] + clean) - self.ln_norm[i]
        })
    }

    /// A bad image mostly shows the bug, and behaves like a good one where something masks it.
    pub(crate) fn unless_hidden(&self, good: f64, shown: [f64; POINTS]) -> [f64; POINTS] {
        let masked = self.hidden.ln() + good;
        let open = (-self.hidden).ln_1p();
        shown.map(|shown| ln_add(open + shown, masked))
    }

    /// Log-likelihood of the counts on a good image that has no bug of the same title.
    fn ln_honest(&self, seen: &Counts) -> f64 {
        let (crashes, clean) = (f64::from(seen.crashes), f64::from(seen.clean));
        crashes * self.epsilon.ln() + clean * (-self.epsilon).ln_1p()
    }

    /// What an image's own runs say of its being an exception.
    pub(crate) fn exception(&self, seen: &Counts) -> Exception {
        let good = self.ln_good(seen);
        let bad = self.unless_hidden(good, self.ln_shown(seen));
        let honest = (-self.stray).ln_1p() + self.ln_honest(seen);
        let hidden = self.hidden.ln() + good;
        Exception {
            stray: (1.0 - (honest - good).exp()).clamp(0.0, 1.0),
            hidden: bad.map(|bad| (hidden - bad).exp().min(1.0)),
        }
    }

    /// For each rate: the chance that a bad image with these runs shows the bug. Where something hides it,
    /// or where the image's own rate must be far below that of others, it does not.
    pub(crate) fn shows(&self, seen: &Counts) -> [f64; POINTS] {
        /// Share of the rate below which an image's own is no use: thirty times the runs would be needed.
        const FAR_BELOW: f64 = 1.0 / 30.0;
        let hidden = self.exception(seen).hidden;
        let runs = f64::from(seen.informative());
        std::array::from_fn(|k| {
            let own =
                (self.crash[k] + f64::from(seen.crashes)) / (self.crash[k] + self.clean[k] + runs);
            if own < FAR_BELOW * self.rate[k] { 0.0 } else { 1.0 - hidden[k] }
        })
    }

    /// Mean and interval of a weighting of the grid.
    pub(crate) fn summary(&self, weight: &[f64; POINTS]) -> Rate {
        let total: f64 = weight.iter().sum();
        if total <= 0.0 {
            return Rate { mean: 0.0, low: 0.0, high: 1.0 };
        }
        let mean = (0..POINTS).map(|i| weight[i] * self.rate[i]).sum::<f64>() / total;
        let at = |share: f64| {
            let mut sum = 0.0;
            for (mass, rate) in weight.iter().zip(&self.rate) {
                sum += mass;
                if sum >= share * total {
                    return *rate;
                }
            }
            self.rate[POINTS - 1]
        };
        Rate { mean, low: at(0.025), high: at(0.975) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_of_all_sequences_add_up_to_one() {
        let grid = RateGrid::new(&Model::default());
        let choose =
            |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for i in [0, 9, POINTS - 1] {
            let sum: f64 = (0..=7)
                .map(|k| {
                    choose(7, k)
                        * grid.ln_bad(&Counts { crashes: k, clean: 7 - k, censored: 3 })[i].exp()
                })
                .sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn what_a_bad_kernel_outside_the_range_showed_tells_the_rate() {
        let grid = |shown| RateGrid::new(&Model { shown, ..Model::default() });
        let nothing = grid(Counts { censored: 9, ..Counts::default() });
        assert_eq!(nothing.prior, RateGrid::new(&Model::default()).prior);
        let known = grid(Counts { crashes: 30, clean: 270, censored: 0 });
        assert!((known.prior.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let [before, after] = [&nothing, &known].map(|grid| grid.summary(&grid.prior));
        assert!(after.mean > 0.07 && after.mean < 0.2, "{after:?}");
        assert!(after.high - after.low < 0.5 * (before.high - before.low), "{before:?} {after:?}");
        // As if it were an image of the range that is bad in any case.
        let seen = nothing.ln_bad(&Counts { crashes: 30, clean: 270, censored: 0 });
        let odds = |at: usize| nothing.prior[at] * seen[at].exp();
        assert!((odds(40) / odds(50) / (known.prior[40] / known.prior[50]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn exceptions_are_told_by_their_runs() {
        let grid = RateGrid::new(&Model::default());
        let none = grid.exception(&Counts::default());
        assert!((none.stray - 1e-5).abs() < 1e-9 && (none.hidden[9] - 2e-4).abs() < 1e-9);
        // The first points of the grid drift little.
        let quiet = grid.exception(&Counts { clean: 900, ..Counts::default() });
        assert!(quiet.hidden[POINTS - DRIFTS] > 0.999 && quiet.hidden[0] < 0.2, "{quiet:?}");
        let loud = grid.exception(&Counts { crashes: 5, clean: 40, censored: 0 });
        assert!(loud.stray > 0.999 && loud.hidden[POINTS / 2] < 1e-3, "{loud:?}");
    }

    #[test]
    fn an_image_that_stays_silent_does_not_show_the_bug() {
        let grid = RateGrid::new(&Model::default());
        let shows = |crashes, clean| grid.shows(&Counts { crashes, clean, censored: 0 });
        assert!(shows(0, 0).iter().all(|it| (it - 1.0).abs() < 1e-3));
        let rare = grid.rate.iter().position(|rate| *rate > 0.03).unwrap();
        assert!(shows(2, 40)[rare..rare + DRIFTS].iter().all(|it| *it > 0.99));
        // However much the rate drifts, and whatever it is.
        for seen in [shows(0, 100_000), shows(1, 1_000_000)] {
            assert!(seen.iter().all(|it| *it < 0.01), "{seen:?}");
        }
        // A rare crash may stay away for some time.
        assert!(shows(0, 50)[..DRIFTS].iter().all(|it| *it > 0.9));
    }

    #[test]
    fn runs_of_several_images_tell_how_much_the_rate_drifts() {
        let grid = RateGrid::new(&Model::default());
        let drifting = |images: &[(u32, u32)]| {
            let mut share = [0.0; DRIFTS];
            for k in 0..POINTS {
                let seen = images.iter().map(|(crashes, clean)| {
                    let (crashes, clean) = (*crashes, *clean);
                    grid.ln_shown(&Counts { crashes, clean, censored: 0 })[k]
                });
                share[k % DRIFTS] += grid.prior[k] * seen.sum::<f64>().exp();
            }
            1.0 - share[0] / share.iter().sum::<f64>()
        };
        assert!(drifting(&[(5, 15), (5, 15), (4, 16), (6, 14)]) < 0.3);
        assert!(drifting(&[(1, 19), (12, 8), (0, 20), (7, 13)]) > 0.95);
    }

    #[test]
    fn censored_runs_count_as_nothing() {
        let grid = RateGrid::new(&Model::default());
        let none = Counts { crashes: 0, clean: 0, censored: 50 };
        assert!(grid.ln_good(&none).abs() < 1e-12);
        assert!(grid.ln_bad(&none).iter().all(|l| l.abs() < 1e-9));
    }
}
