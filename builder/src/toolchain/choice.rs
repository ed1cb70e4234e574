//! Which compiler suits which kernel.
//!
//! A toolchain is chosen by its name, or by the words `auto` (gcc) and `auto-llvm`: then the revision
//! decides. What it needs at least it says itself, in `scripts/min-tool-version.sh` (from 5.14 on);
//! for older ones the tables below do, from the revisions of `Documentation/process/changes.rst` that
//! raised the bound. What it can bear at most nobody writes down; two limits of gcc are known well.
//! Before 5.7 `scripts/dtc` defines `yylloc` twice, which gcc refuses from release 10 on, where
//! `-fno-common` became the default (GCC 10 release notes, "Porting to GCC 10"). And x86's decompressor
//! was compiled in the compiler's own dialect of C, which is C23 from gcc 15 on, where `false` is a
//! keyword that the kernel's headers define anew ("Porting to GCC 15"); 6.14 names the dialect there
//! ("x86/boot: Use '-std=gnu11' to fix build with GCC 15"), and stable kernels took that over, so that
//! its makefile is asked. Who knows better says so: a name given by hand is taken as it is, and
//! a user's own table comes first.

use std::fmt;

use crate::tree::KernelVersion;

/// The word that leaves the choice of a gcc to the revision.
pub const AUTO: &str = "auto";

/// The same of LLVM.
pub const AUTO_LLVM: &str = "auto-llvm";

/// Whose releases are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Gcc,
    Llvm,
}

/// A family's releases that build a kernel.
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

/// Of gcc, newest first.
const GCC: &[Row] = &[
    Row { from: (5, 15), least: (5, 1), most: None },
    Row { from: (5, 8), least: (4, 9), most: None },
    Row { from: (5, 7), least: (4, 6), most: None },
    Row { from: (4, 19), least: (4, 6), most: Some(9) },
    Row { from: (0, 0), least: (3, 2), most: Some(9) },
];

/// Of LLVM, newest first. From 4.17 on x86 wants `asm goto`, which clang has from release 9 on; what
/// was before 5.9 nobody promised.
const LLVM: &[Row] = &[
    Row { from: (5, 9), least: (10, 0), most: None },
    Row { from: (0, 0), least: (9, 0), most: None },
];

impl Family {
    fn table(self) -> &'static [Row] {
        match self {
            Self::Gcc => GCC,
            Self::Llvm => LLVM,
        }
    }

    /// Its branch in `scripts/min-tool-version.sh`.
    fn branch(self) -> &'static str {
        match self {
            Self::Gcc => "\ngcc)\n",
            Self::Llvm => "\nllvm)\n",
        }
    }

    /// As users call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Llvm => "LLVM",
        }
    }

    /// The options that make a compiler of it say its release, whole. (gcc knows the first one from
    /// release 7 on, and the second alone gives no more than the major number from then on.)
    pub(crate) fn question(self) -> &'static [&'static str] {
        match self {
            Self::Gcc => &["-dumpfullversion", "-dumpversion"],
            Self::Llvm => &["-dumpversion"],
        }
    }

    /// Toolchains to try, in order: what the bare name is on this machine, then Debian's names from
    /// the newest on.
    pub(crate) fn candidates(self) -> impl Iterator<Item = String> {
        let (bare, releases) = match self {
            Self::Gcc => ("gcc", 4..=20),
            Self::Llvm => ("llvm", 9..=30),
        };
        let numbered = releases.rev().map(move |major| format!("{bare}-{major}"));
        std::iter::once(bare.to_owned()).chain(numbered)
    }
}

/// What a tree says itself of the compilers that it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    /// Text of [`LEAST`].
    pub(crate) least: Option<&'a str>,
    /// Text of [`DECOMPRESSOR`], where the kernel is for x86.
    pub(crate) decompressor: Option<&'a str>,
}

/// Where a tree says what it needs at least.
pub(crate) const LEAST: &str = "scripts/min-tool-version.sh";
/// Where it says in which dialect of C x86's decompressor is.
pub(crate) const DECOMPRESSOR: &str = "arch/x86/boot/compressed/Makefile";

/// The first kernel whose decompressor says so without exception.
const NAMES_DIALECT: (u32, u32) = (6, 14);
/// The last gcc whose own dialect is older than C23.
const BEFORE_C23: u32 = 14;

impl Range {
    /// Of a kernel of this version that says this.
    pub(crate) fn of(family: Family, version: KernelVersion, told: Told<'_>) -> Self {
        let at = (version.version, version.patchlevel);
        let table = family.table();
        // The last row begins at zero.
        let row = table.iter().find(|row| row.from <= at).unwrap_or(&table[table.len() - 1]);
        let least = told.least.and_then(|script| least_in(script, family.branch()));
        let least = least.unwrap_or(row.least);
        let has_no_dialect = family == Family::Gcc
            && at < NAMES_DIALECT
            && told.decompressor.is_some_and(|makefile| !makefile.contains("-std=gnu"));
        Self { least, most: row.most.or(has_no_dialect.then_some(BEFORE_C23)) }
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

/// The lowest bound of a branch: others hold for other architectures than the usual ones.
fn least_in(script: &str, branch: &str) -> Option<(u32, u32)> {
    let rest = script.split_once(branch)?.1;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: u32, patchlevel: u32, least: Option<&str>) -> Range {
        let told = Told { least, decompressor: None };
        Range::of(Family::Gcc, KernelVersion { version, patchlevel }, told)
    }

    fn of_llvm(version: u32, patchlevel: u32, least: Option<&str>) -> Range {
        let told = Told { least, decompressor: None };
        Range::of(Family::Llvm, KernelVersion { version, patchlevel }, told)
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
    fn a_decompressor_in_the_compilers_own_dialect_wants_one_before_c23() {
        let most = |family, (version, patchlevel), decompressor| {
            let told = Told { least: None, decompressor };
            Range::of(family, KernelVersion { version, patchlevel }, told).most
        };
        let (old, new) = (Some("KBUILD_CFLAGS := -m64 -O2"), Some("KBUILD_CFLAGS += -std=gnu11"));
        assert_eq!(most(Family::Gcc, (6, 1), old), Some(14));
        assert_eq!(most(Family::Gcc, (6, 1), new), None, "a stable kernel that took it over");
        assert_eq!(most(Family::Gcc, (6, 14), old), None, "it may say so in other words by now");
        assert_eq!(most(Family::Gcc, (6, 1), None), None, "no kernel for x86");
        assert_eq!(most(Family::Gcc, (5, 4), old), Some(9));
        assert_eq!(most(Family::Llvm, (6, 1), old), None);
    }

    #[test]
    fn a_kernel_that_says_what_it_needs_is_believed() {
        let script = "case \"$1\" in\nbinutils)\n\techo 2.30.0\n\t;;\ngcc)\n\tif [ \"$ARCH\" = parisc64 ]; \
                      then\n\t\techo 12.0.0\n\telse\n\t\techo 8.1.0\n\tfi\n\t;;\nllvm)\n\techo 15.0.0\n\t;;\n";
        assert_eq!(of(6, 16, Some(script)).least, (8, 1));
        assert_eq!(of_llvm(6, 16, Some(script)).least, (15, 0));
        assert_eq!(of_llvm(5, 10, None).least, (10, 0));
        assert_eq!(of(6, 16, Some("nothing of the kind")).least, (5, 1));
    }
}
