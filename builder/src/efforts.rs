//! How much of a kernel each commit of a history would have made anew. No proof: this is for those who
//! choose among commits, and is told from what working pairs hold without building anything.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use git2::Repository as Git;

use crate::builder::Builder;
use crate::closure::{Edges, VisibleChange};
use crate::error::BuildError;
use crate::pool::Folder;
use crate::proving::blocking;
use crate::request::{How, Request, host_arch};
use crate::stages::{Touched, is_from_nothing, noticed};
use crate::tree::TreeError;
use crate::units::{Units, preprocessor_sees_all};

/// Objects that builds of a history's commits would make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Efforts {
    /// Objects of a whole kernel, programs that the build makes for itself among them.
    pub whole: usize,
    /// For each commit those that are made anew upon the nearest working pair, of all of them.
    pub anew: Vec<usize>,
}

impl Builder {
    /// What the commits of a history would have made anew, by what the working pairs hold now.
    /// `request` says how they would be built; its revision says of which kernel they are. `None` when no
    /// pair tells: all are in use or hold no whole build, nobody watched what builds read, or a command
    /// builds.
    ///
    /// What changes along the edges that lead from a pair's tree to a commit is added up, along the
    /// edges that change the least, and there and back counts. Objects of changed text of C count, and
    /// everything where make may overlook something; not what other configurations, flags or generated
    /// headers would have made again. Where there is no pair yet, all commits make everything, and
    /// [`Efforts::whole`] is zero, as nobody knows how much that is.
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
        let mut pairs = Vec::new();
        let found = self.pool.pairs(&key);
        let is_cold = found.iter().all(|pair| pair.state.objects.tree.is_none());
        for pair in found {
            // What is under way, or has failed, leaves objects of two trees.
            if pair.holds().is_some() && !self.is_doubted(&pair).await? {
                pairs.push(pair);
            }
        }
        let (edges, revision) = (Arc::clone(edges), request.revision.clone());
        blocking(move || {
            if is_cold {
                return Ok(Some(Efforts { whole: 0, anew: vec![0; edges.commits()] }));
            }
            let kernel = edges.repository().kernel_version(&revision)?;
            let sees_all = preprocessor_sees_all(host_arch(), kernel);
            let all: Result<Vec<_>, TreeError> =
                pairs.iter().map(|pair| upon(&edges, pair, sees_all)).collect();
            Ok(all?.into_iter().flatten().reduce(|one, other| one.or(&other)))
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

/// What would be made anew upon what a pair holds; `None` when that can't be told. `sees_all`: whether
/// records say all that compilers of this kernel read; where they don't, whatever is noticed has
/// everything made.
fn upon(edges: &Edges, pair: &Folder, sees_all: bool) -> Result<Option<Efforts>, TreeError> {
    let Some(tree) = pair.state.objects.tree.as_deref() else { return Ok(None) };
    if !edges.repository().which_trees(&[tree])?.contains(&true) {
        return Ok(None);
    }
    let (Some(reads), Some(units)) = (pair.reads(), pair.units()) else { return Ok(None) };
    let repository = edges.repository();
    let anew = |git: &Git, trees: [&str; 2], changes: &[VisibleChange]| {
        let touched = noticed(repository, git, trees, changes, &reads)?;
        Ok(Anew::of(&touched, &units, sees_all))
    };
    let all = edges.all();
    let along = edges.ask(&all, |git, (one, other)| {
        let Some(changes) = edges.few_changes(git, *one, *other)? else { return Ok(Anew::Whole) };
        anew(git, [edges.tree(*one), edges.tree(*other)], &changes)
    })?;
    let along: HashMap<(usize, usize), Anew> = all.into_iter().zip(along).collect();
    let begins = begins(edges, tree, |end| {
        let end = edges.tree(end);
        anew(&repository.git()?, [tree, end], &repository.visible_changes(tree, end)?)
    })?;
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
    Objects(Vec<u32>),
}

impl Anew {
    fn of(touched: &[Touched], units: &Units, sees_all: bool) -> Self {
        let is_overlooked = |one: &Touched| !sees_all || is_from_nothing(one, units);
        if touched.iter().any(is_overlooked) {
            return Self::Whole;
        }
        let objects = units.made_from(touched.iter().map(|one| &*one.touch.path));
        match objects.len() == units.len() {
            true => Self::Whole,
            false => Self::Objects(objects),
        }
    }
}

/// Where the way from a tree into a history begins, with what is made anew there: at the commits of that
/// tree; for a tree of another history at the end that is nearer, by what `anew` says of it.
fn begins(
    edges: &Edges,
    tree: &str,
    anew: impl Fn(usize) -> Result<Anew, TreeError>,
) -> Result<Vec<(usize, Anew)>, TreeError> {
    let same = edges.of_tree(tree);
    if !same.is_empty() {
        return Ok(same.iter().map(|commit| (*commit, Anew::Objects(Vec::new()))).collect());
    }
    let Some(last) = edges.commits().checked_sub(1) else { return Ok(Vec::new()) };
    let ends = [0, last];
    let nearest = edges.repository().nearest(tree, &ends.map(|end| edges.tree(end)), 1)?;
    match nearest.first().map(|at| ends[*at]) {
        Some(end) => Ok(vec![(end, anew(end)?)]),
        None => Ok(Vec::new()),
    }
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
    let mut ways: HashMap<usize, Way> = HashMap::new();
    let mut left = vec![false; edges.commits()];
    let mut open = BinaryHeap::new();
    let nothing = Way { objects: vec![false; whole], count: 0 };
    let mut reached: Vec<(usize, Way)> =
        begins.iter().map(|(commit, anew)| (*commit, nothing.and(anew))).collect();
    loop {
        for (commit, there) in reached.drain(..) {
            // Where everything is made there is nothing to add up from here on.
            if there.count < counts[commit] {
                counts[commit] = there.count;
                open.push(Reverse((there.count, commit)));
                ways.insert(commit, there);
            }
        }
        let Some(Reverse((_, commit))) = open.pop() else { return counts };
        let Some(here) = ways.remove(&commit) else { continue };
        left[commit] = true;
        let next = edges.neighbours(commit).iter().filter(|next| !left[**next]);
        reached.extend(next.map(|next| (*next, here.and(along(commit, *next)))));
    }
}

/// What is made anew on a way.
struct Way {
    objects: Vec<bool>,
    count: usize,
}

impl Way {
    fn and(&self, anew: &Anew) -> Self {
        match anew {
            Anew::Whole => Self { objects: Vec::new(), count: self.objects.len() },
            Anew::Objects(more) => {
                let mut objects = self.objects.clone();
                let mut count = self.count;
                for object in more {
                    count += usize::from(!std::mem::replace(&mut objects[*object as usize], true));
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
        let way = |to: u32| Anew::Objects((0..to).collect());
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
