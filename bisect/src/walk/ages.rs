//! How old bugs are when they are found, in commits.

/// Ages spread evenly on a logarithmic scale, from about this many commits on. With a kernel's 14,000
/// commits a release, the walks of 302 public bisections agree (`cargo test -p kiln-bisect
/// releases_back -- --nocapture`): 47 % of their bugs were not in the last release, 70 % not in the
/// fifth, and 11 % were in the oldest that could be tested.
const YOUNG: f64 = 200.0;

/// Probability that a bug is older than the whole history.
const BEFORE_HISTORY: f64 = 0.02;
/// Commits of the history that those ages were seen in: as many releases as public bisections can
/// reach, and as many again that they can't build.
const KERNEL: u32 = 70 * RELEASE;
/// Commits of a kernel's release.
const RELEASE: u32 = 14_000;

/// Commits of a project's whole history, of which `history` are at hand. A shallow clone, or one that
/// begins with an import, holds the youngest: its oldest release is no older for that, and ages must
/// not be scaled to it. How many are missing nobody knows; a kernel's are assumed.
pub fn whole(history: u32, begins_late: bool) -> u32 {
    if begins_late { history.max(KERNEL) } else { history }
}

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

    #[test]
    fn a_cut_history_makes_no_release_older() {
        assert_eq!(whole(50, false), 50);
        let (cut, full) = (whole(20_000, true), whole(1_300_000, true));
        assert_eq!(full, 1_300_000);
        let [cut, full] = [cut, full].map(|history| younger(18_000, history));
        assert!((cut - full).abs() < 0.03 && cut < 0.6, "{cut} {full}");
        assert!(younger(18_000, whole(20_000, false)) > 0.95);
    }

    /// How many releases public bisections went back to a good one, beside what is assumed.
    #[test]
    #[allow(clippy::print_stdout)] // The figures are what one runs this for.
    fn releases_back() {
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
            let assumed = younger((back as u32 * RELEASE) - RELEASE / 2, KERNEL);
            println!("at most {back:>2} back: {share:.2}, assumed {assumed:.2}");
            assert!((share - assumed).abs() < 0.15, "{back}: {share} {assumed}");
        }
        let none = walks.iter().filter(|walk| walk.is_none()).count();
        println!("no release was good: {:.2}", none as f64 / walks.len() as f64);
    }
}
