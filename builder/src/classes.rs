//! A range of commits, collapsed into classes by the closures of builds at hand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kiln_cache::InputKey;
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::{Signature, SignatureKind};

use crate::audit::differ;
use crate::builder::Builder;
use crate::closure::{Closure, Edges, Touch};
use crate::error::BuildError;
use crate::proving::{CONSIDERED, blocking};
use crate::request::Request;
use crate::tree::{History, Repository};

/// Builds that a range is held against, at most.
const MOST_BUILDS: usize = 64;

/// The classes of a range.
#[derive(Clone, Debug)]
pub struct Classes {
    /// In order of their first commits.
    pub classes: Vec<Class>,
    /// Builds at hand by whose closures the range was divided.
    pub builds: usize,
    /// Builds of the range itself that were left out, as there are more than are looked at.
    pub left_out: usize,
    /// Builds at hand that speak against each other: none of them counts.
    pub contrary: Vec<Contrary>,
}

/// Commits that give one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Positions in the history, in order.
    pub commits: Vec<usize>,
    /// The build that all of them are proved to give. `None`: no build at hand proves it; they are
    /// expected to give one image, as nothing changes between them that a build at hand read.
    pub build: Option<InputKey>,
    /// What changes from the commit before the first one, as the builds at hand could notice it.
    pub begins: Option<Touch>,
}

impl Builder {
    /// Divides a history into classes. `request` says how its commits would be built; its revision
    /// plays no part. Compiles nothing. Without a build at hand there is nothing to go by, and no
    /// class.
    ///
    /// An edge of the history along which nothing changes that any build at hand read joins its two
    /// commits. All that the closure of a build proves (see [`Edges::same_class`]) is joined too. So
    /// a class that holds something proved is proved as a whole: what joins the rest of it touches
    /// nothing of that closure either. Builds that came out the same join what they prove. One that is
    /// not what another proves it to be refutes that ([`Builder::refute`]), and neither counts.
    pub async fn classes(
        &self,
        history: &Arc<History>,
        request: &Request,
    ) -> Result<Classes, BuildError> {
        let repository = Repository::open(&request.repository)?;
        let question = self.question(request)?;
        let family = request.family(question.given, question.toolchain.as_deref());
        let (mut builds, left_out) = self.believed(&repository, &family, history).await?;
        let mut contrary: Vec<Contrary> = Vec::new();
        loop {
            if builds.is_empty() {
                return Ok(Classes { classes: Vec::new(), builds: 0, left_out, contrary });
            }
            let (repository, divided, by) =
                (repository.clone(), Arc::clone(history), builds.clone());
            let (classes, found) =
                blocking(move || Ok(divide(&repository, &divided, &by)?)).await?;
            if found.is_empty() {
                return Ok(Classes { classes, builds: builds.len(), left_out, contrary });
            }
            contrary.extend(found);
            let speaks = |key: InputKey| contrary.iter().any(|it| it.own == key || it.by == key);
            builds.retain(|(build, _)| !speaks(build.input_key));
        }
    }

    /// Finds out which of two builds is wrong that speak against each other, by compiling each commit
    /// that both are of from nothing, and withdraws what is ([`Builder::refute`]). Whether anything was
    /// withdrawn: then the history falls into other classes.
    pub async fn settle_classes(
        &self,
        history: &History,
        request: &Request,
        contrary: &[Contrary],
    ) -> Result<bool, BuildError> {
        let mut any = false;
        for Contrary { commit, own, by } in contrary {
            let Some(commit) = history.commits.get(*commit) else { continue };
            let request = Request { revision: commit.revision(), ..request.clone() };
            any |= self.refute(&request, *own, *by).await?;
        }
        Ok(any)
    }

    /// The builds at hand of a family that prove something, with what they read; and of how many of the
    /// range's own that was not asked.
    async fn believed(
        &self,
        repository: &Repository,
        family: &InputKey,
        history: &History,
    ) -> Result<(Vec<(Manifest, Arc<Closure>)>, usize), BuildError> {
        let most = CONSIDERED as usize;
        let all = self.candidates(repository, family, &history.tip.tree, most).await?;
        let trees = history.commits.iter().map(|commit| &commit.tree).chain([&history.base.tree]);
        let trees: HashSet<&str> = trees.map(String::as_str).collect();
        let (chosen, left_out) = own_first(all, |build| trees.contains(&*build.tree), MOST_BUILDS);
        let mut builds = Vec::new();
        for build in chosen {
            let Some(manifest) = self.recall_input(&build.input_key).await? else { continue };
            if let Some(closure) = self.closure_in(&build.closure).await?
                && self.repeats(&manifest).await?
            {
                builds.push((manifest, closure));
            }
        }
        Ok((builds, left_out))
    }
}

/// The first of a list, at most so many: those that are a range's own before all others. Also how many of
/// its own are left out.
fn own_first<T>(all: Vec<T>, is_own: impl Fn(&T) -> bool, most: usize) -> (Vec<T>, usize) {
    let (mut chosen, others): (Vec<T>, Vec<T>) = all.into_iter().partition(is_own);
    let left_out = chosen.len().saturating_sub(most);
    chosen.extend(others);
    chosen.truncate(most);
    (chosen, left_out)
}

/// That the own build of a commit is not the build whose closure proves that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contrary {
    /// Position in the history.
    pub commit: usize,
    /// Its own build.
    pub own: InputKey,
    /// The other one.
    pub by: InputKey,
}

fn divide(
    repository: &Repository,
    history: &History,
    builds: &[(Manifest, Arc<Closure>)],
) -> Result<(Vec<Class>, Vec<Contrary>), crate::tree::TreeError> {
    let edges = Edges::new(repository, history);
    edges.compare_all()?;
    let all = builds.iter().fold(Closure::default(), |all, (_, closure)| all.union(closure));
    let mut joined = Joined::new(history.commits.len());
    let mut trees: HashMap<&str, usize> = HashMap::new();
    let mut begins: Vec<Option<Touch>> = vec![None; history.commits.len()];
    for (child, commit) in history.commits.iter().enumerate() {
        joined.join(child, *trees.entry(&commit.tree).or_insert(child));
        for &parent in &commit.parents {
            match edges.touch(parent, child, &all)? {
                None => joined.join(parent, child),
                touch => begins[child] = touch,
            }
        }
    }
    let mut proved: Vec<(usize, InputKey)> = Vec::new();
    let mut contents: HashMap<Signature, usize> = HashMap::new();
    let mut contrary: Vec<Contrary> = Vec::new();
    let own: HashMap<&str, &Manifest> =
        builds.iter().map(|(build, _)| (&*build.input.tree, build)).collect();
    for (manifest, closure) in builds {
        for start in starts(repository, history, manifest, closure)? {
            for commit in edges.same_class(start, closure)? {
                joined.join(start, commit);
                let own = own.get(&*history.commits[commit].tree);
                if let Some(own) = own.filter(|own| differ(own, manifest)) {
                    let (own, by) = (own.input_key, manifest.input_key);
                    contrary.push(Contrary { commit, own, by });
                }
            }
            proved.push((start, manifest.input_key));
            // Builds of which a test can run the same are one, whatever their sources.
            if let Some(content) = manifest.signatures.get(SignatureKind::Content) {
                joined.join(start, *contents.entry(*content).or_insert(start));
            }
        }
    }
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut classes: Vec<Class> = Vec::new();
    for commit in 0..history.commits.len() {
        let root = joined.root(commit);
        let place = *places.entry(root).or_insert_with(|| {
            let begins = begins[commit].clone();
            classes.push(Class { commits: Vec::new(), build: None, begins });
            classes.len() - 1
        });
        classes[place].commits.push(commit);
    }
    for (start, build) in proved {
        let place = places[&joined.root(start)];
        classes[place].build.get_or_insert(build);
    }
    Ok((classes, contrary))
}

/// Positions that a build proves by itself: those of its tree, and the first commits of the range
/// when it lies before them and they touch nothing in its closure.
fn starts(
    repository: &Repository,
    history: &History,
    build: &Manifest,
    closure: &Closure,
) -> Result<Vec<usize>, crate::tree::TreeError> {
    let mut found = Vec::new();
    for (place, commit) in history.commits.iter().enumerate() {
        let is_own = commit.tree == build.input.tree;
        let is_next = !commit.outside.is_empty() && history.base.tree == build.input.tree;
        if is_own
            || is_next
                && repository.first_touch(&build.input.tree, &commit.tree, closure)?.is_none()
        {
            found.push(place);
        }
    }
    Ok(found)
}

/// Which commits are joined: a forest in which each points towards an earlier one of its class.
struct Joined(Vec<usize>);

impl Joined {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut one: usize) -> usize {
        while self.0[one] != one {
            self.0[one] = self.0[self.0[one]];
            one = self.0[one];
        }
        one
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::own_first;

    #[test]
    fn builds_of_the_range_come_before_all_others() {
        let all = vec![8, 1, 9, 2, 3];
        let is_own = |it: &i32| *it < 5;
        assert_eq!(own_first(all.clone(), is_own, 9), (vec![1, 2, 3, 8, 9], 0));
        assert_eq!(own_first(all.clone(), is_own, 4), (vec![1, 2, 3, 8], 0));
        assert_eq!(own_first(all, is_own, 2), (vec![1, 2], 1));
    }
}
