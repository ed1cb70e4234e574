//! One record line of a log, typed.
//!
//! Source: the log lines of syzkaller's `pkg/bisect/bisect.go`, `pkg/bisect/minimize`,
//! `pkg/vcs/git.go`, `pkg/vcs/linux*.go` and `pkg/kconfig`, from 2018-05 on.

use kiln_cache::evidence::Outcome;

use super::imported::Totals;
use super::{bisecting, head, tail, testing};

/// A line that starts a record. What was stated is kept where something reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// What is asked: the commit that brought the crash (`fix` false), or the one that fixed it.
    Asked { fix: bool, commit: String },
    /// A note of the header, of the range or about titles, that nothing here depends on.
    Note,
    /// A step of the minimizing of the configuration; free text may follow.
    Config,
    /// A test begins.
    Testing { commit: String, compiler: Option<String> },
    /// The next test is of this release.
    Release(String),
    /// The next test is of the newest commit (fix bisections).
    CurrentHead,
    /// The toolchain of the current test.
    Compiler(String),
    /// The signature of the current test's kernel, or of the parent's.
    Signature(String),
    /// The current test has no kernel; free text may follow.
    BuildFailed(String),
    /// The machines failed, not the kernel; free text may follow.
    MachinesFailed(String),
    /// One run, or with `number` none all runs.
    Run { number: Option<u32>, outcome: Outcome },
    /// From here on 20 runs a test.
    SeemsFlaky,
    /// syzkaller itself says that the current test is a skip.
    Undecided,
    /// `# git bisect start`.
    BisectStart { bad: String, good: String },
    /// `# git bisect good`, `bad` or `skip`.
    Marked { word: &'static str, commit: String },
    /// Revisions left after the next test, as git says.
    Left(u32),
    /// git moved to this commit.
    Moved { commit: String, title: String },
    /// git found the commit; `git show` follows.
    FirstBad(String),
    /// git can't go on: hashes follow.
    OnlySkipped,
    /// Other text of git.
    Git,
    /// syzkaller's own estimate of a wrong answer.
    ErrorProbability(f64),
    /// The culprit's parent is built without a test.
    ParentUntested(String),
    /// Signature of the culprit's kernel.
    CulpritSignature(String),
    /// Signature of the kernel of the culprit's parent.
    ParentSignature(String),
    /// A late check failed; free text may follow.
    CheckFailed,
    /// The reproducer was flaky, with syzkaller's estimate.
    FlaggedFlaky(Option<f64>),
    /// The bill.
    Totals(Totals),
    /// `first bad commit: …` or `first good commit: …`.
    First { commit: String, title: String },
    /// Hashes of the candidates follow.
    Candidates,
    /// The oldest release shows the crash too, or (fix) the newest commit does.
    BeyondRange,
    /// The bisection failed; free text may follow.
    Failed(String),
    /// Title of the crash that the log ends with; the console follows.
    Crash(String),
}

/// Reads a line as a record; `None` for text that continues one.
///
/// `closed` is whether a result can come here: its words (`error:`, `crash:`) also occur in the free
/// text of compilers.
pub(super) fn line(text: &str, closed: bool) -> Option<Line> {
    if closed && let Some(found) = tail::result(text) {
        return Some(found);
    }
    testing::line(text)
        .or_else(|| bisecting::line(text))
        .or_else(|| head::line(text))
        .or_else(|| tail::line(text))
}

/// Whether this is a commit id: 7 to 40 hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A signature: hexadecimal, of SHA-1 or SHA-256.
pub(super) fn signature(text: &str) -> Option<String> {
    let text = text.trim();
    (matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| text.to_ascii_lowercase())
}

/// The commit id that follows `word`, with nothing behind it.
pub(super) fn commit_after(text: &str, word: &str) -> Option<String> {
    let rest = text.strip_prefix(word)?.trim();
    is_commit(rest).then(|| rest.to_owned())
}
