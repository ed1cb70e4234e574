//! Whether the target goes on, beyond the commit that is to be named, under another title.

use std::collections::{BTreeMap, BTreeSet};

use crate::belief::{Find, ln_beta};

use super::choose::Search;
use super::confirm::clean_runs;
use super::problem::{Place, Problem};

/// Chance below which so few crashes on the bad side are no accident, were the title as frequent
/// there as on the good one.
const ACCIDENT: f64 = 0.05;

/// What crashes under other titles on the good side of a commit say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Renamed {
    /// There are none that matter, or they are another bug, which is on both sides.
    No,
    /// The bad side has run too little to tell: so many more runs of this revision.
    Unclear(Place, u32),
    /// They may well be the target under another name. How often each title was seen.
    Maybe(BTreeMap<String, u32>),
}

/// Judges the crashes under other titles on the side of `commit` that is to be good: a revision
/// there that crashes as often as the target does may well have the bug under another name.
///
/// A title matters from `settings.crashes` crashes on, at a share of the runs that is not below the
/// lower end of the target's rate. It is another bug when the bad side shows it too: some image there
/// at more than half that share; or all together so often that the difference may be an accident
/// (Fisher's exact test, one-sided), with runs enough to have seen it. Images next to the commit speak
/// best, since other bugs come and go as well: where the bad side says nothing yet, the commit's own
/// revision (a parent, when a fix is sought) is asked to run.
pub(super) fn renamed(search: &Search<'_>, commit: u32) -> Renamed {
    let problem = search.problem;
    let with: BTreeSet<u32> = search.posterior.tested_with(commit).collect();
    let bad_side: Vec<u32> = match problem.find {
        Find::Cause => with.into_iter().collect(),
        Find::Fix => search.posterior.tested().filter(|image| !with.contains(image)).collect(),
    };
    let together = Shown::of(problem, bad_side.iter().copied());
    let nearest = nearest_bad(search, commit);
    let near = Shown::of(problem, problem.status(nearest).image);
    let mut more = 0;
    let mut all = BTreeMap::new();
    for images in good_sides(search, commit) {
        let good = Shown::of(problem, images);
        for (title, times) in good.titles {
            let share = share(times, good.runs);
            if times < search.settings.crashes || share < search.posterior.rate.low {
                continue;
            }
            let needed = clean_runs(share, ACCIDENT);
            let elsewhere = together.times(&title);
            let accident = chance_of_so_few(elsewhere, together.runs, times, good.runs) > ACCIDENT;
            let shown = |image: &u32| Shown::of(problem, [*image]).as_often(&title, share);
            if (accident && together.runs >= needed) || bad_side.iter().any(shown) {
                continue;
            }
            if near.runs < needed && search.works(nearest) > 0.0 {
                more = more.max(needed - near.runs);
            } else {
                all.insert(title, times);
            }
        }
    }
    match (more, all.is_empty()) {
        (0, true) => Renamed::No,
        (0, false) => Renamed::Maybe(all),
        (runs, _) => Renamed::Unclear(nearest, runs),
    }
}

/// The revision next to the commit that has the bug, if the commit is the one.
fn nearest_bad(search: &Search<'_>, commit: u32) -> Place {
    match search.problem.find {
        Find::Cause => Place::Commit(commit),
        Find::Fix => {
            let works = |parent: &Place| search.works(*parent) > 0.0;
            search.problem.parents(commit).find(works).unwrap_or(Place::Base)
        }
    }
}

/// The images that are to show that each parent is good, or the fix itself.
fn good_sides(search: &Search<'_>, commit: u32) -> Vec<BTreeSet<u32>> {
    let own = |place: Place| search.problem.status(place).image;
    match search.problem.find {
        Find::Fix => vec![own(Place::Commit(commit)).into_iter().collect()],
        Find::Cause => search
            .problem
            .parents(commit)
            .map(|parent| {
                let inside = parent.commit().into_iter();
                let between = inside.flat_map(|it| search.posterior.tested_between(it, commit));
                between.chain(own(parent)).collect()
            })
            .collect(),
    }
}

/// Runs that reached the test, and what they showed beside the target.
struct Shown {
    titles: BTreeMap<String, u32>,
    runs: u32,
}

impl Shown {
    fn of(problem: &Problem, images: impl IntoIterator<Item = u32>) -> Self {
        let mut shown = Self { titles: BTreeMap::new(), runs: 0 };
        for image in images {
            shown.runs += problem.images.get(image as usize).map_or(0, |c| c.informative());
            for (title, n) in problem.others.get(image as usize).into_iter().flatten() {
                *shown.titles.entry(title.clone()).or_default() += n;
                shown.runs += n;
            }
        }
        shown
    }

    fn times(&self, title: &str) -> u32 {
        self.titles.get(title).copied().unwrap_or(0)
    }

    /// Whether a title shows here more than once, and at more than half of `often`.
    fn as_often(&self, title: &str, often: f64) -> bool {
        let times = self.times(title);
        times > 1 && 2.0 * share(times, self.runs) > often
    }
}

/// The share that `times` of `runs` are.
fn share(times: u32, runs: u32) -> f64 {
    f64::from(times) / f64::from(runs.max(1))
}

/// Probability that at most `few` of all crashes fall on `few_runs` runs, and the rest on the other
/// `many_runs`, when all runs are alike: the lower tail of the hypergeometric distribution, as in
/// Fisher's exact test.
fn chance_of_so_few(few: u32, few_runs: u32, many: u32, many_runs: u32) -> f64 {
    let ln_choose = |n: u32, k: u32| {
        let (n, k) = (f64::from(n), f64::from(k));
        -(n + 1.0).ln() - ln_beta(n - k + 1.0, k + 1.0)
    };
    let crashes = few + many;
    let least = crashes.saturating_sub(many_runs);
    let all = ln_choose(few_runs + many_runs, crashes);
    let term = |k: u32| ln_choose(few_runs, k) + ln_choose(many_runs, crashes - k) - all;
    (least..=few.min(few_runs)).map(|k| term(k).exp()).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_tail_is_fishers() {
        // The lady tasting tea: 1 of 4 right on one side and 3 of 4 on the other gives 17/70.
        assert!((chance_of_so_few(1, 4, 3, 4) - 17.0 / 70.0).abs() < 1e-9);
        // 3 crashes, all of them on 30 of 90 runs.
        let alone: f64 =
            (28..=30).map(f64::from).product::<f64>() / (88..=90).map(f64::from).product::<f64>();
        assert!((chance_of_so_few(0, 60, 3, 30) - alone).abs() < 1e-9);
        assert!((chance_of_so_few(5, 10, 0, 10) - 1.0).abs() < 1e-9);
        assert!((chance_of_so_few(0, 0, 2, 10) - 1.0).abs() < 1e-9);
    }
}
