//! The graph itself: parents, ancestors, and exact masses of ancestors.

use super::ancestry::{Ancestry, Step};
use super::order::branch_order;

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

/// The commits of a range, parents first; the last one is the newer end.
///
/// Parents outside of the range (older than, or equal to, the older end) are simply left out.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Where each commit's parents start in `flat`, and one more.
    first: Vec<u32>,
    flat: Vec<u32>,
    /// Node at each position of the branch order.
    order: Vec<u32>,
    steps: Vec<Step>,
}

impl Graph {
    /// Builds the graph from each commit's parents within the range.
    ///
    /// # Errors
    /// When there is no commit, or a parent does not come before its child.
    pub fn new(parents: Vec<Vec<u32>>) -> Result<Self, GraphError> {
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
        Ok(Self { first, flat, order, steps })
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
