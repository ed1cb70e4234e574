//! How much of a kernel each commit of a history would have made anew. No proof: this is for those who
//! choose among commits, and is told from what working pairs hold without building anything.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::builder::Builder;
use crate::closure::{Closure, Edges};
use crate::error::BuildError;
use crate::pool::Folder;
use crate::proving::blocking;
use crate::request::{How, Request};
use crate::stages::{Touched, difference, is_from_nothing, noticed};
use crate::tree::{Repository, TreeError};
use crate::units::Units;

/// Objects that builds of a history's commits would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Efforts {
    /// Objects of a whole kernel.
    pub whole: usize,
    /// For each commit those that are made anew upon the nearest working pair, of all of them.
    pub anew: Vec<usize>,
}

impl Builder {
    /// What the commits of a history would have made anew, by what the working pairs hold now.
    /// `request` says how they would be built; its revision plays no part. `None` when no pair tells:
    /// none was built in, nobody watched what builds read, or a command builds.
    ///
    /// What changes along the edges that lead from a pair's tree to a commit is added up, along the
    /// edges that change the least. So there and back count, and what is said of a commit is at least
    /// what it is.
    pub async fn efforts(
        &self,
        edges: &Arc<Edges>,
        request: &Request,
    ) -> Result<Option<Efforts>, BuildError> {
        if let How::Command(_) = request.how {
            return Ok(None);
        }
        let question = self.question(request)?;
        let key = request.pool_key(question.given, question.toolchain.as_deref());
        let (pool, edges) = (self.pool.clone(), Arc::clone(edges));
        blocking(move || {
            let mut nearest: Option<Efforts> = None;
            for pair in pool.pairs(&key) {
                let Some(efforts) = upon(&edges, &pair)? else { continue };
                nearest = Some(match nearest {
                    Some(before) => before.or(&efforts),
                    None => efforts,
                });
            }
            Ok(nearest)
        })
        .await
    }
}

impl Efforts {
    /// Where two pairs are to be had.
    fn or(self, other: &Self) -> Self {
        let least = self.anew.iter().zip(&other.anew).map(|(one, other)| *one.min(other));
        Self { anew: least.collect(), whole: self.whole.max(other.whole) }
    }
}

/// What would be made anew upon what a pair holds; `None` when that can't be told.
fn upon(edges: &Edges, pair: &Folder) -> Result<Option<Efforts>, TreeError> {
    let Some(tree) = pair.state.objects.tree.as_deref() else { return Ok(None) };
    if !edges.repository().which_trees(&[tree])?.contains(&true) {
        return Ok(None);
    }
    let (Some(reads), Some(units)) = (pair.reads(), pair.units()) else { return Ok(None) };
    let all = edges.all();
    let along = edges.ask(&all, |git, (one, other)| {
        let Some(changes) = edges.few_changes(git, *one, *other)? else { return Ok(Anew::Whole) };
        let trees = [edges.tree(*one), edges.tree(*other)];
        let touched = noticed(edges.repository(), git, trees, &changes, &reads)?;
        Ok(Anew::of(&touched, &units))
    })?;
    let along: HashMap<(usize, usize), Anew> = all.into_iter().zip(along).collect();
    let begins = begins(edges, tree, &reads, &units)?;
    let anew = spread(edges, begins, units.len(), |one, other| {
        along.get(&(one.min(other), one.max(other))).unwrap_or(&Anew::Whole)
    });
    Ok(Some(Efforts { whole: units.len(), anew }))
}

/// What is made anew for a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Anew {
    /// Everything.
    Whole,
    /// Objects, by their positions among all.
    Objects(Vec<usize>),
}

impl Anew {
    fn of(touched: &[Touched], units: &Units) -> Self {
        if touched.iter().any(|one| is_from_nothing(one, units)) {
            return Self::Whole;
        }
        let objects = touched.iter().flat_map(|one| units.positions(&one.touch.path));
        let mut objects: Vec<usize> = objects.copied().collect();
        objects.sort_unstable();
        objects.dedup();
        Self::Objects(objects)
    }
}

/// Where the way from a tree into a history begins, with what is made anew there: at the commits of that
/// tree; for a tree of another history at the end that is nearer.
fn begins(
    edges: &Edges,
    tree: &str,
    reads: &Closure,
    units: &Units,
) -> Result<Vec<(usize, Anew)>, TreeError> {
    let same = edges.of_tree(tree);
    if !same.is_empty() {
        return Ok(same.iter().map(|commit| (*commit, Anew::Objects(Vec::new()))).collect());
    }
    let repository: &Repository = edges.repository();
    let ends = [0, edges.commits() - 1];
    let nearest = repository.nearest(tree, &ends.map(|end| edges.tree(end)), 1)?;
    let Some(end) = nearest.first().map(|at| ends[*at]) else { return Ok(Vec::new()) };
    let touched = difference(repository, tree, edges.tree(end), reads)?;
    Ok(vec![(end, Anew::of(&touched, units))])
}

/// For each commit how many of `whole` objects are made anew on the way that makes the fewest.
fn spread<'a>(
    edges: &Edges,
    begins: Vec<(usize, Anew)>,
    whole: usize,
    along: impl Fn(usize, usize) -> &'a Anew,
) -> Vec<usize> {
    let mut counts = vec![whole; edges.commits()];
    // Of commits that were reached and not left yet.
    let mut made: HashMap<usize, Made> = HashMap::new();
    let mut left = vec![false; edges.commits()];
    let mut open = BinaryHeap::new();
    let nothing = Made { objects: vec![false; whole], count: 0 };
    let mut reached: Vec<(usize, Made)> =
        begins.iter().map(|(commit, anew)| (*commit, nothing.and(anew))).collect();
    loop {
        for (commit, there) in reached.drain(..) {
            // Where everything is made there is nothing to add up from here on.
            if there.count < counts[commit] {
                counts[commit] = there.count;
                open.push(Reverse((there.count, commit)));
                made.insert(commit, there);
            }
        }
        let Some(Reverse((_, commit))) = open.pop() else { return counts };
        let Some(here) = made.remove(&commit) else { continue };
        left[commit] = true;
        let next = edges.neighbours(commit).iter().filter(|next| !left[**next]);
        reached.extend(next.map(|next| (*next, here.and(along(commit, *next)))));
    }
}

/// What is made anew on a way.
struct Made {
    objects: Vec<bool>,
    count: usize,
}

impl Made {
    fn and(&self, anew: &Anew) -> Self {
        match anew {
            Anew::Whole => Self { objects: Vec::new(), count: self.objects.len() },
            Anew::Objects(more) => {
                let mut objects = self.objects.clone();
                let mut count = self.count;
                for object in more {
                    count += usize::from(!std::mem::replace(&mut objects[*object], true));
                }
                Self { objects, count }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use git2::Oid;

    use super::*;
    use crate::testing::{Edit, Fixture};

    #[test]
    fn of_two_ways_the_one_that_makes_less_counts_and_of_two_pairs_the_nearer() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("a", "0")]);
        let commit = |name: &str, parents: &[&crate::Revision]| {
            let parents: Vec<Oid> =
                parents.iter().map(|it| Oid::from_str(&it.commit).unwrap()).collect();
            fixture.commit_on(name, &parents, &[Edit::File("a", name)])
        };
        let fork = commit("fork", &[&good]);
        let [one, other] = ["one", "other"].map(|name| commit(name, &[&fork]));
        let merge = commit("merge", &[&one, &other]);
        let repository = fixture.repository();
        let history = repository.history(&good.commit, &merge.commit).unwrap();
        let edges = Edges::new(&repository, &history);
        let at = |it: &crate::Revision| {
            history.commits.iter().position(|commit| commit.id == it.commit).unwrap()
        };
        let [fork, one, other, merge] = [&fork, &one, &other, &merge].map(at);
        let way = |to: usize| Anew::Objects((0..to).collect());
        let along: HashMap<(usize, usize), Anew> = [
            ((fork, one), Anew::Whole),
            ((one, merge), way(1)),
            ((fork, other), way(2)),
            ((other, merge), way(3)),
        ]
        .into();
        let from = |begins: Vec<(usize, Anew)>| {
            let along = |one: usize, other: usize| &along[&(one.min(other), one.max(other))];
            let anew = spread(&edges, begins, 5, along);
            [fork, one, other, merge].map(|commit| anew[commit])
        };
        assert_eq!(from(vec![(merge, way(0))]), [3, 1, 3, 0]);
        assert_eq!(from(vec![(one, way(0))]), [3, 0, 3, 1]);
        assert_eq!(from(vec![(fork, way(0))]), [0, 3, 2, 3]);
        assert_eq!(from(vec![(fork, Anew::Whole)]), [5; 4]);
        assert_eq!(from(vec![(fork, way(4)), (merge, way(0))]), [3, 1, 3, 0]);
        assert_eq!(from(Vec::new()), [5; 4]);

        let efforts = |whole, anew: [usize; 2]| Efforts { whole, anew: anew.into() };
        assert_eq!(efforts(5, [1, 5]).or(&efforts(6, [2, 0])), efforts(6, [1, 0]));
    }
}
