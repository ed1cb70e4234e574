//! All that a decision depends on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::belief::{Counts, Evidence, Find};
use crate::graph::{Graph, Outside};
use crate::rows::Rows;

/// A revision that can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The older end, which the range begins after: the good end, or the bad end when the fix is
    /// sought.
    Base,
    /// A commit of the range, by its index in the graph.
    Commit(u32),
    /// A parent of some commits of the range that lies before the older end, by its number in the graph:
    /// where a branch forked off.
    Fork(u32),
}

impl Place {
    /// The commit, unless it lies before the range.
    pub fn commit(self) -> Option<u32> {
        match self {
            Self::Base | Self::Fork(_) => None,
            Self::Commit(commit) => Some(commit),
        }
    }
}

/// What is known about making and starting a revision's kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody has tried.
    #[default]
    Unknown,
    /// There is a build of it.
    Built,
    /// It does not compile.
    Broken,
    /// It compiles but never reaches the test.
    Untestable,
    /// What it shows would say nothing: the fix is sought, and the revision is not known to contain the
    /// bug; or the cause is sought, and its branch had the bug before it forked off.
    Unclear,
}

/// One revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its image, an index into [`Problem::images`]: known once built, or proven equal to another.
    pub image: Option<u32>,
    /// Whether it can be had.
    pub state: State,
}

/// What things take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// One build.
    pub build_seconds: f64,
    /// One run.
    pub run_seconds: f64,
}

impl Costs {
    /// Seconds for a build, if there is one, and so many runs on machines side by side.
    pub(crate) fn seconds(&self, build: bool, runs: u32, machines: u32) -> f64 {
        let rounds = f64::from(runs.div_ceil(machines.max(1)));
        rounds * self.run_seconds + if build { self.build_seconds } else { 0.0 }
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self { build_seconds: 600.0, run_seconds: 120.0 }
    }
}

/// A build that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Building {
    /// Of which revision.
    pub place: Place,
    /// Seconds that it will probably still take.
    pub seconds: f64,
}

/// What this bisection has paid for so far, for the budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Builds compiled; those under way are not among them.
    pub builds: u32,
    /// Runs made.
    pub runs: u32,
}

/// A bisection as it stands. Equal problems get equal decisions.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The commits of the range.
    pub graph: Arc<Graph>,
    /// One entry a commit.
    pub revisions: Vec<Status>,
    /// The older end.
    pub base: Status,
    /// One entry a fork point of the graph.
    pub forks: Vec<Status>,
    /// What is sought.
    pub find: Find,
    /// Runs of each image.
    pub images: Vec<Counts>,
    /// Crashes of each image under other titles than the target's, by title; images beyond its end
    /// have none. They are no evidence, but can stand against naming a culprit.
    pub others: Vec<BTreeMap<String, u32>>,
    /// Commits that are known to change nothing that runs: none of them is the one.
    pub unchanged: Vec<u32>,
    /// Commits that change nothing which a build at hand reads: hardly one of them is the one.
    pub untouched: Vec<u32>,
    /// Commits that change files of the functions that crashed: the first suspects.
    pub blamed: Vec<u32>,
    /// For commits that failed to build in a file: the commits in which that file is the same. The
    /// others have another one, and the failure says nothing of them.
    pub faults: BTreeMap<u32, Rows>,
    /// What builds and runs take in the mean.
    pub costs: Costs,
    /// Seconds that the build of each commit takes, as they differ by how much they make anew; empty
    /// where nobody can say.
    pub builds: Vec<f64>,
    /// Machines that run side by side.
    pub machines: u32,
    /// Builds that are under way.
    pub building: Vec<Building>,
    /// For the budgets of [`super::Settings`].
    pub spent: Spent,
    /// Seconds until the time that the user gives is over; nothing where there is no such limit.
    pub seconds_left: Option<f64>,
}

/// Why a problem can't be decided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// One status a commit is needed, and what a build takes of all or none.
    #[error("the graph has {commits} commits, but {statuses} statuses or builds were given")]
    Length {
        /// Commits of the graph.
        commits: usize,
        /// How many were given.
        statuses: usize,
    },
    /// One status a fork point is needed.
    #[error("the graph has {forks} fork points, but {statuses} statuses of such were given")]
    Forks {
        /// Fork points of the graph.
        forks: u32,
        /// How many were given.
        statuses: usize,
    },
    /// A status names an image that has no counts.
    #[error("{place:?} names image {image}, but only {images} images have counts")]
    Image {
        /// Where.
        place: Place,
        /// The image named.
        image: u32,
        /// How many there are.
        images: usize,
    },
    /// A build whose image is not known can't hold evidence.
    #[error("{place:?} is built but names no image")]
    NoImage {
        /// Where.
        place: Place,
    },
    /// A commit that the graph does not have.
    #[error(
        "commit {commit} is said to change nothing that matters, but the graph has {commits} commits"
    )]
    Unchanged {
        /// The commit named.
        commit: u32,
        /// Commits of the graph.
        commits: usize,
    },
    /// A build of a commit that the graph does not have.
    #[error("commit {commit} is said to be built, but the graph has {commits} commits")]
    Building {
        /// The commit named.
        commit: u32,
        /// Commits of the graph.
        commits: usize,
    },
    /// Costs are positive.
    #[error("a cost of {0} seconds: costs must be positive and finite")]
    Cost(f64),
}

impl Problem {
    /// A bisection at its start: nothing built, nothing run, one machine.
    pub fn new(graph: Arc<Graph>, costs: Costs) -> Self {
        let revisions = vec![Status::default(); graph.len()];
        let forks = vec![Status::default(); graph.forks() as usize];
        Self {
            graph,
            revisions,
            forks,
            base: Status::default(),
            find: Find::Cause,
            images: Vec::new(),
            others: Vec::new(),
            unchanged: Vec::new(),
            untouched: Vec::new(),
            blamed: Vec::new(),
            faults: BTreeMap::new(),
            costs,
            builds: Vec::new(),
            machines: 1,
            building: Vec::new(),
            spent: Spent::default(),
            seconds_left: None,
        }
    }

    /// What is known of a revision. `place` must be of this graph.
    pub fn status(&self, place: Place) -> Status {
        match place {
            Place::Base => self.base,
            Place::Commit(commit) => self.revisions[commit as usize],
            Place::Fork(fork) => self.forks[fork as usize],
        }
    }

    /// The parents of a commit, those before the range last.
    pub(crate) fn parents(&self, commit: u32) -> impl Iterator<Item = Place> {
        parents(&self.graph, commit)
    }

    /// Runs of a revision's image so far.
    pub fn counts(&self, place: Place) -> Counts {
        self.status(place)
            .image
            .and_then(|image| self.images.get(image as usize).copied())
            .unwrap_or_default()
    }

    /// Seconds that a build of a revision takes. Of the older end nothing is told: it is charged like
    /// the dearest of those that follow it. Fork points may be far away: they take what builds mostly do.
    pub fn build_seconds(&self, place: Place) -> f64 {
        let own = match place {
            Place::Commit(commit) => self.builds.get(commit as usize).copied(),
            Place::Base => {
                let told = (0..).zip(self.builds.iter().copied());
                let is_child = |commit| self.graph.outside(commit).any(|it| it == Outside::Base);
                let follow = told.filter(|(commit, _)| is_child(*commit));
                follow.map(|(_, seconds)| seconds).max_by(f64::total_cmp)
            }
            Place::Fork(_) => None,
        };
        own.unwrap_or(self.costs.build_seconds)
    }

    /// What the build of a revision, or what is left of it, and its runs take.
    pub(crate) fn costs_of(&self, place: Place) -> Costs {
        let left = self.build_under_way(place).map(|building| building.seconds);
        let build_seconds = left.unwrap_or_else(|| self.build_seconds(place));
        Costs { build_seconds, ..self.costs }
    }

    /// Takes note of what is known of a revision. `place` must be of this graph.
    pub(crate) fn set(&mut self, place: Place, status: Status) {
        match place {
            Place::Base => self.base = status,
            Place::Commit(commit) => self.revisions[commit as usize] = status,
            Place::Fork(fork) => self.forks[fork as usize] = status,
        }
    }

    /// The build of a revision that is under way.
    pub(super) fn build_under_way(&self, place: Place) -> Option<&Building> {
        self.building.iter().find(|building| building.place == place)
    }

    /// The end that shows the target.
    pub fn bad_end(&self) -> Place {
        match self.find {
            Find::Cause => Place::Commit(self.graph.tip()),
            Find::Fix => Place::Base,
        }
    }

    /// The end that does not show it.
    pub fn good_end(&self) -> Place {
        match self.find {
            Find::Cause => Place::Base,
            Find::Fix => Place::Commit(self.graph.tip()),
        }
    }

    pub(super) fn check(&self) -> Result<(), ProblemError> {
        if self.graph.len() != self.revisions.len() {
            return Err(ProblemError::Length {
                commits: self.graph.len(),
                statuses: self.revisions.len(),
            });
        }
        if self.graph.forks() as usize != self.forks.len() {
            return Err(ProblemError::Forks {
                forks: self.graph.forks(),
                statuses: self.forks.len(),
            });
        }
        let commits = (0..self.graph.len() as u32).map(Place::Commit);
        let forks = (0..self.graph.forks()).map(Place::Fork);
        for place in commits.chain([Place::Base]).chain(forks) {
            let status = self.status(place);
            match status.image {
                Some(image) if image as usize >= self.images.len() => {
                    return Err(ProblemError::Image { place, image, images: self.images.len() });
                }
                None if status.state == State::Built => {
                    return Err(ProblemError::NoImage { place });
                }
                _ => {}
            }
        }
        let mut building = self.building.iter().filter_map(|building| building.place.commit());
        if let Some(commit) = building.find(|c| *c as usize >= self.graph.len()) {
            return Err(ProblemError::Building { commit, commits: self.graph.len() });
        }
        let mut named = self.unchanged.iter().chain(&self.untouched).chain(&self.blamed);
        if let Some(commit) = named.find(|c| **c as usize >= self.graph.len()) {
            return Err(ProblemError::Unchanged { commit: *commit, commits: self.graph.len() });
        }
        if ![0, self.graph.len()].contains(&self.builds.len()) {
            let (commits, statuses) = (self.graph.len(), self.builds.len());
            return Err(ProblemError::Length { commits, statuses });
        }
        let means = [self.costs.build_seconds, self.costs.run_seconds];
        for cost in means.into_iter().chain(self.builds.iter().copied()) {
            if !(cost.is_finite() && cost > 0.0) {
                return Err(ProblemError::Cost(cost));
            }
        }
        let mut left = self.building.iter().map(|building| building.seconds);
        match left.find(|left| !(left.is_finite() && *left >= 0.0)) {
            Some(left) => Err(ProblemError::Cost(left)),
            None => Ok(()),
        }
    }

    /// The images of the commits, and of the fork points.
    pub(crate) fn images_of(&self) -> [Vec<Option<u32>>; 2] {
        [&self.revisions, &self.forks].map(|list| list.iter().map(|status| status.image).collect())
    }

    /// What the posterior depends on; with [`Self::images_of`].
    pub(crate) fn evidence<'a>(
        &'a self,
        [images, forks]: &'a [Vec<Option<u32>>; 2],
    ) -> Evidence<'a> {
        Evidence {
            graph: &self.graph,
            images,
            base: self.base.image,
            forks,
            find: self.find,
            unchanged: &self.unchanged,
            untouched: &self.untouched,
            blamed: &self.blamed,
            counts: &self.images,
        }
    }
}

/// The parents of a commit of a graph, those before the range last.
pub(crate) fn parents(graph: &Graph, commit: u32) -> impl Iterator<Item = Place> {
    let before = graph.outside(commit).map(|parent| match parent {
        Outside::Base => Place::Base,
        Outside::Fork(fork) => Place::Fork(fork),
    });
    graph.parents(commit).iter().copied().map(Place::Commit).chain(before)
}
