//! Working pairs: folders of sources and objects that are kept from build to build, so that make
//! has little to do.
//!
//! ```text
//! pool/<key>/<n>/source     a checkout
//! pool/<key>/<n>/objects    what make made of it
//! pool/<key>/<n>/view       the checkout as it is shown to a build that is watched
//! pool/<key>/<n>/closure    what the builds here read of it since `objects` was empty
//! pool/<key>/<n>/units      which files of it each of the objects was made from
//! pool/<key>/<n>/pair.json  what is known of all that
//! pool/<key>/<n>.lock       held by whoever uses the pair, and by every process of its build
//! ```
//!
//! The key stands for architecture, toolchain, configuration and way of building: what must be
//! equal for objects to be of use.

mod current;
mod eviction;
mod folder;
mod leftovers;
mod pair;
mod reads;
#[cfg(test)]
mod recovery;
mod shadow;
mod state;
mod times;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{BuildError, Doing};
use crate::tree::Repository;
pub(crate) use folder::Folder;
pub(crate) use pair::Pair;
use state::State;
pub(crate) use state::boot_id;
pub(crate) use times::Times;

/// Folder of a pair in which its sources are shown to a build that is watched.
const VIEW: &str = "view";
/// What is known of a pair.
const RECORD: &str = "pair.json";

/// How many pairs there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of one key: builds that can run side by side.
    pub(crate) of_a_key: usize,
    /// In all: beyond it, those unused longest are removed.
    pub(crate) in_all: usize,
}

/// All pairs below one folder.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) folder: PathBuf,
    pub(crate) bounds: Bounds,
}

impl Pool {
    /// The pair of a key that [`Pool::try_take`] would take if all were free. Looks only.
    pub(crate) fn nearest(
        &self,
        key: &str,
        repository: &Repository,
        wanted: &str,
    ) -> Option<Folder> {
        self.pairs(key).into_iter().min_by_key(|pair| distance(pair, repository, wanted))
    }

    /// All pairs of a key, used by others or not. Looks only.
    pub(crate) fn pairs(&self, key: &str) -> Vec<Folder> {
        let folder = self.folder.join(key);
        let roots = (0..self.bounds.of_a_key).map(|number| folder.join(number.to_string()));
        let pairs = roots.filter_map(|root| {
            let state = State::load(&root.join(RECORD))?;
            Some(Folder { root, state })
        });
        pairs.collect()
    }

    /// Removes the objects of all free pairs, whatever their keys, that are in doubt. Whoever takes a pair
    /// looks as well, but pairs serve more than one store, and only the one that they were made by way of
    /// says what is. What can't be emptied stays, with a line in the log.
    pub(crate) fn empty(&self, is_doubted: impl Fn(&Folder) -> bool) {
        for root in eviction::folders(&self.folder).iter().flat_map(|key| eviction::folders(key)) {
            let path = root.display().to_string();
            match self.empty_one(root, &is_doubted) {
                Ok(false) => {}
                Ok(true) => tracing::warn!(path, "an audit has left objects in doubt: removed"),
                Err(error) => tracing::warn!(path, %error, "objects in doubt stay"),
            }
        }
    }

    fn empty_one(
        &self,
        root: PathBuf,
        is_doubted: impl Fn(&Folder) -> bool,
    ) -> Result<bool, BuildError> {
        let Some(state) = State::load(&root.join(RECORD)) else { return Ok(false) };
        let folder = Folder { root, state };
        if !is_doubted(&folder) {
            return Ok(false);
        }
        let root = folder.root;
        let Some(lock) = try_lock(&root.with_extension("lock"))? else { return Ok(false) };
        // By now somebody else may have made others.
        let mut pair = Pair::open(root, lock)?;
        let is_doubted = is_doubted(&pair);
        if is_doubted {
            pair.empty_objects()?;
        }
        Ok(is_doubted)
    }

    /// Takes the free pair of a key that is nearest to a tree, or a new one where there is none, or
    /// only such as hold trees of other repositories; `None` when all are in use. Nearest is the one
    /// with the fewest objects to make again, then the one with the fewest changed paths.
    pub(crate) fn try_take(
        &self,
        key: &str,
        repository: &Repository,
        wanted: &str,
    ) -> Result<Option<Pair>, BuildError> {
        let folder = self.folder.join(key);
        fs::create_dir_all(&folder).doing("making", &folder)?;
        eviction::sweep(&self.folder);
        let mut free = Vec::new();
        let mut unused = None;
        for number in 0..self.bounds.of_a_key {
            let root = folder.join(number.to_string());
            let is_new = !root.exists();
            if is_new && unused.is_some() {
                continue;
            }
            if let Some(lock) = try_lock(&root.with_extension("lock"))? {
                if is_new {
                    unused = Some((root, lock));
                } else {
                    free.push(Pair::open(root, lock)?);
                }
            }
        }
        let distance = |pair: &Pair| distance(pair, repository, wanted);
        // The locks of the others are given back here.
        let nearest = free.into_iter().min_by_key(distance);
        let (root, lock) = match (nearest, unused) {
            // What it holds is of no use here, and of use to another repository.
            (Some(pair), Some(new)) if distance(&pair).0 == ELSEWHERE => new,
            (Some(pair), _) => return Ok(Some(pair)),
            (None, Some(new)) => new,
            (None, None) => return Ok(None),
        };
        let pair = Pair::open(root, lock)?;
        eviction::make_room(&self.folder, self.bounds.in_all);
        Ok(Some(pair))
    }
}

/// The distance to a tree that a repository does not have.
const ELSEWHERE: usize = usize::MAX - 1;

/// Objects made from files that differ between what a pair holds and a tree, and the number of those
/// files. A pair whose objects are not known counts them by files alone. One whose tree this
/// repository does not know, or that holds nothing, is farthest.
fn distance(pair: &Folder, repository: &Repository, wanted: &str) -> (usize, usize) {
    let Some(tree) = pair.state.source.tree.as_deref() else { return (usize::MAX, 0) };
    if tree == wanted {
        return (0, 0);
    }
    let Ok(changes) = repository.changed_paths(tree, wanted) else { return (ELSEWHERE, 0) };
    let paths = changes.iter().map(|change| change.path.as_os_str().as_encoded_bytes());
    let units = pair.units().map(|units| units.affected(paths));
    (units.unwrap_or(changes.len()), changes.len())
}

/// Locks a file, made when absent, if nobody holds it. The kernel gives the lock back when the last
/// process that has the file open ends, however it ends.
fn try_lock(path: &Path) -> Result<Option<File>, BuildError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .doing("opening", path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).doing("locking", path),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::Fixture;

    fn pool(folder: &Path, of_a_key: usize, in_all: usize) -> Pool {
        Pool { folder: folder.into(), bounds: Bounds { of_a_key, in_all } }
    }

    /// Waits until nobody holds a lock of a pair. A process that another test forked a moment ago
    /// has all of them open until it executes.
    fn wait_until_free(pairs: &[&Path]) {
        for pair in pairs {
            while try_lock(&pair.with_extension("lock")).unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn hold(pair: &mut Pair, tree: &str) {
        pair.state.source.tree = Some(tree.to_owned());
        pair.save().unwrap();
    }

    #[test]
    fn the_nearest_free_pair_is_taken() {
        let fixture = Fixture::new();
        let near = fixture.commit("near", &[("a", "1"), ("b", "1"), ("c", "1")]);
        let far = fixture.commit("far", &[("a", "2"), ("b", "2"), ("c", "2")]);
        let wanted = fixture.commit("wanted", &[("a", "1"), ("b", "1"), ("c", "3")]);
        let repository = fixture.repository();
        let work = tempfile::tempdir().unwrap();
        let pool = pool(work.path(), 2, 4);
        let take = || pool.try_take("key", &repository, &wanted.tree).unwrap();

        let mut one = take().unwrap();
        hold(&mut one, &far.tree);
        let mut two = take().unwrap();
        hold(&mut two, &near.tree);
        assert!(take().is_none(), "both are in use");
        let (first, root) = (one.root.clone(), two.root.clone());
        drop((one, two));
        wait_until_free(&[&first, &root]);
        assert_eq!(take().unwrap().root, root);
    }

    #[test]
    fn what_another_repository_left_is_not_taken_while_there_is_room() {
        let [one, other] = [Fixture::new(), Fixture::new()];
        let here = one.commit("here", &[("a", "1")]);
        let there = other.commit("there", &[("a", "2")]);
        let work = tempfile::tempdir().unwrap();
        let pool = pool(work.path(), 2, 4);
        let take = |fixture: &Fixture, tree: &str| {
            let mut pair = pool.try_take("key", &fixture.repository(), tree).unwrap().unwrap();
            hold(&mut pair, tree);
            let root = pair.root.clone();
            drop(pair);
            wait_until_free(&[&root]);
            root
        };
        let first = take(&one, &here.tree);
        let second = take(&other, &there.tree);
        assert_ne!(first, second);
        assert_eq!(take(&one, &here.tree), first);
        let third = Fixture::new();
        let tree = third.commit("third", &[("a", "3")]).tree;
        assert!([first, second].contains(&take(&third, &tree)), "there is no more room");
    }

    #[test]
    fn other_keys_make_room_but_not_while_in_use() {
        let fixture = Fixture::new();
        let tree = fixture.commit("one", &[("a", "1")]).tree;
        let repository = fixture.repository();
        let work = tempfile::tempdir().unwrap();
        let pool = pool(work.path(), 1, 2);
        let take = |key: &str| pool.try_take(key, &repository, &tree).unwrap().unwrap();
        let oldest = take("a");
        drop(take("b"));
        let b = work.path().join("b/0");
        assert!(b.exists());
        wait_until_free(&[&b]);
        // What a process left that ended before it was removed goes, too.
        let aside = eviction::aside(work.path());
        fs::create_dir_all(aside.join("left/source")).unwrap();
        // Three pairs with this one: "a" was used longest ago, but is in use.
        drop(take("c"));
        assert!(oldest.root.exists() && !b.exists());
        let is_empty = || fs::read_dir(&aside).unwrap().next().is_none();
        let is_swept = || {
            (0..2000).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                is_empty()
            })
        };
        assert!(is_swept());
        // Also when a pair is at hand.
        fs::create_dir_all(aside.join("left/source")).unwrap();
        wait_until_free(&[&work.path().join("c/0")]);
        drop(take("c"));
        assert!(is_swept());
    }
}
