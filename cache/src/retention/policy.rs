//! Which builds go: decided from what is known of them, without touching anything.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::index::Seen;
use crate::input::InputKey;

#[cfg(doc)]
use super::most::MostGo;

/// What the owner of a store wants.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Bytes that the store may take; no limit without. Builds go for what blobs take alone; for
    /// the rest, copies of images and the oldest of the quarantine do.
    pub quota: Option<u64>,
    /// Whether no build goes for the quota when more than half of them would: see [`MostGo`].
    pub spare_most: bool,
    /// Seconds since its last use after which a build goes; never without.
    pub max_age: Option<i64>,
    /// Whether debug information goes before any build does, where there is a quota.
    pub debug_first: bool,
    /// Seconds since the last use of its build after which debug information goes; never without.
    pub debug_age: Option<i64>,
    /// Seconds for which a blob stays that nobody names: its build may be on its way.
    pub embargo: i64,
    /// Commits (hexadecimal) whose builds stay: release tags, ends of bisections.
    pub keep_commits: HashSet<String>,
    /// Whether the clock is right although nobody seems to have used the store for long.
    pub trust_clock: bool,
    /// Only say what would go.
    pub dry_run: bool,
}

/// Why a build goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It was not asked for within the time that the policy gives.
    Age,
    /// The store is larger than its quota, and it was not asked for longer than what stays.
    Quota,
}

/// What deciding needs to know of a build.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) key: InputKey,
    /// What its removal depends on.
    pub(super) seen: Seen,
    /// The commit it was first built for.
    pub(super) commit: String,
    /// The commits that lead to it otherwise: of the same sources, or by a proof.
    pub(super) commits: Vec<String>,
    /// When it was last made, pushed or asked for.
    pub(super) last_use: i64,
    pub(super) pinned: bool,
}

impl Policy {
    /// Whether a build stays whatever its age.
    pub(super) fn keeps(&self, build: &Known) -> bool {
        let mut commits = build.commits.iter().chain([&build.commit]);
        build.pinned || commits.any(|commit| self.keep_commits.contains(commit))
    }

    /// Whether debug information goes that was last used then, and why, in a store of so many
    /// bytes.
    pub(super) fn debug_goes(&self, last_use: i64, now: i64, bytes: u64) -> Option<Reason> {
        if self.debug_age.is_some_and(|age| last_use < now.saturating_sub(age)) {
            return Some(Reason::Age);
        }
        let is_over = self.quota.is_some_and(|quota| bytes > quota);
        (self.debug_first && is_over).then_some(Reason::Quota)
    }

    /// Builds in the order in which they go, and the reason for those that go in any case.
    pub(super) fn order<'a>(
        &self,
        builds: &'a [Known],
        now: i64,
    ) -> Vec<(&'a Known, Option<Reason>)> {
        let mut order: Vec<_> = builds.iter().filter(|build| !self.keeps(build)).collect();
        order.sort_by_key(|build| (build.last_use, build.key));
        let is_old = |build: &Known| {
            self.max_age.is_some_and(|age| build.last_use < now.saturating_sub(age))
        };
        order.into_iter().map(|build| (build, is_old(build).then_some(Reason::Age))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn build(n: u8, last_use: i64) -> Known {
        let key = InputKey(Digest::of(&[n]));
        let seen = Seen { manifest: Digest::of(&[n]), tag: None, uses: 0 };
        let (commit, commits) = (format!("{n:02x}"), vec![format!("f{n}")]);
        Known { key, seen, commit, commits, last_use, pinned: n == 9 }
    }

    #[test]
    fn the_longest_unused_go_first_and_what_is_kept_never() {
        let builds =
            [build(1, 50), build(2, 10), build(9, 1), build(3, 5), build(4, 40), build(5, 3)];
        let policy = Policy {
            max_age: Some(80),
            keep_commits: HashSet::from(["03".to_owned(), "f5".to_owned()]),
            ..Policy::default()
        };
        let order: Vec<_> =
            policy.order(&builds, 100).into_iter().map(|it| (it.0.last_use, it.1)).collect();
        assert_eq!(order, [(10, Some(Reason::Age)), (40, None), (50, None)]);
        let none = Policy { max_age: None, ..policy };
        assert!(none.order(&builds, i64::MAX).iter().all(|it| it.1.is_none()));
    }

    #[test]
    fn debug_information_goes_by_age_or_above_the_quota() {
        let policy = Policy { quota: Some(100), debug_age: Some(10), ..Policy::default() };
        assert_eq!(policy.debug_goes(50, 61, 0), Some(Reason::Age));
        assert_eq!(policy.debug_goes(50, 60, 101), None, "builds go then");
        let first = Policy { debug_first: true, ..policy };
        assert_eq!(first.debug_goes(50, 60, 101), Some(Reason::Quota));
        assert_eq!(first.debug_goes(50, 60, 100), None);
    }
}
