//! Whether a change of the sources can matter to a build: rule T0.

use std::fmt;

use super::changes::{VisibleChange, What};
use super::paths::{display, parent};
use super::reads::Closure;

/// A change that may matter, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The changed path.
    pub path: Box<[u8]>,
    /// Why it may matter.
    pub why: Why,
}

/// What the build saw of a path that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its content was read, and differs.
    Read,
    /// Its kind, mode or size could be seen, and differs.
    Found,
    /// It was looked up, and there is now something where there was nothing, or nothing where
    /// there was something.
    LookedUp,
    /// Its folder was listed, and the list differs.
    Listed,
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = display(&self.path);
        match self.why {
            Why::Read => write!(f, "{path} was read and has other content"),
            Why::Found => write!(f, "{path} was looked at and is of another kind, mode or size"),
            Why::LookedUp => write!(f, "{path} was looked up and came or went"),
            Why::Listed => {
                let folder = display(parent(&self.path).unwrap_or_default());
                write!(f, "{folder} was listed, and {path} came, went or changed its kind")
            }
        }
    }
}

/// The first of these changes that a build with this closure could notice; `None`: the build of the
/// changed tree gives the same image.
///
/// `changes` are [all that a process could see](crate::Repository::visible_changes) of the
/// difference between the tree A that was built and the tree B that is asked for.
///
/// # Why that is a proof
///
/// A build is a set of processes. What one does next depends on what it was told so far: by the
/// sources, and by everything else (toolchain, host, environment, objects folder, other processes
/// of the build). Everything else begins equal for A and B: the build's key fixes toolchain,
/// recipe, configuration and targets. Take the run that built A as a sequence of steps, and run B
/// in the same order. If the first n steps were told the same, then the next step asks the same
/// question. Where it is not put to the sources, the answer is the same too, as it follows from
/// the first n steps. Where it is, it is one of four, each in the closure of A, and what decides
/// its answer is equal in A and B unless this function returns something:
///
/// | question | in the closure | decided by | so it touches |
/// |---|---|---|---|
/// | what is the content, the link's target? | `read` | the blob | `Content`, `Size` there |
/// | what is at this path? (something) | `read` or `found` | presence, kind, mode, size | `Presence`, `Kind`, `Mode`, `Size` there |
/// | what is at this path? (nothing) | `missing` | presence | `Presence` there |
/// | which names are in this folder? | `listed` | names and kinds | `Presence`, `Kind` in it |
///
/// A name in a folder that is not there is no question of its own: the kernel answers it from the
/// folder's absence, and a folder that comes with its first file, or goes with its last, is a
/// `Presence` of its own. So, by induction, every step of B's run is told what A's was told, and
/// both write the same bytes. Where A's run was spread over several builds, the same holds of each
/// command (see [`Closure`]).
///
/// # What it rests on
///
/// - Equal inputs give equal images whatever the order of the processes and the time of day. The
///   recipe is there for that, and it is what any cache of builds rests on.
/// - No command decides by the times of source files what it writes. Make decides by them what it
///   runs again, which is another matter.
/// - A command that ccache spared would have read nothing more than its preprocessor did. Compilers
///   also look for a precompiled header beside each file; so whatever comes or goes by such a name
///   is taken for looked up.
/// - A change of any of this is a new [`RULE_VERSION`](super::RULE_VERSION).
/// - The trace is complete. See `trace`: the kernel has nobody else to ask.
pub fn touches(closure: &Closure, changes: &[VisibleChange]) -> Option<Touch> {
    changes.iter().find_map(|VisibleChange { path, what }| {
        let listed = || parent(path).is_some_and(|folder| closure.listed.contains(folder));
        let why = match what {
            What::Presence if closure.saw_presence(path) || is_precompiled(path) => Why::LookedUp,
            What::Kind if closure.saw_presence(path) => Why::Found,
            What::Presence | What::Kind if listed() => Why::Listed,
            What::Content | What::Size if closure.saw_content(path) => Why::Read,
            What::Mode | What::Size if closure.saw_attributes(path) => Why::Found,
            _ => return None,
        };
        Some(Touch { path: path.clone(), why })
    })
}

/// Whether a compiler might take a file for a precompiled header (GCC manual, "Using Precompiled
/// Headers"; Clang's, "Precompiled Headers").
fn is_precompiled(path: &[u8]) -> bool {
    path.ends_with(b".gch") || path.ends_with(b".pch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Paths;

    fn closure() -> Closure {
        Closure {
            read: Paths::new(["a.c", "link"]),
            found: Paths::new(["b.c", "dir"]),
            missing: Paths::new(["dir/c.h"]),
            listed: Paths::new(["list"]),
        }
    }

    fn why(path: &str, what: What) -> Option<Why> {
        let change = VisibleChange { path: path.as_bytes().into(), what };
        touches(&closure(), &[change]).map(|touch| touch.why)
    }

    #[test]
    fn content() {
        assert_eq!(why("a.c", What::Content), Some(Why::Read));
        assert_eq!(why("link", What::Size), Some(Why::Read));
        assert_eq!(why("b.c", What::Content), None, "only looked at");
        assert_eq!(why("b.c", What::Size), Some(Why::Found));
        assert_eq!(why("list/x", What::Size), None, "a list has no sizes");
    }

    #[test]
    fn attributes() {
        assert_eq!(why("a.c", What::Mode), Some(Why::Found));
        assert_eq!(why("b.c", What::Mode), Some(Why::Found));
        assert_eq!(why("list/x", What::Mode), None, "a list has no modes");
        assert_eq!(why("list/x", What::Kind), Some(Why::Listed));
        assert_eq!(why("dir", What::Kind), Some(Why::Found));
    }

    #[test]
    fn precompiled_headers() {
        assert_eq!(why("never/seen.h.gch", What::Presence), Some(Why::LookedUp));
        assert_eq!(why("never/seen.h", What::Presence), None);
    }

    #[test]
    fn presence() {
        for path in ["a.c", "b.c", "dir", "dir/c.h"] {
            assert_eq!(why(path, What::Presence), Some(Why::LookedUp), "{path}");
        }
        assert_eq!(why("list/x", What::Presence), Some(Why::Listed));
        assert_eq!(why("list/x/y", What::Presence), None, "its folder is what the list shows");
        assert_eq!(why("dir/d.h", What::Presence), None);
        assert_eq!(why("top.c", What::Presence), None, "the top folder was not listed");
    }
}
