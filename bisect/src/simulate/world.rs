//! The worlds of design section 7.

use serde::{Deserialize, Serialize};

/// Form of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One parent each.
    #[default]
    Linear,
    /// Like the kernel's: topic branches of about 12 commits that fork from older mainline points.
    Merges,
}

/// What a made-up bisection is like. The default is the main table's world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// Commits of the range.
    pub commits: u32,
    /// Form of the history.
    pub shape: Shape,
    /// Probability that one run of a bad kernel shows the target.
    pub rate: f64,
    /// Coefficient of variation of that rate from image to image.
    pub drift: f64,
    /// Share of trials whose bug is older than the good end.
    pub older: f64,
    /// Probability that a run fails for the host's reasons.
    pub infra: f64,
    /// Probability that a run of any kernel crashes for an unrelated reason.
    pub unrelated: f64,
    /// Share of unrelated crashes that bear the target's title.
    pub unrelated_same_title: f64,
    /// Probability that a run of any kernel shows the target's title for another cause.
    pub same_title: f64,
    /// Share of the bug's own crashes that bear another title.
    pub other_title: f64,
    /// Share of trials with a second bug, on a span of 5-50 % of history.
    pub second_bug: f64,
    /// Probability that a run crashes in the second bug's span.
    pub second_rate: f64,
    /// Share of commits that are first suspects, in short series; with none there is no asking.
    pub suspects: f64,
    /// Probability that the culprit is one of them.
    pub suspected: f64,
    /// Share of commits that don't build.
    pub broken: f64,
    /// Mean number of them in a row.
    pub broken_length: f64,
    /// Share of commits that change the image.
    pub changing: f64,
    /// Machines side by side.
    pub machines: u32,
    /// Builds side by side while machines run; none are made then when it is zero.
    pub builders: u32,
    /// Whether all that builds is built when the bisection begins.
    pub warm: bool,
    /// Minutes for a build.
    pub build_minutes: f64,
    /// Minutes for a run.
    pub run_minutes: f64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            commits: 6693,
            shape: Shape::Linear,
            rate: 1.0,
            drift: 0.0,
            older: 0.0,
            infra: 0.03,
            unrelated: 0.002,
            unrelated_same_title: 0.02,
            same_title: 0.0,
            other_title: 0.0,
            second_bug: 0.3,
            second_rate: 0.2,
            suspects: 0.0,
            suspected: 0.0,
            broken: 0.02,
            broken_length: 15.0,
            changing: 1.0,
            machines: 1,
            builders: 0,
            warm: false,
            build_minutes: 10.0,
            run_minutes: 2.0,
        }
    }
}

impl World {
    /// Hours that no method can beat at 5 % error (design section 7): a run is a Z-channel of
    /// capacity `log2(1 + p (1-p)^((1-p)/p))`, 95 % of the bits to name a commit are needed, and a
    /// build gives at most one of them. Builders and machines take turns, or, with builders that work
    /// while machines run, wait for each other no more than the slower of the two takes.
    pub fn lower_bound_hours(&self) -> f64 {
        let p = self.rate.clamp(1e-6, 1.0);
        let capacity = if p >= 1.0 { 1.0 } else { (p * (1.0 - p).powf((1.0 - p) / p)).ln_1p() }
            / if p >= 1.0 { 1.0 } else { std::f64::consts::LN_2 };
        let n = f64::from(self.commits.max(2));
        let error: f64 = 0.05;
        let bits =
            n.log2() + error * (error / (n - 1.0)).log2() + (1.0 - error) * (1.0 - error).log2();
        let runs = bits / capacity / f64::from(self.machines.max(1));
        let build_minutes = if self.warm { 0.0 } else { self.build_minutes };
        let (building, running) = (bits * build_minutes / 60.0, runs * self.run_minutes / 60.0);
        match self.builders {
            0 => building + running,
            builders => running.max(building / f64::from(builders)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_is_the_design_tables() {
        for (rate, hours) in [(1.0, 2.36), (0.5, 3.18), (0.2, 5.42), (0.1, 9.13), (0.05, 16.5)] {
            let got = World { rate, ..World::default() }.lower_bound_hours();
            assert!((got / hours - 1.0).abs() < 0.01, "{rate}: {got}");
        }
        // With one builder beside them, ten machines wait for builds all the time; with a hundred,
        // builds wait for the machines.
        let beside = |builders| {
            let world = World { rate: 0.1, machines: 10, builders, ..World::default() };
            world.lower_bound_hours()
        };
        assert!((beside(1) - 11.8 / 6.0).abs() < 0.01, "{}", beside(1));
        assert!((beside(100) - (9.13 - 11.8 / 6.0) / 10.0).abs() < 0.01, "{}", beside(100));
    }
}
