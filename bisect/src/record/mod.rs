//! The record of a bisection: a header and a list of events, append-only.
//!
//! The record says what was asked, what was done, in which order and why. It is never read to
//! decide anything: builds and evidence live in the store, and a resumed bisection asks the store
//! again. Logs, reports and pages are made from the record alone.

mod bill;
mod decided;
mod releases;

use kiln_cache::evidence::{Outcome, TestKey};
use kiln_cache::signature::Signatures;
use kiln_cache::{Digest, InputKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::belief::Find;
use crate::boot::COMMAND_FAILED;
use crate::picture::{Forecast, Picture};
use crate::title::{Learning, Target, TitleError};
use crate::verdict::Verdict;
use crate::walk::Walked;

pub use bill::Bill;
pub use decided::{Decided, Known, Made, Replay, ReplayError, Replayed};
pub use releases::{Fate, Release, Releases, Tried};

/// Kind of the journals that hold bisections.
pub const JOURNAL_KIND: &str = "bisection";

/// A commit as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Commit id, hexadecimal.
    pub id: String,
    /// First line of its message.
    pub subject: String,
}

impl Commit {
    /// The first 12 digits, as kernel people quote commits.
    pub fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// What was asked: enough to ask it again, here or after a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Folder of the git repository.
    pub repository: std::path::PathBuf,
    /// Which change is sought: the one that brought the crash, or the one that ended it.
    #[serde(default)]
    pub find: Find,
    /// The end that is believed to be good. None when it was to be looked for among `releases`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Commit>,
    /// The end that shows the crash.
    pub bad: Commit,
    /// Where a good end is looked for, when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<Releases>,
    /// Kernel configuration file, if any.
    pub config: Option<std::path::PathBuf>,
    /// Digest of its text when the bisection started. Records from before it was kept have none.
    #[serde(default)]
    pub config_digest: Option<Digest>,
    /// How revisions are built, instead of Kbuild.
    pub build_command: Option<String>,
    /// The compiler: a name or a path. Records from before it was kept have none: `gcc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Whether an option that the configuration sets must survive `make olddefconfig`.
    pub strict_config: bool,
    /// Share of the proved builds that are compiled all the same.
    #[serde(default)]
    pub audit: f64,
    /// How images are tested.
    pub test: TestSpec,
    /// Build and run the newer end without the commit before it is named.
    #[serde(default)]
    pub confirm_revert: bool,
    /// Pattern of the target title as the user gave it.
    pub title: Option<String>,
    /// Limits and shares of the machine.
    pub limits: Limits,
}

impl Header {
    /// The older and the newer end of two.
    fn ordered<'a>(&self, good: &'a Commit, bad: &'a Commit) -> (&'a Commit, &'a Commit) {
        match self.find {
            Find::Cause => (good, bad),
            Find::Fix => (bad, good),
        }
    }

    /// The older and the newer end, where both were given.
    pub fn ends(&self) -> Option<(&Commit, &Commit)> {
        self.good.as_ref().map(|good| self.ordered(good, &self.bad))
    }

    /// What the commit that is sought is called: "culprit" or "fix".
    pub fn sought(&self) -> &'static str {
        match self.find {
            Find::Cause => "culprit",
            Find::Fix => "fix",
        }
    }

    /// The target as far as the question itself names it: by a pattern, or because a command
    /// knows one way to fail.
    pub fn target(&self) -> Option<Result<Target, TitleError>> {
        match (&self.title, &self.test) {
            (Some(pattern), _) => Some(Target::pattern(pattern)),
            (None, TestSpec::Command { .. }) => Some(Target::exactly(COMMAND_FAILED)),
            (None, TestSpec::Reproducer { .. }) => None,
        }
    }
}

/// What runs on each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TestSpec {
    /// A file run in a virtual machine: C source, or a shell script.
    Reproducer {
        /// The file.
        path: std::path::PathBuf,
        /// Digest of its content when the bisection started.
        digest: Digest,
    },
    /// A command run on the host, in the manner of `git bisect run`.
    Command {
        /// The command line, for `sh -c`.
        command: String,
        /// Where it runs.
        folder: std::path::PathBuf,
    },
}

/// What the bisection may use, and how sure it has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Virtual machines (or host commands) side by side.
    pub machines: usize,
    /// Make jobs of one build.
    pub jobs: usize,
    /// Builds side by side while machines run; none are made then when it is zero.
    #[serde(default)]
    pub builders: usize,
    /// Seconds that the kernel has to reach the reproducer.
    pub boot_timeout: u64,
    /// Seconds that the reproducer, or the host command, may run.
    pub run_timeout: u64,
    /// Memory of a virtual machine in MiB.
    pub memory_mb: u32,
    /// Processors of a virtual machine.
    pub cpus: u32,
    /// Posterior probability at which a culprit is named.
    pub confidence: f64,
    /// Give up after compiling this many revisions.
    pub max_builds: Option<u32>,
    /// Give up after this many boots.
    pub max_runs: Option<u32>,
    /// Give up when going on would take longer than this many seconds in all.
    #[serde(default)]
    pub budget_seconds: Option<f64>,
}

/// Where a build came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obtained {
    /// The store had this very input.
    Input,
    /// A closure proved that it is a build which the store had.
    Closure,
    /// Its configuration and commands showed that (the builder's stage T1).
    Commands,
    /// The tokens of what changed showed that (T2).
    Tokens,
    /// The objects made from what changed showed that (T3).
    Objects,
    /// It was compiled.
    Compiled,
}

impl From<kiln_builder::Obtained> for Obtained {
    fn from(obtained: kiln_builder::Obtained) -> Self {
        match obtained {
            kiln_builder::Obtained::Input => Self::Input,
            kiln_builder::Obtained::Closure => Self::Closure,
            kiln_builder::Obtained::Commands => Self::Commands,
            kiln_builder::Obtained::Tokens => Self::Tokens,
            kiln_builder::Obtained::Objects => Self::Objects,
            kiln_builder::Obtained::Compiled => Self::Compiled,
        }
    }
}

/// Where a run came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The store knew it already.
    Evidence,
    /// It was booted (or its command run) in this bisection.
    Booted,
}

/// A revision's build, as this bisection got it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// How it was obtained.
    pub obtained: Obtained,
    /// The key it is stored under.
    pub input_key: InputKey,
    /// What it is; empty when it does not build.
    pub signatures: Signatures,
    /// Compiler and linker.
    pub compiler: String,
    /// Seconds spent here: the compile, or the look-up.
    pub seconds: f64,
    /// Seconds that its compile takes, or took when it was made.
    pub compile_seconds: f64,
    /// First errors, when it does not build.
    pub errors: Vec<String>,
    /// What the configuration asked for and did not get, and the like.
    pub notes: Vec<String>,
}

/// One run of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run's id in the evidence, by which one that is met again is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// What it showed.
    pub outcome: Outcome,
    /// Seconds it took, now or when it was first made.
    pub seconds: f64,
    /// Known, or made here.
    pub source: Source,
    /// Its console, a blob of the store.
    pub console: Option<Digest>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The range was read from the history.
    Range {
        /// Commits reachable from the bad end and not from the good one.
        commits: usize,
        /// How many of them (and of the good end, and the points where branches forked off before it)
        /// the store has a build of.
        builds_known: usize,
        /// How many of them the store has evidence of for this test.
        evidence_known: usize,
    },
    /// The test was made ready. Runs of another test are other evidence: a bisection can't go on with one.
    Tested {
        /// The key that its evidence is kept under.
        test: TestKey,
    },
    /// A revision was compiled. Its step comes when its runs are done; should Kiln be killed before
    /// that, a later step finds the build in the store.
    Compiled {
        /// The revision.
        commit: Commit,
        /// Seconds that it took.
        seconds: f64,
    },
    /// A build was begun, while others, or machines, were at work. It ends with [`Event::Compiled`],
    /// [`Event::LookedUp`] or [`Event::GivenUp`], unless Kiln is killed. (Older records have those
    /// alone that were begun ahead, and no end of what was looked up.)
    #[serde(alias = "begun-ahead")]
    Begun {
        /// The revision.
        commit: Commit,
        /// Whether it was asked for; else it was begun ahead.
        #[serde(default)]
        asked: bool,
    },
    /// A build that was begun needed no compile.
    LookedUp {
        /// The revision.
        commit: Commit,
        /// How it was obtained.
        obtained: Obtained,
    },
    /// A build under way was given up, or failed by the machine's fault.
    GivenUp {
        /// The revision.
        commit: Commit,
        /// Seconds that were spent on it.
        seconds: f64,
    },
    /// A closure proved that other commits give what this one gave: none of them is compiled.
    Proved {
        /// The commit that was built.
        commit: Commit,
        /// How many others give the same.
        others: usize,
    },
    /// The target title was taken from what the bad end shows.
    TitleLearned {
        /// The title.
        title: String,
    },
    /// What to do next was decided.
    Decided(Box<Decided>),
    /// What to do next was decided, among the releases.
    Walked(Box<Walked>),
    /// A release can't serve as a good end, for another reason than its build or its runs.
    Skipped {
        /// Its tag.
        release: String,
        /// Why.
        why: String,
    },
    /// Releases to search between were found. What follows is about the commits between them.
    Ends {
        /// The one that stays clean.
        good: Commit,
        /// The oldest that does not, or the bad end.
        bad: Commit,
        /// Probability that the good one is bad, before its runs are counted.
        older: f64,
    },
    /// A revision was visited: built if need be, and run.
    Step(Step),
    /// The newer end was built and run without the commit that is to be named.
    Reverted(Step),
    /// Work went on after an interruption.
    Resumed,
    /// Of what the store knew of the range before, this would have been asked for.
    Spared {
        /// The revisions.
        revisions: Vec<Spared>,
    },
    /// The bisection ended.
    Finished {
        /// The answer.
        verdict: Verdict,
        /// Probability that each tested revision is bad, by commit id.
        tested: Vec<(String, f64)>,
        /// How it stood at the end; none while the target is not known, and in older records.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        picture: Option<Box<Picture>>,
    },
    /// What the bisection was expected to need, when that could first be said.
    Expected {
        /// Until the end, from then on.
        left: Forecast,
    },
}

/// What the store's knowledge of a revision has spared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    /// The revision's commit.
    pub commit: String,
    /// Whether its build would have been asked for.
    pub build: bool,
    /// How many of its image's runs, the first that are told of it, would have been.
    pub runs: u32,
}

/// One visit of a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The revision.
    pub commit: Commit,
    /// Why the planner chose it.
    pub why: String,
    /// Nothing was done: the store knew build and evidence when the bisection began.
    pub recalled: bool,
    /// Its build.
    pub build: BuildRecord,
    /// Its runs, those already known first.
    pub runs: Vec<RunRecord>,
    /// Probability that this revision is bad, after the step; unknown while the target is.
    pub probability_bad: Option<f64>,
    /// Commits in the 95 % credible set, after the step.
    pub credible: Option<usize>,
}

/// A record read back.
#[derive(Clone, Debug)]
pub struct Record {
    /// The bisection's id.
    pub id: String,
    /// When it started, seconds since 1970.
    pub created: i64,
    /// What was asked.
    pub header: Header,
    /// What happened, with the time of each event in seconds since 1970.
    pub events: Vec<(i64, Event)>,
}

/// From when to when, both included; seconds since 1970.
pub(crate) type Span = (i64, i64);

/// A build that was begun.
pub(crate) struct Begun<'a> {
    pub(crate) commit: &'a Commit,
    /// When, in seconds since 1970.
    at: i64,
    /// When another process went on, as the one that had begun it was no more.
    gone: Option<i64>,
}

impl Begun<'_> {
    /// When it may have ended.
    pub(crate) fn span(&self) -> Span {
        (self.at, self.gone.unwrap_or(i64::MAX))
    }
}

/// A journal that is no bisection's record, or one written by a newer Kiln.
#[derive(Debug, thiserror::Error)]
#[error("the record of bisection {id} can't be read: {source}; was it written by a newer Kiln?")]
pub struct RecordError {
    id: String,
    source: serde_json::Error,
}

impl Record {
    /// What its revisions were tested by, as far as it came; older records don't say.
    pub(crate) fn test(&self) -> Option<TestKey> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Tested { test } => Some(*test),
            _ => None,
        })
    }

    /// Reads a journal.
    pub fn from_journal(journal: kiln_cache::journal::Journal) -> Result<Self, RecordError> {
        let id = journal.id;
        let fail = |source| RecordError { id: id.clone(), source };
        let header = serde_json::from_value(journal.header).map_err(fail)?;
        let events = journal
            .events
            .into_iter()
            .map(|entry| Ok((entry.at, serde_json::from_value(entry.event).map_err(fail)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { id, created: journal.created, header, events })
    }

    /// The steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Step(step) => Some(step),
            _ => None,
        })
    }

    /// All that was built and run, the newer end without the named commit included.
    pub fn visits(&self) -> impl Iterator<Item = &Step> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Step(step) | Event::Reverted(step) => Some(step),
            _ => None,
        })
    }

    /// The last answer and, by commit id, the probability that each tested revision is bad.
    pub fn finish(&self) -> Option<(&Verdict, &[(String, f64)])> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Finished { verdict, tested, .. } => Some((verdict, tested.as_slice())),
            _ => None,
        })
    }

    /// How it stood at the end.
    pub fn picture(&self) -> Option<&Picture> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Finished { picture, .. } => picture.as_deref(),
            _ => None,
        })
    }

    /// What it was expected to need, when that could first be said.
    pub fn expected(&self) -> Option<Forecast> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Expected { left } => Some(*left),
            _ => None,
        })
    }

    /// Revisions whose build was begun and has not ended, as far as the record knows. What a killed
    /// process had begun is not among them once another went on.
    pub fn building(&self) -> Vec<&Commit> {
        let begun = self.begun().into_iter().filter(|begun| begun.gone.is_none());
        begun.map(|begun| begun.commit).collect()
    }

    /// Builds that were begun and whose end the record does not have. One that was looked up, in an
    /// older record, counts until its revision is visited.
    pub(crate) fn begun(&self) -> Vec<Begun<'_>> {
        let mut list: Vec<Begun<'_>> = Vec::new();
        for (now, event) in &self.events {
            match event {
                Event::Begun { commit, .. } => list.push(Begun { commit, at: *now, gone: None }),
                Event::Compiled { commit, .. }
                | Event::LookedUp { commit, .. }
                | Event::GivenUp { commit, .. }
                | Event::Step(Step { commit, .. }) => list.retain(|begun| begun.commit != commit),
                Event::Resumed => list.iter_mut().for_each(|begun| {
                    begun.gone.get_or_insert(*now);
                }),
                Event::Finished { .. } => list.clear(),
                _ => {}
            }
        }
        list
    }

    /// Seconds that processes worked on it, from event to event: what passed between the last event
    /// of a killed one and the next one's start is left out.
    pub fn seconds(&self) -> f64 {
        let (mut seconds, mut last) = (0, self.created);
        for (at, event) in &self.events {
            if *event != Event::Resumed {
                seconds += (at - last).max(0);
            }
            last = *at;
        }
        seconds as f64
    }

    /// The ends that are searched between at the end of the record: those given, or those found among
    /// the releases.
    pub fn ends(&self) -> Option<(&Commit, &Commit)> {
        let found = self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Ends { good, bad, .. } => Some((good, bad)),
            _ => None,
        });
        found.map(|(good, bad)| self.header.ordered(good, bad)).or(self.header.ends())
    }

    /// The good end that was given, or the last that was found.
    pub fn good(&self) -> Option<&Commit> {
        self.ends().map(|(older, newer)| match self.header.find {
            Find::Cause => older,
            Find::Fix => newer,
        })
    }

    /// The title that was learned from the bad end.
    pub fn learned_title(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::TitleLearned { title } => Some(title.as_str()),
            _ => None,
        })
    }

    /// For a title that was learned: what the runs before it teach, and what the record says was
    /// learned from them. The same, unless one of the two is wrong.
    pub fn learned_again(&self) -> Option<(Learning, String)> {
        decided::learned_again(self)
    }

    /// The target: as asked, or as learned. `None` while nobody knows it.
    pub fn matcher(&self) -> Option<Target> {
        if let Some(target) = self.header.target() {
            return target.ok();
        }
        self.learned_title().map(Target::learned)
    }
}
