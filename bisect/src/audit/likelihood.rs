//! How well a kernel's runs agree with its having the hunted bug, and with its not having it.

use crate::belief::{Drift, Model, POINTS, RateGrid, ln_add, ln_beta};

use super::target::Seen;

/// Probability that a bug shows a title that its start commit never showed.
const OTHER_FACE: f64 = 0.05;
/// The same, given that the title names the same part of the kernel.
const NEAR_FACE: f64 = 0.3;
/// Share of kernels that crash for a reason of their own: the second bug on 5-50 % of history in
/// 30 % of the reference trials, and kernels broken in other ways.
const SECOND_BUG: f64 = 0.3;

/// The world model of an audit.
///
/// Some numbers differ from a bisection's. The start's title comes from another cause in 0.2 % of
/// runs times 2 %, as in design section 7's reference trials: titles that merely look alike are
/// counted apart here. And "older than the good end" gets the upper end of section 7's 5-30 %: the
/// end of these logs was chosen by a few runs of the same flaky reproducer.
/// What a kernel's rate may be, and how it drifts, is what the labelled logs were weighed with.
pub(super) fn model() -> Model {
    Model {
        epsilon: 0.002 * 0.02,
        older: 0.3,
        not_reproducible: 0.0,
        hidden: 1e-3,
        rate_power: 0.0,
        drifts: [Drift::new(1.0, 0.3), Drift::new(0.0, 0.3), Drift::new(0.0, 0.3)],
        ..Model::default()
    }
}

/// Log-likelihoods of one kernel's runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likelihood {
    /// If it is good.
    pub(super) good: f64,
    /// If it is bad, for each rate of crashing.
    pub(super) bad: [f64; POINTS],
}

impl Likelihood {
    /// Of some runs.
    ///
    /// Crashes with another title are no evidence by their number: one second bug explains them
    /// all. They are that second bug, or with a small probability the hunted one in disguise.
    pub(super) fn of(seen: &Seen, grid: &RateGrid) -> Self {
        let counts = seen.counts();
        if seen.target > 0 || seen.other == 0 {
            return Self { good: grid.ln_good(&counts), bad: grid.ln_bad(&counts) };
        }
        let (other, clean) = (f64::from(seen.other), f64::from(seen.clean));
        // A second bug has any rate.
        let good = SECOND_BUG.ln() + ln_beta(other + 1.0, clean + 1.0);
        let face = if seen.near { NEAR_FACE } else { OTHER_FACE };
        let disguised = crate::belief::Counts { crashes: seen.other, ..counts };
        let (disguised, quiet) = (grid.ln_shown(&disguised), grid.ln_shown(&counts));
        let shown = std::array::from_fn(|k| {
            ln_add(face.ln() + disguised[k], (1.0 - face).ln() + good + quiet[k])
        });
        Self { good, bad: grid.unless_hidden(good, shown) }
    }
}
