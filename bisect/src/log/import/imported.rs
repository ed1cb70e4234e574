//! A log, read.

use kiln_cache::evidence::Counts;
use serde::{Deserialize, Serialize};

/// What a bisection log states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// It looks for the commit that fixed the crash, not for the one that brought it.
    pub fix: bool,
    /// The commit it starts from; empty when the log does not say.
    pub start: String,
    /// The tests, in the order of the log.
    pub tests: Vec<Tested>,
    /// The bill, if there is one.
    pub totals: Option<Totals>,
    /// How it ended.
    pub answer: Answer,
    /// Files, or their folders, that the commit which git found changes.
    pub changed: Vec<String>,
    /// Signature of the culprit's kernel, and of its parent's.
    pub culprit_signature: Option<String>,
    /// Signature of the kernel of the culprit's parent.
    pub parent_signature: Option<String>,
    /// syzkaller's own estimate that the answer is wrong.
    pub error_probability: Option<f64>,
    /// Title of the crash at the end, which is the last one seen on a revision called bad.
    pub crash_title: Option<String>,
    /// Its console, or the beginning of a very long one.
    pub console: String,
    /// Lines of the log.
    pub lines: usize,
    /// Lines that are no record and continue none.
    pub unrecognised: Vec<Unrecognised>,
}

/// A line that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecognised {
    /// Its number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// The bill as the log states it, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Revisions tested.
    pub revisions: u32,
    /// From beginning to end.
    pub total_seconds: f64,
    /// Building.
    pub build_seconds: f64,
    /// Testing.
    pub test_seconds: f64,
}

/// Why a revision was tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The commit that showed the crash.
    #[default]
    Start,
    /// The same commit with another configuration.
    Config,
    /// On the search for the other end: a release, the newest commit, a merge base.
    Range,
    /// Chosen by `git bisect`.
    Step,
    /// The culprit's parent: built to compare signatures, never run.
    Parent,
}

/// What the log says a revision is. In a search for a fix too, `Bad` shows the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Without the crash.
    Good,
    /// With the crash.
    Bad,
    /// Can't be told.
    Skip,
}

/// One test of one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Number of the line where it begins, from 1.
    pub line: usize,
    /// The commit.
    pub commit: String,
    /// First line of its message, or its tag, where the log has it.
    pub title: String,
    /// Why it was tested.
    pub role: Role,
    /// Compiler, and linker where the log has it.
    pub compiler: String,
    /// Signature of its kernel: none when it was not built.
    pub signature: Option<String>,
    /// First lines of what went wrong when it has no kernel, or the machines failed.
    pub errors: Vec<String>,
    /// What its runs showed.
    pub counts: Counts,
    /// The number of runs is syzkaller's rule: the log says "all runs".
    pub runs_assumed: bool,
    /// The log's verdict; for releases and the like, which it does not state, syzkaller's rule.
    pub mark: Option<Mark>,
    /// Revisions that git still had to test after this one.
    pub left: Option<u32>,
}

/// How a log ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Answer {
    /// One commit.
    Culprit {
        /// Its id.
        commit: String,
        /// First line of its message.
        title: String,
    },
    /// Several commits that could not be told apart.
    Inconclusive {
        /// Their ids.
        commits: Vec<String>,
    },
    /// The crash is older than the oldest release tested, or not fixed yet.
    BeyondRange,
    /// It failed.
    Error {
        /// Why, as the log says.
        message: String,
    },
    /// The log breaks off.
    #[default]
    Unfinished,
}

impl Answer {
    /// The answer in a word, for tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Culprit { .. } => "culprit",
            Self::Inconclusive { .. } => "inconclusive",
            Self::BeyondRange => "beyond-range",
            Self::Error { .. } => "error",
            Self::Unfinished => "unfinished",
        }
    }

    /// The culprit, where one commit is named.
    pub fn culprit(&self) -> Option<&str> {
        match self {
            Self::Culprit { commit, .. } => Some(commit),
            _ => None,
        }
    }
}

impl Imported {
    /// Revisions tested, as stated; counted where the log breaks off before it says so.
    pub fn revisions(&self) -> u32 {
        self.totals.map_or_else(|| self.counted(), |totals| totals.revisions)
    }

    /// Revisions tested, as counted: unlike syzkaller's number always with those that do not build.
    /// A test with another configuration is none of a revision's,
    /// nor is the parent that is built without being run.
    pub fn counted(&self) -> u32 {
        let roles = self.tests.iter().map(|test| test.role);
        roles.filter(|role| !matches!(role, Role::Config | Role::Parent)).count() as u32
    }
}
