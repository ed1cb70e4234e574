//! The target: which crash titles count as the bug that is hunted.

use std::collections::BTreeMap;

use kiln_cache::evidence::Counts;
use regex::Regex;

use crate::console::same_crash;

/// Runs on the bad end after which a smaller lead is taken.
const LEARNING_RUNS: u32 = 40;

/// Runs on the bad end after which no more are made: a crash that shows in one of fifty runs, the
/// lowest rate worth hunting ([`crate::plan::Settings::least_rate`]), stays away from so many in one
/// case of twenty: `ln(0.05) / ln(1 - 0.02)`.
pub const MOST_LEARNING_RUNS: u32 = 149;

/// How many times a title must be seen on the bad end to become the target, when no other is, and
/// how many times more for each time that the next one is: at first, and after [`LEARNING_RUNS`].
/// Where an unrelated crash shows in 1 of 20 runs and the bug in 1 of 4, these take the wrong one in
/// 0.06 % of made-up bisections, after 33 runs on average (in 8 % where the bug shows in 1 of 10).
const CLEAR: (u32, u32) = (4, 3);
const LATER: (u32, u32) = (2, 2);

/// How often two titles must have been seen to count as equally frequent after [`LEARNING_RUNS`]. Where
/// the bug shows in 13 of 100 runs and an unrelated crash in 5, one of a hundred bisections ends with
/// such a tie (with 4 it was one of eight), after 68 runs on average (59).
const TIED: u32 = 12;

/// Matches the titles of the hunted bug.
#[derive(Clone, Debug)]
pub struct Target(Titles);

#[derive(Clone, Debug)]
enum Titles {
    /// Those in which the user's expression is found.
    Pattern(Regex),
    /// This one, and the others that the same crash may have.
    Like(String),
}

/// A pattern that is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("--title '{pattern}' is not a regular expression: {source}")]
pub struct TitleError {
    pattern: String,
    source: regex::Error,
}

impl Target {
    /// A pattern given by the user: a regular expression found anywhere in the title.
    pub fn pattern(pattern: &str) -> Result<Self, TitleError> {
        Regex::new(pattern)
            .map(|pattern| Self(Titles::Pattern(pattern)))
            .map_err(|source| TitleError { pattern: pattern.to_owned(), source })
    }

    /// Exactly this title.
    pub fn exactly(title: &str) -> Result<Self, TitleError> {
        Self::pattern(&format!("^{}$", regex::escape(title)))
    }

    /// A title that was learned, with its other faces: a bad access of memory, for example, is a
    /// KASAN report once, and a page fault or a general protection fault in the same function the
    /// next time.
    pub fn learned(title: &str) -> Self {
        Self(Titles::Like(title.to_owned()))
    }

    /// Whether a crash of this title is the hunted bug.
    pub fn is(&self, title: &str) -> bool {
        match &self.0 {
            Titles::Pattern(pattern) => pattern.is_match(title),
            Titles::Like(known) => same_crash(known, title),
        }
    }

    /// The runs that speak for and against the bug. Everything else (other titles, boot failures,
    /// failures of the host) says nothing about it.
    pub fn informative(&self, counts: &Counts) -> Informative {
        let hits = counts.crashes.iter().filter(|(title, _)| self.is(title)).map(|(_, n)| n).sum();
        Informative { target: hits, clean: counts.ok }
    }
}

/// Runs that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Informative {
    /// Crashes with the target's title.
    pub target: u32,
    /// Runs that ended well.
    pub clean: u32,
}

/// What to do about a title nobody has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learning {
    /// This is it.
    Title(String),
    /// Enough runs, and these were seen equally often: which is meant is for people to say.
    Tie(Vec<String>),
    /// Run the bad end again.
    RunMore,
    /// As many runs as are worth making, and no crash.
    NothingCrashes,
}

/// Chooses the target from what the bad end shows.
///
/// Titles that may be faces of one crash count together, under the most frequent of them. The most
/// frequent title wins when it leads the next one clearly: an unrelated crash that comes first is
/// not the bug. After [`MOST_LEARNING_RUNS`] a lead decides that is no mere chance, even if the title was
/// seen but once, and no other: the planner asks for more of it before it names anything.
pub fn learn(counts: &Counts) -> Learning {
    let titles = families(&counts.crashes);
    let seen = |rank: usize| titles.get(rank).map_or(0, |(_, n)| *n);
    let runs = counts.total() - counts.infra;
    let all = runs >= MOST_LEARNING_RUNS;
    let later = runs >= LEARNING_RUNS;
    let leads = |(alone, each): (u32, u32)| seen(0) >= alone + each * seen(1);
    // By less than what chance makes of equal rates in one of three cases: the counts' own spread.
    let is_near = |n: u32| (seen(0) - n).pow(2) < seen(0) + n;
    match titles.first() {
        Some((_, most))
            if (all && is_near(seen(1))) || (later && seen(1) == *most && *most >= TIED) =>
        {
            let tied = titles.iter().take_while(|(_, n)| is_near(*n));
            Learning::Tie(tied.map(|(title, _)| title.clone()).collect())
        }
        Some((title, _)) if all || leads(CLEAR) || (later && leads(LATER)) => {
            Learning::Title(title.clone())
        }
        None if all => Learning::NothingCrashes,
        _ => Learning::RunMore,
    }
}

/// The most frequent title of each crash, with how often the crash was seen under all of its
/// titles; the most frequent crash first.
fn families(crashes: &BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut families: Vec<(String, u32)> = Vec::new();
    for (title, n) in ranked(crashes) {
        match families.iter_mut().find(|(known, _)| same_crash(known, &title)) {
            Some((_, all)) => *all += n,
            None => families.push((title, n)),
        }
    }
    families.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    families
}

/// Titles with their counts, most frequent first, for messages.
pub fn ranked(crashes: &BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut titles: Vec<(String, u32)> =
        crashes.iter().map(|(title, n)| (title.clone(), *n)).collect();
    titles.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    titles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ok: u32, crashes: &[(&str, u32)]) -> Counts {
        Counts {
            ok,
            crashes: crashes.iter().map(|(title, n)| ((*title).to_owned(), *n)).collect(),
            ..Counts::default()
        }
    }

    #[test]
    fn the_most_frequent_title_wins() {
        assert_eq!(learn(&counts(9, &[("A", 7), ("B", 1)])), Learning::Title("A".into()));
    }

    #[test]
    fn faces_of_one_crash_count_together() {
        let (kasan, fault) =
            ("KASAN: use-after-free Read in foo", "general protection fault in foo");
        let seen = counts(4, &[(kasan, 5), (fault, 2), ("WARNING in bar", 1)]);
        assert_eq!(learn(&seen), Learning::Title(kasan.into()));
        let target = Target::learned(kasan);
        assert!(target.is(kasan) && target.is(fault) && !target.is("WARNING in bar"));
        assert_eq!(target.informative(&seen), Informative { target: 7, clean: 4 });
    }

    #[test]
    fn one_crash_is_no_target() {
        assert_eq!(learn(&counts(3, &[("A", 1)])), Learning::RunMore);
        assert_eq!(learn(&counts(39, &[("A", 1)])), Learning::RunMore);
        assert_eq!(learn(&counts(60, &[("A", 2)])), Learning::Title("A".into()));
        // Failures of the host are no runs of the kernel.
        let faulty = Counts { infra: 90, ..counts(3, &[("A", 1)]) };
        assert_eq!(learn(&faulty), Learning::RunMore);
    }

    #[test]
    fn a_rare_crash_is_hunted_and_none_is_given_up_as_the_planner_does() {
        let least = crate::plan::Settings::default();
        let missed = |runs: u32| (1.0 - least.least_rate).powi(runs as i32);
        assert!(missed(MOST_LEARNING_RUNS) < 1.0 - least.credible);
        assert!(missed(MOST_LEARNING_RUNS - 1) > 1.0 - least.credible);
        assert_eq!(learn(&counts(148, &[("A", 1)])), Learning::Title("A".into()));
        assert_eq!(learn(&counts(148, &[])), Learning::RunMore);
        assert_eq!(learn(&counts(149, &[])), Learning::NothingCrashes);
    }

    #[test]
    fn two_titles_of_like_frequency_need_more_runs() {
        assert_eq!(learn(&counts(4, &[("A", 3), ("B", 2)])), Learning::RunMore);
        assert_eq!(learn(&counts(12, &[("A", 3), ("B", 1)])), Learning::RunMore);
    }

    #[test]
    fn nobody_guesses_between_titles_seen_equally_often() {
        let tie = Learning::Tie(vec!["A".into(), "B".into()]);
        assert_eq!(learn(&counts(30, &[("A", 12), ("B", 12), ("C", 1)])), tie);
        // A few times may be chance.
        assert_eq!(learn(&counts(30, &[("A", 5), ("B", 5)])), Learning::RunMore);
        assert_eq!(learn(&counts(30, &[("A", 12), ("B", 13)])), Learning::RunMore);
        assert_eq!(learn(&counts(30, &[("A", 2), ("B", 8)])), Learning::Title("B".into()));
        assert_eq!(learn(&counts(130, &[("A", 7), ("B", 13)])), Learning::Title("B".into()));
        let near = Learning::Tie(vec!["B".into(), "A".into()]);
        assert_eq!(learn(&counts(130, &[("A", 9), ("B", 10), ("C", 2)])), near);
        assert_eq!(learn(&counts(145, &[("A", 3), ("B", 4)])), near);
        assert_eq!(learn(&counts(38, &[("A", 1), ("B", 1)])), Learning::RunMore);
        assert_eq!(learn(&counts(147, &[("A", 1), ("B", 1)])), tie);
    }

    #[test]
    fn other_titles_say_nothing() {
        let target = Target::exactly("BUG: x (y)").unwrap();
        let seen = target.informative(&counts(5, &[("BUG: x (y)", 2), ("BUG: x (yz)", 7)]));
        assert_eq!(seen, Informative { target: 2, clean: 5 });
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert!(Target::pattern("(").unwrap_err().to_string().contains("--title '('"));
    }
}
