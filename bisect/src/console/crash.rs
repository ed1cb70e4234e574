//! What a console says of a crash.

use super::kind::Kind;

/// A crash found in a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Its title, as syzkaller names crashes.
    pub title: String,
    /// Other titles under which the same crash may be known.
    pub alternatives: Vec<String>,
    /// What sort of bug the title tells of.
    pub kind: Kind,
    /// The report is damaged (torn, mixed with another, cut off): the title may be wrong.
    pub corrupted: bool,
    /// Where the report begins in the console: the first byte of its first line.
    pub start: usize,
    /// Where the last line ends that tells of a crash.
    pub end: usize,
}
