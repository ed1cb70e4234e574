//! Differences between two configurations, and configurations made of some of them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use kiln_builder::config_values;
use serde::{Deserialize, Serialize};

/// An option with another value than in the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// With its prefix, "CONFIG_KASAN".
    pub option: String,
    /// In the baseline; "n" when it is off, or not there.
    pub base: String,
    /// In the configuration given; "n" when it is off, or not there.
    pub given: String,
}

/// All differences, in the order in which the configuration names the options: what depends on each
/// other stands together there. Options that only the baseline has come last.
pub(super) fn differences(base: &str, given: &str) -> Vec<Difference> {
    let (base_values, given_values) = (config_values(base), config_values(given));
    let value = |values: &BTreeMap<&str, &str>, option: &str| {
        values.get(option).copied().unwrap_or("n").to_owned()
    };
    let mut seen = HashSet::new();
    given
        .lines()
        .chain(base.lines())
        .filter_map(|line| config_values(line).into_keys().next())
        .filter(|option| seen.insert((*option).to_owned()))
        .map(|option| Difference {
            base: value(&base_values, option),
            given: value(&given_values, option),
            option: option.to_owned(),
        })
        .filter(|difference| difference.base != difference.given)
        .collect()
}

/// The baseline with some of the differences. The last assignment of an option counts.
pub(super) fn with(base: &str, differences: &[Difference], some: &[usize]) -> String {
    let mut text = base.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for Difference { option, given, .. } in some.iter().map(|index| &differences[*index]) {
        let _ = match given.as_str() {
            "n" => writeln!(text, "# {option} is not set"),
            given => writeln!(text, "{option}={given}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_OLD=m\nCONFIG_N=5\n";
    const GIVEN: &str = "# comment\nCONFIG_C=\"x\"\nCONFIG_B=y\nCONFIG_A=y\nCONFIG_N=6\n";

    #[test]
    fn differences_are_listed_in_the_order_of_the_file() {
        let all = differences(BASE, GIVEN);
        let said: Vec<String> =
            all.iter().map(|d| format!("{} {} {}", d.option, d.base, d.given)).collect();
        assert_eq!(said, ["CONFIG_C n \"x\"", "CONFIG_B n y", "CONFIG_N 5 6", "CONFIG_OLD m n"]);
        assert!(differences(GIVEN, GIVEN).is_empty());
    }

    #[test]
    fn all_differences_give_the_configuration_again() {
        let all = differences(BASE, GIVEN);
        let some: Vec<usize> = (0..all.len()).collect();
        assert!(differences(&with(BASE, &all, &some), GIVEN).is_empty());
        assert_eq!(differences(&with(BASE, &all, &[1]), BASE).len(), 1);
        assert!(differences(&with(BASE, &all, &[]), BASE).is_empty());
    }
}
