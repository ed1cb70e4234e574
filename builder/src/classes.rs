//! A range of commits, collapsed into classes by the closures of builds at hand.

use std::collections::HashMap;
use std::sync::Arc;

use kiln_cache::InputKey;
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::{Signature, SignatureKind};

use crate::audit::differ;
use crate::builder::Builder;
use crate::closure::{Closure, Edges, Touch};
use crate::error::BuildError;
use crate::proving::blocking;
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
        let mut builds = self.believed(&repository, &family).await?;
        let mut contrary: Vec<Contrary> = Vec::new();
        loop {
            if builds.is_empty() {
                return Ok(Classes { classes: Vec::new(), builds: 0, contrary });
            }
            let (repository, divided, by) =
                (repository.clone(), Arc::clone(history), builds.clone());
            let (classes, found) =
                blocking(move || Ok(divide(&repository, &divided, &by)?)).await?;
            if found.is_empty() {
                return Ok(Classes { classes, builds: builds.len(), contrary });
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

    /// The builds at hand of a family that prove something, with what they read.
    async fn believed(
        &self,
        repository: &Repository,
        family: &InputKey,
    ) -> Result<Vec<(Manifest, Arc<Closure>)>, BuildError> {
        let mut builds = Vec::new();
        for build in self.candidates(repository, family, None, MOST_BUILDS).await? {
            let Some(manifest) = self.recall_input(&build.input_key).await? else { continue };
            if let Some(closure) = self.closure_in(&build.closure).await?
                && self.repeats(&manifest).await?
            {
                builds.push((manifest, closure));
            }
        }
        Ok(builds)
    }
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
