//! What builds and runs take, from a guess on.

/// A mean that is somebody's guess until the first value.
#[derive(Clone)]
pub(super) struct Mean {
    guess: f64,
    sum: f64,
    n: u32,
}

impl Mean {
    pub(super) fn starting_at(guess: f64) -> Self {
        Self { guess, sum: 0.0, n: 0 }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    /// In whole milliseconds, so that records say it exactly. Never zero: a cost of nothing would make
    /// its information infinitely cheap.
    pub(super) fn get(&self) -> f64 {
        if self.n == 0 {
            return self.guess;
        }
        ((self.sum / f64::from(self.n) * 1000.0).round() / 1000.0).max(0.001)
    }
}
