//! What a test that can't run here says, so that nobody takes it for one that passed.
//!
//! cargo shows nothing of a test that ends well. So a line goes to the file that `KILN_SKIPPED`
//! names, too: `tests/run` prints all of them at its end, and `.ci/run` fails for those of which it
//! knows that its machine can run them.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Write as _;

/// What the machine lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Builds can't be watched: no `/dev/fuse`, or nothing may be mounted.
    Views,
    /// No namespaces in which something may be mounted.
    Namespaces,
    /// The real logs and consoles in `../shared`, which are not part of the project.
    Shared,
    /// A kernel's source as a git history, which `tests/fixtures/prepare` makes.
    History,
    /// A program of the packages that `tests/fixtures/prepare` installs.
    Program,
    /// A compiler for arm64, which is installed for nobody.
    Arm64,
    /// Azure's emulator, which `tests/run` installs where there is npm.
    Azurite,
}

impl Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Views => "views",
            Self::Namespaces => "namespaces",
            Self::Shared => "shared",
            Self::History => "history",
            Self::Program => "program",
            Self::Arm64 => "arm64",
            Self::Azurite => "azurite",
        })
    }
}

/// Says that the test which calls this is left out, or a part of it, and why.
///
/// # Panics
/// When the file that `KILN_SKIPPED` names can't be written: the test would count as passed.
pub fn skip(lack: Lack, why: impl Display) {
    let thread = std::thread::current();
    let why = why.to_string().replace('\n', " ");
    // The harness names its threads after the tests.
    let line = format!("{lack}: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Best effort: this is for who reads along.
    let _ = write!(std::io::stderr(), "skipped: {line}");
    let Some(path) = std::env::var_os("KILN_SKIPPED").filter(|path| !path.is_empty()) else {
        return;
    };
    // One write of one line: tests run side by side.
    let written = File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("{} can't be written: {error}", path.display());
    }
}
