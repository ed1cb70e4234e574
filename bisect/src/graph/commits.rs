//! The graph itself: parents, ancestors, and exact masses of ancestors.

use super::ancestry::{Ancestry, Step};
use super::order::branch_order;
use super::origins::{BASE, Origins};

/// Why a list of parents is not a commit graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A bisection needs at least the newer end.
    #[error("the range holds no commit: the good end already contains the bad end")]
    Empty,
    /// Parents must come before their children.
    #[error("commit {child} names {parent} as its parent: parents must come first in the list")]
    Order {
        /// Index of the commit.
        child: u32,
        /// Index that it names.
        parent: u32,
    },
}

/// A parent of a commit of a range that is not in the range itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// The older end.
    Base,
    /// An ancestor of the older end, where a branch forked off before it: a fork point, by its number.
    Fork(u32),
}

/// The commits of a range, parents first; the last one is the newer end.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Where each commit's parents start in `flat`, and one more.
    first: Vec<u32>,
    flat: Vec<u32>,
    /// Node at each position of the branch order.
    order: Vec<u32>,
    steps: Vec<Step>,
    /// Commits with parents outside of the range, rising.
    outside: Vec<(u32, Outside)>,
    origins: Origins,
}

impl Graph {
    /// Builds the graph from each commit's parents within the range; those without any are children of
    /// the older end.
    ///
    /// # Errors
    /// When there is no commit, or a parent does not come before its child.
    pub fn new(parents: Vec<Vec<u32>>) -> Result<Self, GraphError> {
        let numbered = (0u32..).zip(&parents);
        let roots = numbered.filter(|(_, list)| list.is_empty());
        let outside = roots.map(|(commit, _)| (commit, Outside::Base)).collect();
        Self::with_outside(parents, outside)
    }

    /// Builds the graph from each commit's parents within the range, and those outside of it, by the
    /// commits that have them.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_outside(
        parents: Vec<Vec<u32>>,
        mut outside: Vec<(u32, Outside)>,
    ) -> Result<Self, GraphError> {
        if parents.is_empty() {
            return Err(GraphError::Empty);
        }
        for (child, list) in parents.iter().enumerate() {
            if let Some(&parent) = list.iter().find(|p| **p as usize >= child) {
                return Err(GraphError::Order { child: child as u32, parent });
            }
        }
        let order = branch_order(&parents);
        let mut position = vec![0u32; parents.len()];
        for (at, node) in order.iter().enumerate() {
            position[*node as usize] = at as u32;
        }
        let placed: Vec<Vec<u32>> = order
            .iter()
            .map(|node| parents[*node as usize].iter().map(|p| position[*p as usize]).collect())
            .collect();
        let mut ancestry = Ancestry::with_capacity(parents.len());
        let steps = placed.iter().map(|list| ancestry.push(list, &placed)).collect();
        let mut first = vec![0];
        let mut flat = Vec::with_capacity(parents.len());
        for list in &parents {
            flat.extend_from_slice(list);
            first.push(flat.len() as u32);
        }
        outside.sort_unstable();
        let origins = Origins::new(&parents, &outside);
        Ok(Self { first, flat, order, steps, outside, origins })
    }

    /// A history without merges.
    ///
    /// # Errors
    /// When `n` is zero.
    pub fn linear(n: u32) -> Result<Self, GraphError> {
        Self::new((0..n).map(|i| if i == 0 { vec![] } else { vec![i - 1] }).collect())
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Never true: a graph has at least the newer end.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The newest commit, which every other leads to.
    pub fn tip(&self) -> u32 {
        self.order.len() as u32 - 1
    }

    /// Parents of a commit within the range.
    pub fn parents(&self, commit: u32) -> &[u32] {
        &self.flat[self.first[commit as usize] as usize..self.first[commit as usize + 1] as usize]
    }

    /// Parents of a commit outside of the range.
    pub fn outside(&self, commit: u32) -> impl Iterator<Item = Outside> {
        let first = self.outside.partition_point(|(child, _)| *child < commit);
        let own = self.outside[first..].iter().take_while(move |(child, _)| *child == commit);
        own.map(|(_, parent)| *parent)
    }

    /// How many fork points there are.
    pub fn forks(&self) -> u32 {
        self.origins.forks()
    }

    /// Whether the older end is an ancestor of a commit: not on branches that forked off before it, until
    /// they merge what follows it.
    pub fn contains_base(&self, commit: u32) -> bool {
        self.origin(commit) == BASE
    }

    /// Whether it is an ancestor of all commits.
    pub(crate) fn all_contain_base(&self) -> bool {
        self.origins.all_are_base()
    }

    /// A number for all that a commit has from before the range: that of the older end, or one for each
    /// set of fork points.
    pub(crate) fn origin(&self, commit: u32) -> u32 {
        self.origins.of(commit)
    }

    /// The same of a fork point itself.
    pub(crate) fn origin_of_fork(&self, fork: u32) -> u32 {
        self.origins.of_fork(fork)
    }

    /// How many such numbers there are.
    pub(crate) fn origins(&self) -> u32 {
        self.origins.count()
    }

    /// For every commit whether it is `of` or an ancestor of it.
    pub fn ancestors(&self, of: u32) -> Vec<bool> {
        let mut found = vec![false; self.len()];
        found[of as usize] = true;
        for at in (0..=of as usize).rev() {
            if found[at] {
                for p in self.parents(at as u32) {
                    found[*p as usize] = true;
                }
            }
        }
        found
    }

    /// For every commit whether it is `of` or a descendant of it.
    pub fn descendants(&self, of: u32) -> Vec<bool> {
        let mut found = vec![false; self.len()];
        found[of as usize] = true;
        for at in of as usize + 1..self.len() {
            found[at] = self.parents(at as u32).iter().any(|p| found[*p as usize]);
        }
        found
    }

    /// Carries bits from commits to all of their ancestors: each commit ends up with the bits of
    /// itself and of all its descendants. `bits` has one word a commit.
    pub fn carry_to_ancestors(&self, bits: &mut [u64]) {
        for at in (0..self.len()).rev() {
            let own = bits[at];
            if own != 0 {
                for p in self.parents(at as u32) {
                    bits[*p as usize] |= own;
                }
            }
        }
    }

    /// For every commit the mass of itself and of all its ancestors, each counted once.
    ///
    /// `L` masses a commit are added side by side. A commit with one parent adds its own mass; a
    /// merge adds what its other parents bring in beyond the heaviest, which is exact.
    pub fn ancestor_mass<const L: usize>(&self, mass: impl Fn(u32) -> [f64; L]) -> Vec<[f64; L]> {
        let n = self.len();
        // Sums of the masses at positions before each position.
        let mut before: Vec<[f64; L]> = Vec::with_capacity(n + 1);
        let mut total: Vec<[f64; L]> = Vec::with_capacity(n);
        before.push([0.0; L]);
        for (at, node) in self.order.iter().enumerate() {
            let own = mass(*node);
            let step = &self.steps[at];
            let mut sum = own;
            if let Some(base) = step.base {
                add(&mut sum, &total[base as usize]);
            }
            for (start, end) in &step.extra {
                let (from, to) = (&before[*start as usize], &before[*end as usize]);
                for lane in 0..L {
                    sum[lane] += to[lane] - from[lane];
                }
            }
            total.push(sum);
            let mut next = before[at];
            add(&mut next, &own);
            before.push(next);
        }
        let mut by_node = vec![[0.0; L]; n];
        for (node, sum) in self.order.iter().zip(total) {
            by_node[*node as usize] = sum;
        }
        by_node
    }

    /// How many ranges of positions describe all merges: the size of the exact answer.
    pub fn merge_ranges(&self) -> usize {
        self.steps.iter().map(|step| step.extra.len()).sum()
    }

    /// How many commits have more than one parent in the range.
    pub fn merges(&self) -> usize {
        self.first.windows(2).filter(|w| w[1] - w[0] > 1).count()
    }
}

fn add<const L: usize>(to: &mut [f64; L], what: &[f64; L]) {
    for lane in 0..L {
        to[lane] += what[lane];
    }
}
