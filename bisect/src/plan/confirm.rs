//! What must have been seen before a culprit is named.

use std::collections::{BTreeMap, BTreeSet};

use super::choose::Search;
use super::problem::{Place, Problem};
use super::verdict::Cleared;

/// What is still missing for a culprit.
pub(super) enum Missing {
    /// Target crashes of the culprit's own revision.
    Crashes,
    /// Clean runs of a parent.
    Clean(Place, u32),
}

/// Clean runs after which a bad revision would have crashed but for a chance of `doubt`.
pub(super) fn clean_runs(rate: f64, doubt: f64) -> u32 {
    ((1.0 / doubt.clamp(1e-6, 0.99)).ln() / rate.max(1e-3)).ceil() as u32
}

/// Checks a culprit: its own crashes, and clean runs for each of its parents.
///
/// A parent counts the clean runs of all tested revisions that contain it and not the culprit: if
/// it were bad they all would be. One whose image equals the culprit's can't come here, since the
/// posterior rules the culprit out.
pub(super) fn check(search: &Search<'_>, culprit: u32) -> (Vec<Cleared>, Vec<Missing>) {
    let problem = search.problem;
    let needed = clean_runs(search.posterior.rate.mean, search.settings.parent_doubt);
    let own = problem.counts(Place::Commit(culprit));
    let mut missing = Vec::new();
    if own.crashes < search.settings.crashes {
        missing.push(Missing::Crashes);
    }
    let parents = problem.graph.parents(culprit);
    let mut cleared = Vec::new();
    let mut add = |parent: Place, clean: u32| {
        cleared.push(Cleared { parent, clean_runs: clean, needed });
        if clean < needed && search.works(parent) > 0.0 {
            missing.push(Missing::Clean(parent, needed - clean));
        }
    };
    for parent in parents {
        let clean = search
            .posterior
            .tested_between(*parent, culprit)
            .map(|image| problem.images[image as usize].clean)
            .sum();
        add(Place::Commit(*parent), clean);
    }
    if parents.is_empty() {
        add(Place::GoodEnd, problem.counts(Place::GoodEnd).clean);
    }
    (cleared, missing)
}

/// Crashes under other titles that keep a culprit from being named, by title: a parent that
/// crashes as often as the target does may well have the bug under another name.
///
/// Counted on the revisions that are to clear the parent, itself included, and only from
/// `settings.crashes` on. They keep the culprit from being named when their share of the runs
/// there is not below the lower end of the target's rate. A title that the bad end shows at more
/// than half its rate here is another bug, which was there all along.
pub(super) fn strange(search: &Search<'_>, culprit: u32) -> BTreeMap<String, u32> {
    let problem = search.problem;
    let bad_end = problem.status(Place::Commit(problem.graph.bad_end())).image;
    let at_home = Shown::of(problem, bad_end);
    let own = |place: Place| problem.status(place).image;
    let parents = problem.graph.parents(culprit);
    let mut places: Vec<BTreeSet<u32>> = parents
        .iter()
        .map(|parent| {
            let between = search.posterior.tested_between(*parent, culprit);
            between.chain(own(Place::Commit(*parent))).collect()
        })
        .collect();
    if parents.is_empty() {
        places.push(own(Place::GoodEnd).into_iter().collect());
    }
    let mut all = BTreeMap::new();
    for images in places {
        let mut here = Shown::of(problem, images);
        let runs = here.runs;
        here.titles
            .retain(|title, n| 2.0 * share(at_home.times(title), at_home.runs) <= share(*n, runs));
        let times: u32 = here.titles.values().sum();
        let often = share(times, runs) >= search.posterior.rate.low;
        if times >= search.settings.crashes && often {
            all.extend(here.titles);
        }
    }
    all
}

/// Runs that reached the test, and what they showed beside the target.
struct Shown {
    titles: BTreeMap<String, u32>,
    runs: f64,
}

impl Shown {
    fn of(problem: &Problem, images: impl IntoIterator<Item = u32>) -> Self {
        let mut shown = Self { titles: BTreeMap::new(), runs: 0.0 };
        for image in images {
            let telling = problem.images.get(image as usize).map_or(0, |c| c.informative());
            shown.runs += f64::from(telling);
            for (title, n) in problem.others.get(image as usize).into_iter().flatten() {
                *shown.titles.entry(title.clone()).or_default() += n;
                shown.runs += f64::from(*n);
            }
        }
        shown
    }

    fn times(&self, title: &str) -> u32 {
        self.titles.get(title).copied().unwrap_or(0)
    }
}

/// The share that `times` of `runs` are.
fn share(times: u32, runs: f64) -> f64 {
    f64::from(times) / runs.max(1.0)
}
