//! What a bisection tells while it runs. The library itself prints nothing.

use kiln_cache::evidence::Outcome;

use crate::picture::{Forecast, Picture, WalkPicture};
use crate::record::{BuildRecord, Commit, Step};

/// Something that has just happened, or begins.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// The range is read and the store was asked about every revision of it.
    Range {
        /// Commits in the range.
        commits: usize,
        /// Revisions with a build in the store.
        builds_known: usize,
        /// Revisions with evidence in the store.
        evidence_known: usize,
    },
    /// A revision was chosen.
    Chosen {
        /// Which.
        commit: &'a Commit,
        /// Why.
        why: &'a str,
        /// Runs that are wanted of it.
        runs: u32,
    },
    /// These revisions are run side by side, in one round of all machines. What each shows is told when
    /// all have run.
    SideBySide {
        /// Which.
        commits: &'a [Commit],
    },
    /// How it stands, before the next step.
    Stands {
        /// What is known.
        picture: &'a Picture,
        /// What was paid.
        spent: Paid,
        /// What is probably left to do, when the next step is a measure of that.
        left: Option<Forecast>,
    },
    /// Which release is next was decided.
    Walks {
        /// What is known.
        picture: &'a WalkPicture,
    },
    /// A release can't serve as a good end.
    Skipped {
        /// Its tag.
        release: &'a str,
        /// Why.
        why: &'a str,
    },
    /// The commits between two releases are searched from now on.
    Ends {
        /// The good end.
        good: &'a Commit,
        /// The bad end.
        bad: &'a Commit,
    },
    /// Its build is here (or it does not build).
    Built {
        /// Which revision.
        commit: &'a Commit,
        /// The build.
        build: &'a BuildRecord,
    },
    /// A build was begun before it was asked for.
    BegunAhead {
        /// Of which revision.
        commit: &'a Commit,
        /// Probability that it will be asked for.
        probability: f64,
    },
    /// The builds that go on beside the runs are others now.
    Building {
        /// Their commits, the oldest build first.
        commits: &'a [&'a str],
    },
    /// Other commits were proved to give what this one gave.
    Proved {
        /// The commit that was built.
        commit: &'a Commit,
        /// How many others.
        others: usize,
    },
    /// So many commits change nothing that the builds at hand read, or only comments: hardly one of
    /// them is the one.
    Untouched {
        /// How many.
        commits: usize,
        /// Commits of the range.
        of: usize,
    },
    /// So many commits change files of the functions that crashed: the first suspects.
    Blamed {
        /// The functions, the innermost first.
        functions: &'a [String],
        /// How many commits.
        commits: usize,
    },
    /// A run has ended.
    Ran {
        /// What it showed.
        outcome: &'a Outcome,
        /// Runs of this step that have ended.
        done: u32,
        /// Runs that this step wants.
        wanted: u32,
    },
    /// The target's title was learned.
    TitleLearned {
        /// The title.
        title: &'a str,
    },
    /// The step is done.
    StepDone {
        /// The step.
        step: &'a Step,
    },
    /// There is an answer, and it is written down.
    Finished,
}

/// What a bisection has cost so far, before and after a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paid {
    /// Builds compiled.
    pub builds: u32,
    /// Runs made.
    pub runs: u32,
    /// Seconds.
    pub seconds: f64,
}

/// Told of everything, in order. Called from the bisection's own task: don't block.
pub trait Watch: Send + Sync {
    /// One happening.
    fn happening(&self, happening: Happening<'_>);
}
