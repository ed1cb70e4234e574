//! What each merge adds to the ancestors of its heaviest parent, exactly.

use std::collections::BinaryHeap;

/// For one commit, how its set of ancestors follows from one parent's.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// Position of the parent with the most ancestors.
    pub(super) base: Option<u32>,
    /// Positions (start, end exclusive) of ancestors that `base` lacks, the commit itself left out.
    pub(super) extra: Vec<(u32, u32)>,
}

/// Works out [`Step`]s in parents-first order of positions.
pub(super) struct Ancestry {
    count: Vec<u32>,
    depth: Vec<u32>,
    tree: Vec<u32>,
    jump: Vec<u32>,
    mark: Vec<u64>,
    stamp: u64,
}

impl Ancestry {
    pub(super) fn with_capacity(n: usize) -> Self {
        Self {
            count: Vec::with_capacity(n),
            depth: Vec::with_capacity(n),
            tree: Vec::with_capacity(n),
            jump: Vec::with_capacity(n),
            mark: vec![0; n],
            stamp: 0,
        }
    }

    /// Adds the next position; `parents` holds positions before it, `all` the parents of those.
    pub(super) fn push(&mut self, parents: &[u32], all: &[Vec<u32>]) -> Step {
        let here = self.count.len() as u32;
        let mut base = None;
        for &p in parents {
            if base.is_none_or(|b: u32| self.count[p as usize] > self.count[b as usize]) {
                base = Some(p);
            }
        }
        let Some(base) = base else {
            self.count.push(1);
            self.depth.push(0);
            self.tree.push(here);
            self.jump.push(here);
            return Step::default();
        };
        let extra = if parents.len() > 1 { self.beyond(base, parents, all) } else { Vec::new() };
        let added: u32 = extra.iter().map(|(start, end)| end - start).sum();
        self.count.push(self.count[base as usize] + added + 1);
        self.hang(base);
        Step { base: Some(base), extra }
    }

    /// Hangs the next position below `base` in a tree with jump pointers, for quick certainty.
    fn hang(&mut self, base: u32) {
        let b = base as usize;
        let far = self.jump[b] as usize;
        let even = self.depth[b] - self.depth[far]
            == self.depth[far] - self.depth[self.jump[far] as usize];
        self.depth.push(self.depth[b] + 1);
        self.tree.push(base);
        self.jump.push(if even { self.jump[far] } else { base });
    }

    /// Whether `x` lies on the path of heaviest parents below `from`: then it is an ancestor.
    fn on_path(&self, x: u32, from: u32) -> bool {
        let mut at = from;
        let want = self.depth[x as usize];
        while self.depth[at as usize] > want {
            let far = self.jump[at as usize];
            at = if self.depth[far as usize] >= want { far } else { self.tree[at as usize] };
        }
        at == x
    }

    /// Ancestors of `parents` that are not ancestors of `base`, as ranges of positions.
    fn beyond(&mut self, base: u32, parents: &[u32], all: &[Vec<u32>]) -> Vec<(u32, u32)> {
        self.stamp += 2;
        let (ours, theirs) = (self.stamp, self.stamp + 1);
        // Both sides are walked from high to low positions, so that when a position is judged
        // every descendant of it that matters has been seen.
        let mut known = BinaryHeap::from([base]);
        let mut open: BinaryHeap<u32> = BinaryHeap::new();
        for &p in parents.iter().filter(|p| **p != base) {
            if self.mark[p as usize] != theirs {
                self.mark[p as usize] = theirs;
                open.push(p);
            }
        }
        self.mark[base as usize] = ours;
        let mut found: Vec<(u32, u32)> = Vec::new();
        while let Some(x) = open.pop() {
            if self.mark[x as usize] == ours || self.on_path(x, base) {
                continue;
            }
            while let Some(&k) = known.peek() {
                if k < x {
                    break;
                }
                known.pop();
                for &p in &all[k as usize] {
                    if self.mark[p as usize] != ours {
                        self.mark[p as usize] = ours;
                        known.push(p);
                    }
                }
            }
            if self.mark[x as usize] == ours {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.0 == x + 1 => last.0 = x,
                _ => found.push((x, x + 1)),
            }
            for &p in &all[x as usize] {
                if self.mark[p as usize] != ours && self.mark[p as usize] != theirs {
                    self.mark[p as usize] = theirs;
                    open.push(p);
                }
            }
        }
        self.stamp += 1;
        found
    }
}
