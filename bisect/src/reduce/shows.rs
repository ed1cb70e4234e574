//! Whether a kernel shows the target, by its counts and those of one that certainly does.

use crate::belief::{Counts, Model, POINTS, RateGrid, ln_add};

/// What is known of how often a bad kernel crashes.
pub(super) struct Shows {
    model: Model,
    grid: RateGrid,
    /// Log-probability of each rate, by what the whole configuration has shown.
    rates: [f64; POINTS],
}

/// Most runs of one kernel at a time.
const MOST: u32 = 400;

impl Shows {
    /// `whole`: runs of the kernel with every option, which shows the target.
    pub(super) fn new(whole: &Counts) -> Self {
        let model = Model::default();
        let grid = RateGrid::new(&model);
        let mut shown = grid.ln_shown(whole);
        shown.iter_mut().zip(&grid.prior).for_each(|(l, prior)| *l += prior.ln());
        let total = shown.iter().copied().fold(f64::NEG_INFINITY, ln_add);
        Self { rates: shown.map(|rate| rate - total), grid, model }
    }

    /// Probability that a kernel with these runs is bad; a half when there are none.
    pub(super) fn probability(&self, seen: &Counts) -> f64 {
        let good = self.grid.ln_good(seen);
        let bad = self
            .grid
            .ln_bad(seen)
            .iter()
            .zip(&self.rates)
            .map(|(seen, rate)| seen + rate)
            .fold(f64::NEG_INFINITY, ln_add);
        1.0 / (1.0 + (good - bad).exp())
    }

    /// Clean runs that are missing until it is good with less than `doubt`; at least one.
    pub(super) fn missing(&self, seen: &Counts, doubt: f64) -> u32 {
        // A bad kernel may hide its bug, whatever is run: beyond that no run helps.
        let doubt = doubt.max(3.0 * self.model.hidden);
        (1..MOST)
            .find(|more| self.probability(&Counts { clean: seen.clean + more, ..*seen }) <= doubt)
            .unwrap_or(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(crashes: u32, clean: u32) -> Counts {
        Counts { crashes, clean, censored: 0 }
    }

    #[test]
    fn a_rare_crash_needs_more_clean_runs() {
        let often = Shows::new(&seen(5, 5));
        let rare = Shows::new(&seen(3, 27));
        assert!((often.probability(&Counts::default()) - 0.5).abs() < 1e-9);
        assert!(often.probability(&seen(2, 3)) > 0.99);
        assert!(often.probability(&seen(0, 12)) < 0.05);
        assert!(rare.probability(&seen(0, 12)) > 0.1);
        let (few, many) =
            (often.missing(&Counts::default(), 0.01), rare.missing(&Counts::default(), 0.01));
        assert!(few >= 5 && few < many, "{few} {many}");
    }

    #[test]
    fn what_is_missing_is_enough() {
        let shows = Shows::new(&seen(4, 12));
        let more = shows.missing(&seen(0, 3), 0.01);
        assert!(shows.probability(&seen(0, 3 + more)) <= 0.01);
        assert!(shows.probability(&seen(0, 2 + more)) > 0.01);
    }
}
