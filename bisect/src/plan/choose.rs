//! The test that tells the most for its cost.

use crate::belief::{Counts, Find, Posterior, RateGrid};

use super::confirm::clean_runs;
use super::gain::{Prospect, Quiet, Terms};
use super::problem::{Place, Problem, State, Status};
use super::scarce::{Scarce, builds_left, runs_left};
use super::settings::Settings;

/// Classes of "probability of being bad" among which one revision each is weighed in full.
const BINS: usize = 64;
/// Chance that a bad kernel shows nothing in so many runs as are charged when the revisions of a class
/// are held against each other by what their builds take.
const QUIET: f64 = 0.05;

/// A revision with the best number of runs of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) place: Place,
    pub(super) prospect: Prospect,
    /// Seconds expected, by what its own build takes.
    pub(super) seconds: f64,
    pub(super) build: bool,
}

/// Among which tests the best is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Those that the budget allows.
    Allowed,
    /// All.
    Any,
    /// So many runs, at most, of revisions that are built.
    AtHand {
        /// Runs.
        runs: u32,
    },
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
    /// Of what there may be too little.
    pub(super) scarce: Scarce,
}

impl Search<'_> {
    /// Whether testing `place` needs a build.
    pub(super) fn needs_build(&self, place: Place) -> bool {
        let status = self.problem.status(place);
        status.state != State::Built
            && !status.image.is_some_and(|image| self.built[image as usize])
    }

    /// Seconds until `place` is built; what is under way takes what is left of it.
    pub(super) fn build_seconds(&self, place: Place) -> f64 {
        match (self.needs_build(place), self.problem.build_under_way(place)) {
            (false, _) => 0.0,
            (true, Some(building)) => building.seconds,
            (true, None) => self.problem.build_seconds(place),
        }
    }

    /// Seconds that getting `place` is charged with when tests are held against each other. Where builds
    /// are scarce, each must tell as much as it can: a cheap one costs as many.
    fn price(&self, place: Place) -> f64 {
        let is_begun = self.problem.build_under_way(place).is_some();
        match !self.scarce.builds || is_begun || !self.needs_build(place) {
            true => self.build_seconds(place),
            false => self.problem.costs.build_seconds,
        }
    }

    /// Whether the image of `place` has run in vain too often.
    pub(super) fn exhausted(&self, place: Place) -> bool {
        self.problem.counts(place).in_vain(self.settings.patience)
    }

    /// Whether the image of `place` stays silent where it is to show the target: it hides the bug more
    /// probably than not, if `commit` is the one (without a commit, if all revisions are bad). More runs
    /// of it would only make that surer.
    pub(super) fn hides(&self, place: Place, commit: Option<u32>) -> bool {
        let shows = self.grid.shows(&self.problem.counts(place));
        self.posterior.shows(commit, &shows) < 0.5
    }

    /// Probability that `place` is bad.
    pub(super) fn bad(&self, place: Place) -> f64 {
        match place {
            Place::Base => self.posterior.bad_base,
            Place::Commit(commit) => self.posterior.bad[commit as usize],
            Place::Fork(fork) => self.posterior.forks[fork as usize],
        }
    }

    /// Probability that `place` can be tested at all.
    pub(super) fn works(&self, place: Place) -> f64 {
        if self.exhausted(place) {
            return 0.0;
        }
        match place {
            Place::Commit(commit) => self.testable[commit as usize],
            Place::Base | Place::Fork(_) => match self.problem.status(place).state {
                State::Built => 1.0,
                State::Broken | State::Untestable | State::Unclear => 0.0,
                State::Unknown => 1.0 - self.settings.span_share,
            },
        }
    }

    /// Runs of `place` that surely end before the time is over that the user gives, its build first; whole
    /// rounds of all machines.
    pub(super) fn runs_in_time(&self, place: Place) -> u32 {
        let Some(left) = self.problem.seconds_left else { return u32::MAX };
        let rounds = (left - self.build_seconds(place)) / self.problem.costs.run_seconds;
        // (Saturates, and what is negative is none.)
        (rounds as u32).saturating_mul(self.problem.machines.max(1))
    }

    /// Runs that the budget leaves.
    pub(super) fn runs_left(&self) -> u32 {
        runs_left(self.problem, self.settings)
    }

    /// Whether the budget allows another build beside those under way.
    pub(super) fn may_build(&self) -> bool {
        builds_left(self.problem, self.settings) > 0
    }

    /// Whether the budget allows the build that testing `place` needs, if any.
    pub(super) fn may_get(&self, place: Place) -> bool {
        !self.needs_build(place)
            || self.problem.build_under_way(place).is_some()
            || self.may_build()
    }

    /// The best test among those of `which`.
    pub(super) fn best(&self, which: Which) -> Option<Choice> {
        let runs_left = match which {
            Which::Any => u32::MAX,
            Which::Allowed => self.runs_left(),
            Which::AtHand { runs } => self.runs_left().min(runs),
        };
        let terms = Terms {
            grid: self.grid,
            posterior: self.posterior,
            epsilon: self.settings.model.epsilon,
            run_seconds: self.problem.costs.run_seconds,
            // Where runs are scarce each must tell as much as it can, not each round.
            machines: if self.scarce.runs { 1 } else { self.problem.machines },
            most_runs: runs_left.min(400),
        };
        if runs_left == 0 {
            return None;
        }
        let places: Vec<Place> = self
            .candidates()
            .into_iter()
            .filter(|place| match which {
                Which::Any => true,
                Which::Allowed => self.may_get(*place),
                Which::AtHand { .. } => !self.needs_build(*place),
            })
            .collect();
        let commits: Vec<u32> = places.iter().filter_map(|place| place.commit()).collect();
        let each: Vec<f64> = self.posterior.groups().iter().map(|m| m.iter().sum()).collect();
        let sizes = self.posterior.sizes();
        let mut contents = self.posterior.contents(&self.problem.graph, &commits).into_iter();
        let never_run = Quiet::new(&terms, Counts::default());
        let mut best: Option<Choice> = None;
        for place in places {
            let mut bad: Vec<f64> = match place {
                Place::Base if self.problem.find == Find::Cause => vec![0.0; each.len()],
                Place::Base | Place::Fork(_) => {
                    each.iter().zip(&sizes).map(|(mass, n)| n * mass).collect()
                }
                Place::Commit(_) => contents
                    .next()
                    .unwrap_or_default()
                    .iter()
                    .zip(each.iter().zip(&sizes))
                    .map(|(n, (mass, size))| match self.problem.find {
                        Find::Cause => f64::from(*n) * mass,
                        Find::Fix => (size - f64::from(*n)) * mass,
                    })
                    .collect(),
            };
            bad.push(match place {
                Place::Base | Place::Fork(_) => self.posterior.older,
                Place::Commit(commit) => self.posterior.older_at(&self.problem.graph, commit),
            });
            let build = self.needs_build(place);
            let price = self.price(place);
            let seen = self.problem.counts(place);
            let works = self.works(place);
            let most = match which {
                Which::Any => u32::MAX,
                Which::Allowed | Which::AtHand { .. } => self.runs_in_time(place),
            };
            let prospect = if seen.total() == 0 {
                never_run.best(&terms, &bad, price, works, most)
            } else {
                Quiet::new(&terms, seen).best(&terms, &bad, price, works, most)
            };
            let Some(prospect) = prospect else { continue };
            if best.is_none_or(|b| prospect.value() > b.prospect.value()) {
                let seconds = prospect.seconds - price + self.build_seconds(place);
                best = Some(Choice { place, prospect, seconds, build });
            }
        }
        best
    }

    /// Every revision that is built, or being built, and can still tell something; of the others the
    /// most promising of each class of probability.
    fn candidates(&self) -> Vec<Place> {
        let mut list = vec![Place::Base];
        let mut taken = vec![false; self.built.len()];
        let mut bins: [Option<(f64, u32)>; BINS] = [None; BINS];
        let runs = clean_runs(self.posterior.rate.mean, QUIET);
        let telling = self.problem.costs.seconds(false, runs, self.problem.machines);
        for commit in 0..self.problem.graph.len() as u32 {
            let bad = self.posterior.bad[commit as usize];
            let place = Place::Commit(commit);
            if bad < 1e-4 || self.testable[commit as usize] <= 0.0 {
                continue;
            }
            if bad > 1.0 - 1e-4 && place != self.problem.bad_end() {
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
            if self.problem.build_under_way(place).is_some() {
                list.push(place);
                continue;
            }
            let bits = self.testable[commit as usize] * crate::belief::entropy_bits(bad);
            // (Of equal prices bits decide, to the last digit.)
            let promise = match self.problem.builds.is_empty() {
                true => bits,
                false => bits / (self.price(place) + telling),
            };
            let bin = &mut bins[((bad * BINS as f64) as usize).min(BINS - 1)];
            if bin.is_none_or(|(best, _)| promise > best) {
                *bin = Some((promise, commit));
            }
        }
        list.extend(bins.into_iter().flatten().map(|(_, commit)| Place::Commit(commit)));
        list
    }
}
