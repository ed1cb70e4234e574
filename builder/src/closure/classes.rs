//! Commits of a history that provably give the same build.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::changes::VisibleChange;
use super::reads::Closure;
use super::touches::{Touch, touches};
use crate::tree::{History, Repository, TreeError};

/// A difference of more paths than this is not kept, but walked again when it is asked about. Such
/// are merges against the side that was merged into; most of them touch any closure soon.
const KEPT: usize = 2_000;

/// The edges of a history (parent to child), with what differs along each. An edge is compared when
/// it is first asked about.
#[derive(Debug)]
pub struct Edges {
    repository: Repository,
    /// Tree of each commit.
    trees: Vec<String>,
    /// Commits at the other end of each commit's edges, in either direction.
    neighbours: Vec<Vec<usize>>,
    /// Positions of a tree's commits.
    same_tree: HashMap<String, Vec<usize>>,
    changes: Mutex<HashMap<(usize, usize), Difference>>,
}

#[derive(Clone, Debug)]
enum Difference {
    Kept(Arc<[VisibleChange]>),
    TooLarge,
}

impl Edges {
    /// The edges of a history whose commits are in `repository`. Compares nothing yet.
    pub fn new(repository: &Repository, history: &History) -> Self {
        let mut neighbours = vec![Vec::new(); history.commits.len()];
        let mut same_tree: HashMap<String, Vec<usize>> = HashMap::new();
        for (child, commit) in history.commits.iter().enumerate() {
            for &parent in &commit.parents {
                neighbours[child].push(parent);
                neighbours[parent].push(child);
            }
            same_tree.entry(commit.tree.clone()).or_default().push(child);
        }
        Self {
            repository: repository.clone(),
            trees: history.commits.iter().map(|commit| commit.tree.clone()).collect(),
            neighbours,
            same_tree,
            changes: Mutex::default(),
        }
    }

    /// All commits that provably give the same build as the commit at `start`, which was built with
    /// this closure; sorted, `start` among them.
    ///
    /// They are those to which edges lead, in either direction, along none of which anything in the
    /// closure changes. That is rule T0 step by step: along such an edge the same questions are
    /// asked and answered alike, so the commit at its end has the same closure, and the next edge
    /// is held against it. Commits of one tree are one build, connected or not.
    pub fn same_class(&self, start: usize, closure: &Closure) -> Result<Vec<usize>, TreeError> {
        let Some(tree) = self.trees.get(start) else { return Ok(Vec::new()) };
        let git = self.repository.git()?;
        let mut class = vec![false; self.trees.len()];
        let mut open = self.same_tree[tree].clone();
        while let Some(commit) = open.pop() {
            if std::mem::replace(&mut class[commit], true) {
                continue;
            }
            for &next in &self.neighbours[commit] {
                if !class[next] && self.touch_in(&git, commit, next, closure)?.is_none() {
                    open.extend(&self.same_tree[&self.trees[next]]);
                }
            }
        }
        Ok((0..class.len()).filter(|&commit| class[commit]).collect())
    }

    /// The first change between two neighbours that a build with this closure could notice.
    pub fn touch(
        &self,
        one: usize,
        other: usize,
        closure: &Closure,
    ) -> Result<Option<Touch>, TreeError> {
        self.touch_in(&self.repository.git()?, one, other, closure)
    }

    /// All edges, the parent first.
    pub fn all(&self) -> Vec<(usize, usize)> {
        self.neighbours
            .iter()
            .enumerate()
            .flat_map(|(one, others)| others.iter().map(move |other| (one, *other)))
            .filter(|(one, other)| one < other)
            .collect()
    }

    /// Commits at the other end of a commit's edges, in either direction.
    pub(crate) fn neighbours(&self, commit: usize) -> &[usize] {
        &self.neighbours[commit]
    }

    /// The commits of a tree (in hexadecimal).
    pub(crate) fn of_tree(&self, tree: &str) -> &[usize] {
        self.same_tree.get(tree).map_or(&[], Vec::as_slice)
    }

    /// The parents of a commit that are in the history.
    pub(crate) fn parents(&self, commit: usize) -> impl Iterator<Item = usize> {
        self.neighbours[commit].iter().copied().filter(move |other| *other < commit)
    }

    /// For each commit whether a file has the content there that it has at the commit `at`. `None`
    /// when there is no such file.
    pub fn same_file(&self, at: usize, path: &str) -> Result<Option<Vec<bool>>, TreeError> {
        let git = self.repository.git()?;
        let blob = |tree: &String| -> Option<git2::Oid> {
            let tree = git.find_tree(git2::Oid::from_str(tree).ok()?).ok()?;
            let entry = tree.get_path(std::path::Path::new(path)).ok()?;
            (entry.kind() == Some(git2::ObjectType::Blob)).then(|| entry.id())
        };
        let Some(own) = self.trees.get(at).and_then(blob) else { return Ok(None) };
        Ok(Some(self.trees.iter().map(|tree| blob(tree) == Some(own)).collect()))
    }

    /// Compares all edges at once, on every processor.
    pub fn compare_all(&self) -> Result<(), TreeError> {
        self.keep(&self.all(), |git, (one, other)| self.difference(git, one, other).map(|_| false))
            .map(drop)
    }

    /// How many commits the history has.
    pub(crate) fn commits(&self) -> usize {
        self.trees.len()
    }

    /// The repository of the trees.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The same, opened anew.
    pub(crate) fn git(&self) -> Result<git2::Repository, TreeError> {
        self.repository.git()
    }

    /// The tree of a commit, in hexadecimal.
    pub(crate) fn tree(&self, commit: usize) -> &str {
        &self.trees[commit]
    }

    /// The changes between two neighbours that a build with this closure could notice; `None` when
    /// the difference is a large one, of which some could be noticed.
    pub(crate) fn few_touches(
        &self,
        git: &git2::Repository,
        one: usize,
        other: usize,
        closure: &Closure,
    ) -> Result<Option<Vec<Touch>>, TreeError> {
        match self.difference(git, one.min(other), one.max(other))? {
            Difference::Kept(changes) => {
                let each = changes.iter().map(std::slice::from_ref);
                Ok(Some(each.filter_map(|change| touches(closure, change)).collect()))
            }
            Difference::TooLarge => {
                let touch = self.touch_in(git, one, other, closure)?;
                Ok(touch.is_none().then(Vec::new))
            }
        }
    }

    /// The edges for which `keep` is true, in their order; asked on every processor at once.
    pub(crate) fn keep(
        &self,
        edges: &[(usize, usize)],
        keep: impl Fn(&git2::Repository, (usize, usize)) -> Result<bool, TreeError> + Sync,
    ) -> Result<Vec<(usize, usize)>, TreeError> {
        let kept = self.ask(edges, |git, edge| keep(git, *edge))?;
        Ok(edges.iter().zip(kept).filter_map(|(edge, kept)| kept.then_some(*edge)).collect())
    }

    /// What `ask` answers for each item, in their order; asked on every processor at once.
    pub(crate) fn ask<I: Sync, T: Send>(
        &self,
        items: &[I],
        ask: impl Fn(&git2::Repository, &I) -> Result<T, TreeError> + Sync,
    ) -> Result<Vec<T>, TreeError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = items.len().div_ceil(threads).max(1);
        let ask = &ask;
        let part = |items: &[I]| {
            let git = self.repository.git()?;
            items.iter().map(|item| ask(&git, item)).collect::<Result<Vec<T>, TreeError>>()
        };
        let parts: Result<Vec<Vec<T>>, TreeError> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                items.chunks(share).map(|items| scope.spawn(move || part(items))).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(answers) => answers,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().map(join).collect()
        });
        Ok(parts?.into_iter().flatten().collect())
    }

    fn touch_in(
        &self,
        git: &git2::Repository,
        a: usize,
        b: usize,
        closure: &Closure,
    ) -> Result<Option<Touch>, TreeError> {
        let (a, b) = (a.min(b), a.max(b));
        match self.difference(git, a, b)? {
            Difference::Kept(changes) => Ok(touches(closure, &changes)),
            Difference::TooLarge => {
                let (a, b) = (&self.trees[a], &self.trees[b]);
                self.repository.each_visible_change_in(git, a, b, |change| {
                    touches(closure, std::slice::from_ref(&change))
                })
            }
        }
    }

    /// What differs along an edge, compared now or before.
    fn difference(
        &self,
        git: &git2::Repository,
        a: usize,
        b: usize,
    ) -> Result<Difference, TreeError> {
        let known = || self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(difference) = known().get(&(a, b)) {
            return Ok(difference.clone());
        }
        let difference = match self.compare(git, a, b)? {
            Some(changes) => Difference::Kept(changes.into()),
            None => Difference::TooLarge,
        };
        known().insert((a, b), difference.clone());
        Ok(difference)
    }

    /// What differs along an edge, unless that is thousands of paths.
    pub(crate) fn few_changes(
        &self,
        git: &git2::Repository,
        a: usize,
        b: usize,
    ) -> Result<Option<Arc<[VisibleChange]>>, TreeError> {
        match self.difference(git, a, b)? {
            Difference::Kept(changes) => Ok(Some(changes)),
            Difference::TooLarge => Ok(None),
        }
    }

    fn compare(
        &self,
        git: &git2::Repository,
        a: usize,
        b: usize,
    ) -> Result<Option<Vec<VisibleChange>>, TreeError> {
        let mut changes = Vec::new();
        let stopped = self.repository.each_visible_change_in(
            git,
            &self.trees[a],
            &self.trees[b],
            |change| {
                changes.push(change);
                (changes.len() > KEPT).then_some(())
            },
        )?;
        Ok(stopped.is_none().then_some(changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Paths;
    use crate::testing::{Edit, Fixture};

    fn class(fixture: &Fixture, good: &str, start: usize) -> Vec<usize> {
        let repository = fixture.repository();
        let history = repository.history(good, "HEAD").unwrap();
        let closure = Closure { read: Paths::new(["a.c"]), ..Closure::default() };
        Edges::new(&repository, &history).same_class(start, &closure).unwrap()
    }

    #[test]
    fn an_unbroken_run_in_both_directions() {
        let fixture = Fixture::new();
        let good = fixture.commit("good", &[("a.c", "0"), ("b.c", "0")]).commit;
        for (path, text) in
            [("a.c", "1"), ("b.c", "1"), ("b.c", "2"), ("a.c", "2"), ("b.c", "3"), ("a.c", "1")]
        {
            fixture.edit(&format!("{path} = {text}"), &[Edit::File(path, text)]);
        }
        assert_eq!(class(&fixture, &good, 1), [0, 1, 2]);
        assert_eq!(class(&fixture, &good, 0), [0, 1, 2]);
        assert_eq!(class(&fixture, &good, 4), [3, 4]);
        assert_eq!(class(&fixture, &good, 9), Vec::<usize>::new());
        // The tree of position 2 again, after detours.
        fixture.edit("back", &[Edit::File("b.c", "2")]);
        assert_eq!(class(&fixture, &good, 1), [0, 1, 2, 5, 6]);
    }
}
