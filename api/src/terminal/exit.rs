//! Exit codes, one meaning each, and the error that carries one.

use std::fmt;
use std::process::ExitCode;

/// How a command ends. Listed for people in [`HELP`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It could not; the message says why.
    Failed = 1,
    /// A wrong command line, where clap does not see that by itself.
    Usage = 2,
    /// What was asked for is not in the store.
    NotFound = 3,
    /// The kernel (or the build command) does not build this revision.
    DoesNotBuild = 4,
    /// The bisection ended without one culprit; the credible set is printed.
    Inconclusive = 5,
    /// The good end shows the crash too.
    OlderThanGood = 6,
    /// The bad end does not show the crash.
    NotReproduced = 7,
    /// The store holds wrong bytes, or a proof was wrong.
    Corrupt = 8,
    /// Nothing was removed or packed, since nobody can tell what must stay; or no build was removed for
    /// a quota, since more than half of them would go.
    Refused = 9,
    /// A signal ended it: 128 and the number of SIGINT, as shells say it.
    Interrupted = 130,
}

/// The section of `--help` about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  could not be done; the message says why
  2  wrong command line
  3  not in the store
  4  the revision does not build
  5  bisection inconclusive (the credible set is printed)
  6  the good end (or each release that can be tested) shows the crash too
  7  the bad end does not show the crash
  8  the store holds wrong bytes, or an audit has found a wrong proof
  9  nothing was removed or packed, since nobody can tell what must stay; or no
     build was removed for a quota, since most would go
  130  interrupted; what was finished is kept";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with an exit code of its own.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The code.
    pub(crate) exit: Exit,
    message: String,
}

impl Fault {
    /// An error that ends the command with `exit`.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
