//! What must have been seen before a commit is named.

use std::collections::{BTreeMap, BTreeSet};

use crate::belief::{Counts, Find};

use super::choose::Search;
use super::problem::{Place, Problem};
use super::verdict::Cleared;

/// What is still missing to name a commit.
pub(super) enum Missing {
    /// Its own revision can't be tested.
    Own,
    /// Target crashes of a revision, which has shown so many.
    Crashes(Place, u32),
    /// Clean runs of a revision.
    Clean(Place, u32),
}

/// Clean runs after which a bad revision would have crashed but for a chance of `doubt`.
pub(crate) fn clean_runs(rate: f64, doubt: f64) -> u32 {
    ((1.0 / doubt.clamp(1e-6, 0.99)).ln() / rate.max(1e-3)).ceil() as u32
}

/// Checks the commit that is to be named, on both of its sides: the revisions that would be bad
/// must have crashed, those that would be good have run clean.
///
/// A parent counts the runs of all tested revisions that contain it and not the commit: they are
/// all like the parent, or the commit is not the one. One whose image equals the commit's own can't
/// come here, since the posterior rules the commit out.
pub(super) fn check(search: &Search<'_>, commit: u32) -> (Vec<Cleared>, Vec<Missing>) {
    let problem = search.problem;
    let own = problem.counts(Place::Commit(commit));
    let mut missing = Vec::new();
    let mut ask = |place: Place, bad: bool, seen: Counts| {
        let (have, needed) = match bad {
            true => (seen.crashes, search.settings.crashes),
            false => {
                (seen.clean, clean_runs(search.posterior.rate.mean, search.settings.parent_doubt))
            }
        };
        if have < needed {
            missing.push(match (search.works(place) > 0.0, bad) {
                (true, true) => Missing::Crashes(place, have),
                (true, false) => Missing::Clean(place, needed - have),
                (false, _) if place == Place::Commit(commit) => Missing::Own,
                // A parent that can't be tested is named as such.
                (false, _) => return (have, needed),
            });
        }
        (have, needed)
    };
    ask(Place::Commit(commit), problem.find.bad(true), own);
    let parents = problem.graph.parents(commit);
    let mut cleared = Vec::new();
    for parent in parents {
        let seen = search
            .posterior
            .tested_between(*parent, commit)
            .fold(Counts::default(), |sum, image| sum.and(&problem.images[image as usize]));
        let parent = Place::Commit(*parent);
        let (seen, needed) = ask(parent, problem.find.bad(false), seen);
        cleared.push(Cleared { parent, seen, needed });
    }
    if parents.is_empty() {
        let parent = Place::Base;
        let (seen, needed) = ask(parent, problem.find.bad(false), problem.counts(parent));
        cleared.push(Cleared { parent, seen, needed });
    }
    (cleared, missing)
}

/// Crashes under other titles that keep a commit from being named, by title: a revision that is to
/// be good and crashes as often as the target does may well have the bug under another name.
///
/// Counted on the revisions that are to show that a parent (the commit itself, when it is a fix) is
/// good, and only from `settings.crashes` on. They keep the commit from being named when their share
/// of the runs there is not below the lower end of the target's rate. A title that the bad end shows
/// at more than half its rate here is another bug, which was there all along.
pub(super) fn strange(search: &Search<'_>, commit: u32) -> BTreeMap<String, u32> {
    let problem = search.problem;
    let at_home = Shown::of(problem, problem.status(problem.bad_end()).image);
    let own = |place: Place| problem.status(place).image;
    let parents = problem.graph.parents(commit);
    let mut places: Vec<BTreeSet<u32>> = match problem.find {
        Find::Fix => vec![own(Place::Commit(commit)).into_iter().collect()],
        Find::Cause => parents
            .iter()
            .map(|parent| {
                let between = search.posterior.tested_between(*parent, commit);
                between.chain(own(Place::Commit(*parent))).collect()
            })
            .collect(),
    };
    if places.is_empty() {
        places.push(own(Place::Base).into_iter().collect());
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
