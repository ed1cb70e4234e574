//! Which compiler suits which kernel.
//!
//! A compiler is chosen by its name or path, or by the word `auto`: then the revision decides. What
//! it needs at least it says itself, in `scripts/min-tool-version.sh` (from 5.14 on); for older ones
//! the table below does, from the revisions of `Documentation/process/changes.rst` that raised the
//! bound. What it can bear at most nobody writes down; the table has the one limit that is known
//! well: before 5.7 `scripts/dtc` defines `yylloc` twice, which gcc refuses from release 10 on, where
//! `-fno-common` became the default (GCC 10 release notes, "Porting to GCC 10"). Who knows better
//! says so: a name given by hand is taken as it is.

use std::fmt;

use crate::tree::KernelVersion;

/// The word that leaves the choice to the revision.
pub const AUTO: &str = "auto";

/// gcc's releases that build a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Major and minor.
    pub(crate) least: (u32, u32),
    /// Major.
    pub(crate) most: Option<u32>,
}

struct Row {
    /// The first kernel of which it holds.
    from: (u32, u32),
    least: (u32, u32),
    most: Option<u32>,
}

/// Newest first.
const TABLE: &[Row] = &[
    Row { from: (5, 15), least: (5, 1), most: None },
    Row { from: (5, 8), least: (4, 9), most: None },
    Row { from: (5, 7), least: (4, 6), most: None },
    Row { from: (4, 19), least: (4, 6), most: Some(9) },
    Row { from: (0, 0), least: (3, 2), most: Some(9) },
];

impl Range {
    /// Of a kernel of this version, whose `scripts/min-tool-version.sh` has this text.
    pub(crate) fn of(version: KernelVersion, script: Option<&str>) -> Self {
        let at = (version.version, version.patchlevel);
        // The last row begins at zero.
        let row = TABLE.iter().find(|row| row.from <= at).unwrap_or(&TABLE[TABLE.len() - 1]);
        let least = script.and_then(least_in).unwrap_or(row.least);
        Self { least, most: row.most }
    }

    /// Whether a release is in it.
    pub(crate) fn holds(&self, release: (u32, u32)) -> bool {
        release >= self.least && self.most.is_none_or(|most| release.0 <= most)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least: (major, minor), most } = self;
        match most {
            Some(most) => write!(f, "{major}.{minor} to {most}"),
            None => write!(f, "{major}.{minor} or newer"),
        }
    }
}

/// The first bound after `gcc)`: the one without conditions, or the highest of an architecture that
/// is not this one, which can only exclude too much.
fn least_in(script: &str) -> Option<(u32, u32)> {
    let rest = script.split_once("\ngcc)\n")?.1;
    let branch = rest.split_once("\n\t;;").map_or(rest, |(branch, _)| branch);
    let numbers = branch.lines().filter_map(|line| release(line.trim().strip_prefix("echo ")?));
    numbers.min()
}

/// Major and minor of "12.2.0".
pub(crate) fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Names to try, in order: what `gcc` is on this machine, then Debian's names from the newest on.
pub(crate) fn candidates() -> impl Iterator<Item = String> {
    std::iter::once("gcc".to_owned()).chain((4..=20).rev().map(|major| format!("gcc-{major}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: u32, patchlevel: u32, script: Option<&str>) -> Range {
        Range::of(KernelVersion { version, patchlevel }, script)
    }

    #[test]
    fn old_kernels_want_old_compilers() {
        assert_eq!(of(4, 4, None), Range { least: (3, 2), most: Some(9) });
        assert_eq!(of(5, 4, None), Range { least: (4, 6), most: Some(9) });
        assert_eq!(of(5, 10, None), Range { least: (4, 9), most: None });
        assert!(of(5, 4, None).holds((9, 3)) && !of(5, 4, None).holds((12, 2)));
        assert!(of(6, 1, None).holds((12, 2)) && !of(6, 1, None).holds((4, 9)));
    }

    #[test]
    fn a_kernel_that_says_what_it_needs_is_believed() {
        let script = "case \"$1\" in\nbinutils)\n\techo 2.30.0\n\t;;\ngcc)\n\tif [ \"$ARCH\" = parisc64 ]; \
                      then\n\t\techo 12.0.0\n\telse\n\t\techo 8.1.0\n\tfi\n\t;;\nllvm)\n\techo 15.0.0\n\t;;\n";
        assert_eq!(of(6, 16, Some(script)).least, (8, 1));
        assert_eq!(of(6, 16, Some("nothing of the kind")).least, (5, 1));
    }
}
