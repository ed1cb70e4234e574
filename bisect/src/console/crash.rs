//! What a console says of a crash.

/// A crash found in a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Its title, as syzkaller names crashes.
    pub title: String,
}
