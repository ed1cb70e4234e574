//! Random numbers that are the same everywhere.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and good enough for simulations.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// A stream of its own for each `trial` of a `seed`.
    pub(super) fn new(seed: u64, trial: u64) -> Self {
        let mut start = Self(seed ^ 0x6b69_6c6e_0000_0000);
        let base = start.next();
        Self(base ^ Self(trial.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..n; zero for an empty range.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        (self.unit() * f64::from(n)) as u32
    }

    /// At least one, with this mean.
    pub(super) fn geometric(&mut self, mean: f64) -> u32 {
        let stop = 1.0 / mean.max(1.0);
        if stop >= 1.0 {
            return 1;
        }
        1 + ((1.0 - self.unit()).ln() / (1.0 - stop).ln()) as u32
    }

    /// Beta with parameters `a` and `b`.
    pub(super) fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        if x + y > 0.0 { x / (x + y) } else { a / (a + b) }
    }

    /// Gamma with this shape and scale 1 (Marsaglia and Tsang, 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * (1.0 - self.unit()).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Normal with mean 0 and variance 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_their_means() {
        let mut random = Random::new(1, 2);
        let n = 40_000;
        let mean = |sum: f64| sum / f64::from(n);
        assert!((mean((0..n).map(|_| random.unit()).sum()) - 0.5).abs() < 0.01);
        assert!((mean((0..n).map(|_| f64::from(random.geometric(12.0))).sum()) - 12.0).abs() < 0.4);
        let squares: f64 = (0..n).map(|_| random.normal().powi(2)).sum();
        assert!((mean(squares) - 1.0).abs() < 0.05);
        let rates: Vec<f64> = (0..n).map(|_| random.beta(0.8, 7.2)).collect();
        assert!((mean(rates.iter().sum()) - 0.1).abs() < 0.003);
        // Coefficient of variation 1: what the trap world of drift 1 is made of.
        assert!((mean(rates.iter().map(|r| (r / 0.1 - 1.0).powi(2)).sum()) - 1.0).abs() < 0.05);
        assert_ne!(Random::new(1, 3).next(), Random::new(1, 4).next());
    }
}
