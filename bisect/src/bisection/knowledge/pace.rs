//! What a build takes, by how many objects it makes.

use kiln_builder::Efforts;

/// Share of a whole build that one takes which makes nothing, before one was seen: make looks at all
/// files, and the kernel is linked and packed.
const LEAST: f64 = 0.1;
/// That share is never taken for less, or for more, whatever clocks say.
const LEAST_BETWEEN: (f64, f64) = (0.01, 0.9);
/// What makes more of a kernel than this says nothing of that share.
const MOST_TELLING: f64 = 0.8;
/// Seconds are told in so many steps for each power of ten, so that records say many in few words: the
/// estimates are worse than that.
const STEPS: f64 = 10.0;

/// A line from nothing to all objects: its upper end is the longest build seen, its lower end is learned
/// from those that made little.
#[derive(Clone, Default)]
pub(super) struct Pace {
    longest: f64,
    /// Shares of a kernel's objects that builds made, with their seconds.
    seen: Vec<(f64, f64)>,
}

impl Pace {
    /// Takes note of a build's seconds.
    pub(super) fn took(&mut self, seconds: f64) {
        self.longest = self.longest.max(seconds);
    }

    /// Takes note of what a build took that made a share of a kernel's objects.
    pub(super) fn made(&mut self, share: f64, seconds: f64) {
        self.took(seconds);
        if share <= MOST_TELLING {
            self.seen.push((share, seconds));
        }
    }

    /// Seconds of a build of each commit. `guess`: of a whole build, while none was seen.
    pub(super) fn seconds(&self, efforts: &Efforts, guess: f64) -> Vec<f64> {
        let whole = if self.longest > 0.0 { self.longest } else { guess };
        let least = self.least(whole);
        let one =
            |anew: &usize| stepped(whole * (least + (1.0 - least) * share(*anew, efforts.whole)));
        efforts.anew.iter().map(one).collect()
    }

    /// The mean of what builds tell of that share, the guess among them.
    fn least(&self, whole: f64) -> f64 {
        let (low, high) = LEAST_BETWEEN;
        let told = self
            .seen
            .iter()
            .map(|(share, seconds)| ((seconds / whole - share) / (1.0 - share)).clamp(low, high));
        (LEAST + told.sum::<f64>()) / (1 + self.seen.len()) as f64
    }
}

/// Objects as a share of all; all of none is everything.
pub(super) fn share(objects: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { objects as f64 / whole as f64 }
}

/// Rounded to a step, in whole milliseconds and never zero: records say it exactly, and nothing is free.
fn stepped(seconds: f64) -> f64 {
    let step = (seconds.max(0.001).log10() * STEPS).round() / STEPS;
    (10f64.powf(step) * 1000.0).round() / 1000.0
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
        pace.took(100.0);
        assert_eq!(seconds(&pace, 1000.0), [10.0, 10.0, 50.119, 100.0]);
        // Linking takes longer than was thought; what made nearly all says nothing of it.
        (0..9).for_each(|_| pace.made(0.0, 41.0));
        pace.made(0.95, 100.0);
        assert_eq!(seconds(&pace, 1000.0), [39.811, 39.811, 63.096, 100.0]);
        // A clock that went back, and a kernel of nothing.
        pace.made(0.5, 0.0);
        assert!(seconds(&pace, 1.0).iter().all(|seconds| *seconds > 0.0));
        assert_eq!(Pace::default().seconds(&Efforts { whole: 0, anew: vec![0] }, 10.0), [10.0]);
    }
}
