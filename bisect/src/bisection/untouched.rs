//! Commits that change nothing which the builds at hand read.

use std::collections::HashSet;

use kiln_cache::InputKey;

/// The edges of the range, parent first, along which nothing changes that any watched build of this
/// bisection asked about.
#[derive(Debug, Default)]
pub(super) struct Untouched {
    /// `None`: no build was watched so far, and nothing is known.
    edges: Option<Vec<(usize, usize)>>,
    asked: HashSet<InputKey>,
}

impl Untouched {
    /// Whether a build has yet to be held against the edges; true once for each build.
    pub(super) fn is_new(&mut self, build: InputKey) -> bool {
        self.asked.insert(build)
    }

    /// The edges that another build is to be held against; `all` when it is the first.
    pub(super) fn left(&self, all: impl FnOnce() -> Vec<(usize, usize)>) -> Vec<(usize, usize)> {
        self.edges.clone().unwrap_or_else(all)
    }

    /// Takes note of what another build leaves of [`Self::left`].
    pub(super) fn narrow(&mut self, edges: Vec<(usize, usize)>) {
        self.edges = Some(edges);
    }

    /// The commits, rising: those with such an edge to a parent. A merge needs only one: it is what
    /// that parent is then, and the commit that is sought differs from all its parents.
    pub(super) fn commits(&self) -> Vec<u32> {
        let children = self.edges.iter().flatten().map(|(_, child)| *child as u32);
        let mut commits: Vec<u32> = children.collect();
        commits.sort_unstable();
        commits.dedup();
        commits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_build_can_only_take_edges_away() {
        let mut untouched = Untouched::default();
        assert_eq!(untouched.commits(), [0; 0]);
        let all = || vec![(0, 1), (1, 3), (2, 3), (3, 4)];
        assert_eq!(untouched.left(all), all());
        untouched.narrow(vec![(2, 3), (1, 3), (0, 1)]);
        assert_eq!(untouched.commits(), [1, 3]);
        assert_eq!(untouched.left(all), [(2, 3), (1, 3), (0, 1)]);
        // The merge is still what its other parent is.
        untouched.narrow(vec![(2, 3)]);
        assert_eq!(untouched.commits(), [3]);
    }
}
