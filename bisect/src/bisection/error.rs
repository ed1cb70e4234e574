//! Why a bisection stops without an answer. The store keeps what was done; `resume` goes on.

use kiln_builder::{BuildError, TreeError};
use kiln_cache::StoreError;

use crate::boot::{NamedFileError, PayloadError, ProbeError, QemuError, UnknownArch};
use crate::graph::GraphError;
use crate::plan::ProblemError;
use crate::record::RecordError;
use crate::tester::TestError;
use crate::title::TitleError;

/// A bisection that can't go on.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// The repository or a revision.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A build that failed through the machine, or can't be started.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reproducer.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A file that the test's command names.
    #[error(transparent)]
    Command(#[from] NamedFileError),
    /// QEMU.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The search for an accelerator.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A run that can't be made.
    #[error(transparent)]
    Test(#[from] TestError),
    /// `--title`.
    #[error(transparent)]
    Title(#[from] TitleError),
    /// The record of an older bisection.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record can't be written down.
    #[error("the record can't be written: {0}")]
    Encode(#[from] serde_json::Error),
    /// The history is no graph to search.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A kernel of an architecture that can't be booted here.
    #[error(transparent)]
    Arch(#[from] UnknownArch),
    /// There is no good end, and nowhere to look for one.
    #[error("no release can serve as a good end; give one with --good REV")]
    NoRelease,
    /// The planner was given something that makes no sense.
    #[error("the planner can't go on: {0}; this is a bug in Kiln")]
    Plan(#[from] ProblemError),
    /// Runs fail again and again for reasons of the host.
    #[error(
        "runs keep failing on this host ({0}); nothing is wrong with the kernels that were \
         tested. Mend the host and go on with `kiln bisect resume`"
    )]
    Host(String),
    /// A host command that takes longer than it may, again and again.
    #[error(
        "{0}, run after run: give it more with --run-timeout \
         in a new `kiln bisect` (what was built and seen is still known); if a hang is the bug, let \
         the command end itself, as `timeout 50 ./test` does: its exit code 124 is a crash"
    )]
    Slow(String),
    /// Another process is at it.
    #[error("bisection {id} is running already ({by}, on this host); wait for it, or end it first")]
    Running {
        /// The bisection.
        id: String,
        /// Who holds it, as far as that is known: "process 123".
        by: String,
    },
    /// A file named by the record has changed.
    #[error(
        "{path} is not what it was when this bisection started; start a new one (everything that \
         was built and seen is still known)"
    )]
    Changed {
        /// The file.
        path: std::path::PathBuf,
    },
    /// The test is another than the one that the record's runs are of.
    #[error(
        "the test is not what it was when this bisection started: the files that its command names, the \
         title patterns, or what runs the machines (KVM or not) have changed, so the runs it has made don't \
         count; start a new one (what was built is still known)"
    )]
    OtherTest,
    /// A build would not end in the time that the user gives: it was given up. The search ends with what is
    /// known, so nobody but Kiln sees this.
    #[error("the budget of time is used up")]
    Late,
    /// A file that the bisection needs.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What.
        source: std::io::Error,
    },
    /// A task of Kiln's own ended in a way that it must not.
    #[error("a task of Kiln ended unexpectedly ({0}); this is a bug in Kiln")]
    Task(String),
}
