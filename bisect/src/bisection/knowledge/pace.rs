//! What a build takes, by how many objects it makes.

use kiln_builder::Efforts;

/// Share of a whole build that one takes which makes nothing, before any was seen: make looks at all
/// files, and the kernel is linked and packed.
const LEAST: f64 = 0.1;
/// That share is never taken for less, or for more, whatever clocks say.
const LEAST_BETWEEN: (f64, f64) = (0.01, 0.9);
/// What makes so much of a kernel says how long all of it takes, and what makes less, what comes beside
/// the objects.
const MUCH: f64 = 0.5;
/// Seconds are told in so many steps for each power of ten, so that records say many in few words: the
/// estimates are worse than that.
const STEPS: f64 = 10.0;

/// What a build is expected to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bisection) struct Price {
    /// Seconds.
    pub(in crate::bisection) seconds: f64,
    /// The share of a kernel's objects that it makes, where that can be told.
    pub(in crate::bisection) share: Option<f64>,
}

/// A line from nothing to all objects, through what builds took that were compiled here: of those that
/// others compiled nobody knows what they made, and upon which machine.
#[derive(Clone, Default)]
pub(super) struct Pace {
    /// Shares of a kernel's objects that builds made, with their seconds.
    seen: Vec<(f64, f64)>,
}

impl Pace {
    /// Takes note of what a build took that made a share of a kernel's objects.
    pub(super) fn made(&mut self, share: f64, seconds: f64) {
        self.seen.push((share, seconds));
    }

    /// Seconds of a build of each commit. `guess`: of a whole build, while none was seen.
    pub(super) fn seconds(&self, efforts: &Efforts, guess: f64) -> Vec<f64> {
        let line = self.line(guess);
        efforts.anew.iter().map(|anew| line.at(share(*anew, efforts.whole))).collect()
    }

    /// What a build of one commit is expected to take; `None` of one that is not known of.
    pub(super) fn price(&self, efforts: &Efforts, commit: u32, guess: f64) -> Option<Price> {
        let share = share(*efforts.anew.get(commit as usize)?, efforts.whole);
        Some(Price { seconds: self.line(guess).at(share), share: Some(share) })
    }

    fn line(&self, guess: f64) -> Line {
        let whole = self.whole().unwrap_or(guess);
        let (low, high) = LEAST_BETWEEN;
        let told = self.seen.iter().filter(|(share, _)| *share < MUCH);
        let told = told
            .map(|(share, seconds)| ((seconds / whole - share) / (1.0 - share)).clamp(low, high));
        let told: Vec<f64> = std::iter::once(LEAST).chain(told).collect();
        Line { whole, least: told.iter().sum::<f64>() / told.len() as f64 }
    }

    /// What a whole build takes: the middle one of what builds tell that made much, or of all where none
    /// did, so that one odd hour does not decide.
    fn whole(&self) -> Option<f64> {
        let of_whole = |(share, seconds): &(f64, f64)| seconds / (LEAST + (1.0 - LEAST) * share);
        let much = self.seen.iter().filter(|(share, _)| *share >= MUCH);
        let mut told: Vec<f64> = much.map(of_whole).collect();
        if told.is_empty() {
            told = self.seen.iter().map(of_whole).collect();
        }
        told.sort_by(f64::total_cmp);
        told.get(told.len().saturating_sub(1) / 2).copied().filter(|whole| *whole > 0.0)
    }
}

struct Line {
    whole: f64,
    least: f64,
}

impl Line {
    /// Rounded to a step, in whole milliseconds and never zero: records say it exactly, and nothing is
    /// free.
    fn at(&self, share: f64) -> f64 {
        let seconds = self.whole * (self.least + (1.0 - self.least) * share);
        let step = (seconds.max(0.001).log10() * STEPS).round() / STEPS;
        (10f64.powf(step) * 1000.0).round() / 1000.0
    }
}

/// Objects as a share of all; of a kernel of which nothing is known, everything.
fn share(objects: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { objects as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace, guess: f64) -> Vec<f64> {
        pace.seconds(&Efforts { whole: 1000, anew: vec![0, 10, 500, 1000] }, guess)
    }

    #[test]
    fn builds_that_make_more_take_longer() {
        let mut pace = Pace::default();
        assert_eq!(seconds(&pace, 1000.0), [100.0, 100.0, 501.187, 1000.0]);
        pace.made(1.0, 100.0);
        assert_eq!(seconds(&pace, 1000.0), [10.0, 10.0, 50.119, 100.0]);
        // Linking takes longer than was thought.
        (0..9).for_each(|_| pace.made(0.0, 41.0));
        assert_eq!(seconds(&pace, 1000.0), [39.811, 39.811, 63.096, 100.0]);
        // An hour in which the machine had other work, and a clock that went back.
        pace.made(1.0, 3600.0);
        pace.made(1.0, 110.0);
        assert_eq!(seconds(&pace, 1000.0)[3], 100.0);
        pace.made(0.4, 0.0);
        assert!(seconds(&pace, 1.0).iter().all(|seconds| *seconds > 0.0));
    }

    #[test]
    fn what_is_begun_with_says_what_is_expected() {
        let nothing = Efforts { whole: 0, anew: vec![0] };
        let mut pace = Pace::default();
        let price = |pace: &Pace, efforts: &Efforts| pace.price(efforts, 0, 10.0);
        assert_eq!(price(&pace, &nothing), Some(Price { seconds: 10.0, share: Some(1.0) }));
        // Only builds upon others were seen.
        pace.made(0.01, 11.0);
        let some = Efforts { whole: 100, anew: vec![1] };
        assert_eq!(price(&pace, &some), Some(Price { seconds: 10.0, share: Some(0.01) }));
        assert_eq!(price(&pace, &nothing).map(|it| it.seconds), Some(100.0));
        assert_eq!(pace.price(&some, 1, 10.0), None);
    }
}
