//! Two configurations, option by option.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::{CONFIG, Cause, CauseKind, Difference};

/// Options that say which compiler there is, not what is built: the compiler itself is compared.
const ABOUT_TOOLS: [&str; 8] = [
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_GCC_VERSION",
    "CONFIG_CLANG_VERSION",
    "CONFIG_AS_VERSION",
    "CONFIG_LD_VERSION",
    "CONFIG_LLD_VERSION",
    "CONFIG_PAHOLE_VERSION",
    "CONFIG_RUSTC_VERSION_TEXT",
];
/// How many options a cause names.
const NAMED: usize = 5;

/// What differs between two configurations.
pub(super) struct Config {
    /// "CONFIG_X (y, not set)", sorted.
    pub(super) options: Vec<String>,
    /// Names of those that either has as `y`.
    enabled: BTreeSet<String>,
}

impl Config {
    /// Reads both; they are text of a few hundred kilobytes.
    pub(super) fn compare([before, after]: [&Path; 2]) -> io::Result<Self> {
        Ok(Self::of(&std::fs::read_to_string(before)?, &std::fs::read_to_string(after)?))
    }

    pub(super) fn of(before: &str, after: &str) -> Self {
        let (before, after) = (options(before), options(after));
        let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        let differing = names.into_iter().filter(|name| !ABOUT_TOOLS.contains(name));
        let options = differing.filter_map(|name| {
            let (a, b) = (before.get(name), after.get(name));
            let value = |it: Option<&&str>| it.copied().unwrap_or("not set").to_owned();
            (a != b).then(|| format!("{name} ({}, {})", value(a), value(b)))
        });
        let options = options.collect();
        let enabled = before.iter().chain(&after).filter(|(_, value)| **value == "y");
        Self { options, enabled: enabled.map(|(name, _)| (*name).to_owned()).collect() }
    }

    /// Whether either has any of some options.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|it| self.enabled.contains(*it))
    }

    pub(super) fn cause(&self) -> Cause {
        let mut detail = self.options.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        if self.options.len() > NAMED {
            detail = format!("{detail} and {} more", self.options.len() - NAMED);
        }
        Cause::new(CauseKind::Configuration, detail)
    }

    pub(super) fn difference(&self) -> Option<Difference> {
        (!self.options.is_empty()).then(|| Difference {
            file: CONFIG.to_owned(),
            place: format!("{} options", self.options.len()),
            symbols: Vec::new(),
            symbol_count: 0,
            bytes: 0,
            masked: false,
            causes: vec![self.cause()],
        })
    }
}

/// Options that are set, with their values.
fn options(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| line.starts_with("CONFIG_"));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn only_what_is_set_counts() {
        let before = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_GCC_VERSION=1\nCONFIG_S=\"x=y\"\n";
        let after = "CONFIG_B=m\nCONFIG_C=12\nCONFIG_GCC_VERSION=2\nCONFIG_S=\"x=y\"\n# end\n";
        let options = Config::of(before, after).options;
        assert_eq!(options, ["CONFIG_B (y, m)", "CONFIG_C (not set, 12)"]);
        assert!(Config::of(after, after).options.is_empty());
        let config = Config::of(before, after);
        assert!(config.has_any(&["CONFIG_A", "CONFIG_B"]) && !config.has_any(&["CONFIG_A"]));
    }
}
