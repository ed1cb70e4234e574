//! What must have been seen before a commit is named.

use crate::belief::Counts;

use super::choose::Search;
use super::problem::Place;
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
/// come here, since the posterior rules the commit out. One before the range counts its own runs. Where a
/// branch forked off from it, nothing else tells whether the branch had the bug before: one crash there
/// may be chance, and asks for as many clean runs again. (With more of them, the branch says nothing:
/// [`State::Unclear`].)
///
/// [`State::Unclear`]: super::problem::State::Unclear
pub(super) fn check(search: &Search<'_>, commit: u32) -> (Vec<Cleared>, Vec<Missing>) {
    let problem = search.problem;
    let own = problem.counts(Place::Commit(commit));
    let mut missing = Vec::new();
    let mut ask = |place: Place, bad: bool, seen: Counts, tells: bool| {
        let clean = clean_runs(search.posterior.rate.mean, search.settings.parent_doubt);
        let (have, needed) = match (bad, place) {
            (true, _) => (seen.crashes, search.settings.crashes),
            (false, Place::Fork(_)) => (seen.clean, clean.saturating_mul(1 + seen.crashes)),
            (false, _) => (seen.clean, clean),
        };
        if have < needed && tells {
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
    ask(Place::Commit(commit), problem.find.bad(true), own, true);
    let mut cleared = Vec::new();
    for parent in problem.parents(commit) {
        let counts = problem.counts(parent);
        let (seen, tells) = match parent {
            Place::Base | Place::Fork(_) => (counts, true),
            Place::Commit(inside) => {
                let between: Vec<u32> = search.posterior.tested_between(inside, commit).collect();
                let add = |sum: Counts, image: &u32| sum.and(&problem.images[*image as usize]);
                let seen = between.iter().fold(Counts::default(), add);
                // Where revisions with the commit give the parent's image, too, no run of it says
                // anything.
                let alone = problem.status(parent).image.is_some_and(|own| between.contains(&own));
                (seen, counts.informative() == 0 || alone)
            }
        };
        let (seen, needed) = ask(parent, problem.find.bad(false), seen, tells);
        cleared.push(Cleared { parent, seen, needed });
    }
    (cleared, missing)
}
