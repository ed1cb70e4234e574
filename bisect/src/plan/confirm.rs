//! What must have been seen before a culprit is named.

use super::choose::Search;
use super::problem::Place;
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
