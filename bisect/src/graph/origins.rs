//! What commits have from before the range: the older end's history, or that of fork points alone.

use std::collections::HashMap;

use super::commits::Outside;

/// Number of what contains the older end.
pub(crate) const BASE: u32 = 0;

/// A number for each commit, and for each fork point: [`BASE`], or one for each set of fork points.
#[derive(Clone, Debug)]
pub(super) struct Origins {
    /// By commit; empty where all contain the older end.
    commits: Vec<u32>,
    /// By fork point.
    forks: Vec<u32>,
    count: u32,
}

impl Origins {
    /// `outside`: the commits with parents outside of the range, rising.
    pub(super) fn new(parents: &[Vec<u32>], outside: &[(u32, Outside)]) -> Self {
        let mut sets = Sets { known: HashMap::new(), list: vec![Vec::new()] };
        let numbers = outside.iter().filter_map(|(_, parent)| fork(*parent));
        let forks = numbers.max().map_or(0, |last| last + 1);
        let forks = (0..forks).map(|fork| sets.number(vec![fork])).collect();
        let mut commits: Vec<u32> = Vec::with_capacity(parents.len());
        let mut rest = outside;
        for (commit, inside) in parents.iter().enumerate() {
            let own = rest.iter().take_while(|(child, _)| *child as usize == commit).count();
            let (own, others) = rest.split_at(own);
            rest = others;
            let inside: Vec<u32> = inside.iter().map(|parent| commits[*parent as usize]).collect();
            commits.push(match (inside.as_slice(), own) {
                (inside, own)
                    if inside.contains(&BASE)
                        || own.iter().any(|(_, parent)| *parent == Outside::Base) =>
                {
                    BASE
                }
                ([first, others @ ..], []) if others.iter().all(|it| it == first) => *first,
                (inside, own) => {
                    let from = inside.iter().flat_map(|origin| &sets.list[*origin as usize]);
                    let own = own.iter().filter_map(|(_, parent)| fork(*parent));
                    let mut set: Vec<u32> = from.copied().chain(own).collect();
                    set.sort_unstable();
                    set.dedup();
                    sets.number(set)
                }
            });
        }
        if commits.iter().all(|origin| *origin == BASE) {
            commits = Vec::new();
        }
        Self { commits, forks, count: sets.list.len() as u32 }
    }

    pub(super) fn all_are_base(&self) -> bool {
        self.commits.is_empty()
    }

    pub(super) fn of(&self, commit: u32) -> u32 {
        self.commits.get(commit as usize).copied().unwrap_or(BASE)
    }

    pub(super) fn of_fork(&self, fork: u32) -> u32 {
        self.forks[fork as usize]
    }

    pub(super) fn forks(&self) -> u32 {
        self.forks.len() as u32
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

fn fork(parent: Outside) -> Option<u32> {
    match parent {
        Outside::Base => None,
        Outside::Fork(fork) => Some(fork),
    }
}

/// Sets of fork points, numbered as they are met; the first is [`BASE`]'s, and no set.
struct Sets {
    known: HashMap<Vec<u32>, u32>,
    list: Vec<Vec<u32>>,
}

impl Sets {
    fn number(&mut self, set: Vec<u32>) -> u32 {
        let next = self.list.len() as u32;
        let number = *self.known.entry(set.clone()).or_insert(next);
        if number == next {
            self.list.push(set);
        }
        number
    }
}
