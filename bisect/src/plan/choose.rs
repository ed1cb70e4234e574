//! The test that tells the most for its cost.

use crate::belief::{POINTS, Posterior, RateGrid};

use super::gain::{Prospect, Terms, best};
use super::problem::{Place, Problem, State, Status};
use super::settings::Settings;

/// Classes of "probability of being bad" among which one revision each is weighed in full.
const BINS: usize = 64;

/// A revision with the best number of runs of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) place: Place,
    pub(super) prospect: Prospect,
    pub(super) build: bool,
}

/// What the search for a test needs to know.
pub(super) struct Search<'a> {
    pub(super) problem: &'a Problem,
    pub(super) settings: &'a Settings,
    pub(super) grid: &'a RateGrid,
    pub(super) posterior: &'a Posterior,
    /// For each commit the probability that it can be tested.
    pub(super) testable: &'a [f64],
    /// For each image whether some revision with it is built.
    pub(super) built: &'a [bool],
}

impl Search<'_> {
    /// Whether testing `place` needs a build.
    pub(super) fn needs_build(&self, place: Place) -> bool {
        let status = self.problem.status(place);
        status.state != State::Built
            && !status.image.is_some_and(|image| self.built[image as usize])
    }

    /// Whether the image of `place` has run in vain too often.
    pub(super) fn exhausted(&self, place: Place) -> bool {
        let counts = self.problem.counts(place);
        counts.informative() == 0 && counts.total() >= self.settings.patience
    }

    /// Probability that `place` can be tested at all.
    pub(super) fn works(&self, place: Place) -> f64 {
        if self.exhausted(place) {
            return 0.0;
        }
        match place {
            Place::Commit(commit) => self.testable[commit as usize],
            Place::GoodEnd => match self.problem.good_end.state {
                State::Built => 1.0,
                State::Broken | State::Untestable => 0.0,
                State::Unknown => 1.0 - self.settings.span_share,
            },
        }
    }

    /// Runs that the budget leaves.
    pub(super) fn runs_left(&self) -> u32 {
        let most = self.settings.max_runs.unwrap_or(u32::MAX);
        most.saturating_sub(self.problem.spent.runs)
    }

    /// Whether the budget allows another build.
    pub(super) fn may_build(&self) -> bool {
        self.settings.max_builds.is_none_or(|most| self.problem.spent.builds < most)
    }

    /// The best test within the budget of builds (or beyond it, when `unlimited`).
    pub(super) fn best(&self, unlimited: bool) -> Option<Choice> {
        let runs_left = if unlimited { u32::MAX } else { self.runs_left() };
        let terms = Terms {
            grid: self.grid,
            epsilon: self.settings.model.epsilon,
            run_seconds: self.problem.costs.run_seconds,
            machines: self.problem.machines,
            most_runs: runs_left.min(400),
        };
        let images = self.problem.image_list();
        let by_rate = self.posterior.bad_by_rate(&self.problem.evidence(&images));
        let mut best_choice: Option<Choice> = None;
        for place in self.candidates() {
            let build = self.needs_build(place);
            if build && !unlimited && !self.may_build() {
                continue;
            }
            let bad: &[f64; POINTS] = match place {
                Place::GoodEnd => self.posterior.older_by_rate(),
                Place::Commit(commit) => &by_rate[commit as usize],
            };
            let build_seconds = if build { self.problem.costs.build_seconds } else { 0.0 };
            let seen = self.problem.counts(place);
            let Some(prospect) = best(&terms, bad, &seen, build_seconds, self.works(place)) else {
                continue;
            };
            if best_choice.is_none_or(|b| prospect.value() > b.prospect.value()) {
                best_choice = Some(Choice { place, prospect, build });
            }
        }
        best_choice
    }

    /// Every built revision that can still tell something, and of the others the most promising
    /// of each class of probability.
    fn candidates(&self) -> Vec<Place> {
        let mut list = vec![Place::GoodEnd];
        let mut taken = vec![false; self.built.len()];
        let mut bins: [Option<(f64, u32)>; BINS] = [None; BINS];
        for commit in 0..self.problem.graph.len() as u32 {
            let bad = self.posterior.bad[commit as usize];
            let place = Place::Commit(commit);
            if !(1e-4..=1.0 - 1e-4).contains(&bad) || self.testable[commit as usize] <= 0.0 {
                continue;
            }
            if !self.needs_build(place) {
                // Of several twins one with a build of its own is enough.
                let Status { image, state } = self.problem.status(place);
                let fresh = |i: u32| !std::mem::replace(&mut taken[i as usize], true);
                if state == State::Built && image.is_none_or(fresh) && !self.exhausted(place) {
                    list.push(place);
                }
                continue;
            }
            let promise = self.testable[commit as usize] * crate::belief::entropy_bits(bad);
            let bin = &mut bins[((bad * BINS as f64) as usize).min(BINS - 1)];
            if bin.is_none_or(|(best, _)| promise > best) {
                *bin = Some((promise, commit));
            }
        }
        list.extend(bins.into_iter().flatten().map(|(_, commit)| Place::Commit(commit)));
        list
    }
}
