//! A user's own names of toolchains, and which of them build which kernels.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::tree::KernelVersion;

/// What a user says about toolchains; nothing unless told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Toolchains {
    /// Names for `--toolchain`, and what each stands for: the name or path of a compiler, or `llvm`
    /// with what may follow it.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Rows that `auto` asks before Kiln's own: the first whose kernels hold the revision decides.
    #[serde(default)]
    pub auto: Vec<AutoRow>,
}

/// Kernels, and the toolchain for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AutoRow {
    /// The first kernel of which it holds; from the first of all unless told.
    pub from: Option<KernelRelease>,
    /// The first of which it does not hold any more.
    pub before: Option<KernelRelease>,
    /// The toolchain: a name of the user's, or what such a name may stand for.
    pub toolchain: String,
}

/// Version and patchlevel of a kernel, written as "5.10".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct KernelRelease(u32, u32);

impl FromStr for KernelRelease {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let parts = bare.split_once('.').and_then(|(version, patchlevel)| {
            Some(Self(version.parse().ok()?, patchlevel.parse().ok()?))
        });
        parts.ok_or_else(|| format!("'{text}' is no release of Linux: write it as \"5.10\""))
    }
}

impl TryFrom<String> for KernelRelease {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Toolchains {
    /// What a name stands for: itself, unless the user has given it a meaning.
    pub(crate) fn meaning<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }

    /// The user's choice for a kernel.
    pub(crate) fn chosen(&self, kernel: KernelVersion) -> Option<&str> {
        let at = KernelRelease(kernel.version, kernel.patchlevel);
        let holds = |row: &&AutoRow| {
            row.from.is_none_or(|from| from <= at) && row.before.is_none_or(|before| at < before)
        };
        self.auto.iter().find(holds).map(|row| self.meaning(&row.toolchain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_holds_decides() {
        let row = |from: Option<&str>, before: Option<&str>, toolchain: &str| AutoRow {
            from: from.map(|text| text.parse().unwrap()),
            before: before.map(|text| text.parse().unwrap()),
            toolchain: toolchain.into(),
        };
        let user = Toolchains {
            names: [("old".to_owned(), "/opt/gcc-8/bin/gcc".to_owned())].into(),
            auto: vec![row(None, Some("5.7"), "old"), row(Some("v6.10"), None, "llvm-17")],
        };
        let of = |version, patchlevel| user.chosen(KernelVersion { version, patchlevel });
        assert_eq!(of(4, 19), Some("/opt/gcc-8/bin/gcc"));
        assert_eq!(of(5, 6), Some("/opt/gcc-8/bin/gcc"));
        assert_eq!(of(5, 7), None);
        assert_eq!(of(6, 9), None);
        assert_eq!(of(6, 12), Some("llvm-17"));
        assert_eq!(user.meaning("old"), "/opt/gcc-8/bin/gcc");
        assert_eq!(user.meaning("gcc-9"), "gcc-9");
        assert!("6".parse::<KernelRelease>().unwrap_err().contains("5.10"));
    }
}
