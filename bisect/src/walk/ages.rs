//! How old bugs are when they are found, in commits.

/// Ages spread evenly on a logarithmic scale, from about this many commits on. With a kernel's 14,000
/// commits a release, the walks of 302 public bisections agree (`cargo test -p kiln-bisect
/// releases_back -- --nocapture`): 47 % of their bugs were not in the last release, 70 % not in the
/// fifth, and 11 % were in the oldest that could be tested.
const YOUNG: f64 = 200.0;

/// Probability that a bug is older than the history at hand, which may begin late: an import, or a
/// shallow clone.
const BEFORE_HISTORY: f64 = 0.02;

/// Prior probability that the bug is younger than a revision so many commits `back` from the newest,
/// in a history of `history` commits.
pub fn younger(back: u32, history: u32) -> f64 {
    let share = (f64::from(back) / YOUNG).ln_1p() / (f64::from(history.max(1)) / YOUNG).ln_1p();
    share.min(1.0) * (1.0 - BEFORE_HISTORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::import::tests::shared;

    #[test]
    fn probabilities_rise_with_the_age() {
        let all: Vec<f64> = (0..=1000).map(|back| younger(back, 1000)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(all[0] == 0.0 && (all[1000] - (1.0 - BEFORE_HISTORY)).abs() < 1e-12);
        assert!(younger(5, 0).is_finite());
    }

    /// How many releases public bisections went back to a good one, beside what is assumed.
    #[test]
    #[allow(clippy::print_stdout)] // The figures are what one runs this for.
    fn releases_back() {
        const RELEASE: u32 = 14_000;
        // The releases that such bisections can reach, and as many that they can't build.
        const HISTORY: u32 = 70 * RELEASE;
        let mut walks: Vec<Option<usize>> = Vec::new();
        for (_, log) in shared("syzbot-bisections") {
            let log = String::from_utf8_lossy(&log);
            let tested = log.lines().filter(|line| line.starts_with("testing release ")).count();
            let oldest = log.contains("on the oldest tested release")
                || log.contains("oldest tested release already had the bug");
            if tested > 0 && log.contains("# git bisect start ") {
                walks.push(Some(tested));
            } else if tested > 0 && oldest {
                walks.push(None);
            }
        }
        if walks.is_empty() {
            return;
        }
        println!("of {} walks over releases", walks.len());
        for back in [1, 2, 3, 5, 8, 12] {
            let found = walks.iter().flatten().filter(|tested| **tested <= back).count();
            let share = found as f64 / walks.len() as f64;
            // Found in the midst of a release, on average.
            let assumed = younger((back as u32 * RELEASE) - RELEASE / 2, HISTORY);
            println!("at most {back:>2} back: {share:.2}, assumed {assumed:.2}");
            assert!((share - assumed).abs() < 0.15, "{back}: {share} {assumed}");
        }
        let none = walks.iter().filter(|walk| walk.is_none()).count();
        println!("no release was good: {:.2}", none as f64 / walks.len() as f64);
    }
}
