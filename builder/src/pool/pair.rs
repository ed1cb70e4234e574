//! One working pair, locked, and the marks that make it safe to kill its build at any moment.

use std::fs::{self, File};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::current::{self, CLOCK_TICK};
use super::folder::Folder;
use super::reads::{self, Reads};
use super::state::{Objects, Source, State, boot_id, now};
use super::times::Times;
use super::{RECORD, VIEW, eviction, leftovers, shadow};
use crate::checkout::{self, Checkout};
use crate::error::{BuildError, Doing, empty_folder, remove_file};
use crate::ground::Ground;
use crate::process::Cancel;
use crate::trace::{self, TracedSource, availability};
use crate::tree::{ChangeKind, Repository};
use kiln_cache::{Digest, InputKey};

/// A pair that this process holds: its folder, which nobody else changes meanwhile.
#[derive(Debug)]
pub(crate) struct Pair {
    folder: Folder,
    /// The build under way found objects of an earlier one.
    pub(crate) built_before: bool,
    /// Watches the build under way. Goes before the lock does.
    watch: Option<TracedSource>,
    /// Closed, never unlocked: the processes of a build share it.
    lock: File,
}

impl Deref for Pair {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl DerefMut for Pair {
    fn deref_mut(&mut self) -> &mut Folder {
        &mut self.folder
    }
}

impl Pair {
    /// Opens, or makes, the pair in a folder whose lock is held.
    pub(super) fn open(root: PathBuf, lock: File) -> Result<Self, BuildError> {
        // A killed Kiln leaves its view mounted. Nobody uses it: every process of a build holds the
        // lock. Gone, it is in nobody's way, whether this build mounts one or the folder is removed.
        if let Err(error) = trace::clear(&root.join(VIEW)) {
            tracing::warn!(%error, "an old view stays");
        }
        let state = State::load(&root.join(RECORD));
        if state.is_none() && root.exists() {
            eviction::remove(&root).doing("removing", &root)?;
        }
        let state = state.unwrap_or_else(State::empty);
        let folder = Folder { root, state };
        let pair = Self { folder, lock, built_before: false, watch: None };
        for made in [pair.source(), pair.objects(), pair.out()] {
            fs::create_dir_all(&made).doing("making", &made)?;
        }
        pair.save()?;
        Ok(pair)
    }

    /// The sources as they are to be shown to a build.
    pub(crate) fn shown_source(&self) -> PathBuf {
        if self.watch.is_some() { self.root.join(VIEW) } else { self.source() }
    }

    /// What was made here goes into the store: a process that is killed between that and
    /// [`Pair::is_stored`] leaves objects of which nothing else tells that they are those of a build.
    pub(crate) fn is_being_stored(&mut self, key: InputKey) -> Result<(), BuildError> {
        self.state.objects.storing = Some(key);
        self.save()
    }

    /// What was made here is in the store, as the build of this own name (`None`: it never came there).
    /// `build`: its input, if the objects are just what that build says.
    pub(crate) fn is_stored(
        &mut self,
        name: Option<Digest>,
        build: Option<InputKey>,
    ) -> Result<(), BuildError> {
        let objects = &mut self.state.objects;
        let name = name.filter(|name| !objects.made.contains(name));
        objects.made.extend(name);
        (objects.storing, objects.build) = (None, build);
        self.save()
    }

    /// Writes down what the objects rest on from here on, before a stage's answer is carried out: a
    /// process that is killed leaves objects of which nothing else tells that. Returns whether it is new.
    pub(crate) fn rest_on(&mut self, ground: Ground) -> Result<bool, BuildError> {
        let grounds = &mut self.state.objects.rests_on;
        let is_new = !grounds.iter().any(|one| one.is_one_with(&ground));
        if is_new {
            grounds.push(ground);
            self.save()?;
        }
        Ok(is_new)
    }

    /// When files of the sources were written.
    pub(crate) fn times<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Times, BuildError> {
        Times::of(&self.source(), paths)
    }

    /// Gives sources the times of those that they have replaced, as it was shown that what was made of
    /// these is what is made of them. Make sees that at once.
    pub(crate) fn take_over(&self, times: &Times) -> Result<(), BuildError> {
        times.set(&self.source())?;
        let Some(watch) = &self.watch else { return Ok(()) };
        times
            .paths()
            .try_for_each(|path| watch.touched(path))
            .map_err(|error| BuildError::Infra { reason: error.to_string() })
    }

    /// The time for [`Pair::made_since`].
    pub(crate) fn settled(&self) -> i64 {
        current::settled()
    }

    /// What make has made since a time.
    pub(crate) fn made_since(&self, time: i64) -> Result<Vec<PathBuf>, BuildError> {
        current::changed_since(&self.objects(), time)
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("build.log")
    }

    /// The folder of all pairs, which a build must not reach: it would find the sources there
    /// without being watched, and those of other builds.
    pub(crate) fn pool(&self) -> Option<PathBuf> {
        self.root.parent()?.parent().map(Path::to_path_buf)
    }

    /// To be kept open by every process of a build.
    pub(crate) fn lock(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    pub(crate) fn save(&self) -> Result<(), BuildError> {
        self.state.save(&self.root.join(RECORD))
    }

    /// Brings the sources to a tree, and the objects to where make can go on from, if there is anything
    /// that make would notice by itself or a compiler's record tells; the tree of the objects is in the
    /// repository. Until [`Pair::end`] the pair counts as being worked on.
    pub(crate) fn begin(
        &mut self,
        repository: &Repository,
        wanted: &str,
        cancel: &Cancel,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), BuildError> {
        self.recover()?;
        self.built_before = self.state.objects.tree.is_some();
        self.wait_for_the_clock();
        let source = self.source();
        let checkout = Checkout { repository, folder: &source, cancel, progress };
        let Source { tree, clean } = self.state.source.clone();
        // A pair may hold a tree of another repository: then only its files can tell.
        let known = tree.as_deref().is_none_or(|tree| repository.changed_paths(tree, tree).is_ok());
        if clean && known && tree.as_deref() == Some(wanted) {
            self.mark_busy(true)?;
        } else {
            self.mark_busy(false)?;
            self.forget_shadowed(repository, wanted)?;
            match tree.as_deref() {
                before if known && (clean || before.is_none()) => {
                    checkout::update(&checkout, before, wanted)?;
                }
                _ => checkout::repair(&checkout, wanted)?,
            }
        }
        self.state.source = Source { tree: Some(wanted.to_owned()), clean: true };
        self.state.objects.tree = Some(wanted.to_owned());
        self.save()
    }

    /// From here to [`Pair::end`] what is read of the sources is written down, where that is
    /// possible. To be called after [`Pair::begin`], and before anything of the build runs.
    pub(crate) fn watch(&mut self) {
        if availability().is_err() {
            return;
        }
        match TracedSource::mount(&self.source(), &self.root.join(VIEW)) {
            Ok(watch) => self.watch = Some(watch),
            // The build is worth more than its closure.
            Err(error) => tracing::warn!(%error, "a build is not watched"),
        }
    }

    /// Make has ended by itself: the objects are consistent, whatever the result was. `touched`:
    /// the build could write to its sources too.
    pub(crate) fn end(&mut self, touched: bool) -> Result<(), BuildError> {
        let build = self.watch.take().map(TracedSource::finish).transpose();
        // A question that was not answered may have failed the build.
        let build = build.map_err(|error| BuildError::Infra { reason: error.to_string() })?;
        let before = self.state.objects.reads;
        let closure = reads::add(&self.root.join("closure"), before, build)?;
        let objects = &mut self.state.objects;
        objects.reads = if closure.is_some() { Reads::Known } else { Reads::Unknown };
        let closure = closure.filter(|closure| !objects.closures.contains(closure));
        objects.closures.extend(closure);
        let folder = File::open(&self.root).doing("opening", &self.root)?;
        // From here on a power cut can't take anything back that the record relies on.
        nix::unistd::syncfs(&folder).map_err(std::io::Error::from).doing("syncing", &self.root)?;
        let objects = &mut self.state.objects;
        (objects.busy_since, objects.ended) = (None, Some(now()));
        self.state.source.clean &= !touched;
        self.state.durable = true;
        self.save()
    }

    fn mark_busy(&mut self, clean: bool) -> Result<(), BuildError> {
        let state = &mut self.state;
        state.objects.busy_since = Some(now());
        state.objects.build = None;
        state.source.clean = clean;
        (state.durable, state.boot, state.last_used) = (false, boot_id(), now());
        self.save()
    }

    /// Puts a pair right whose last build did not end.
    ///
    /// A build that was killed leaves files that look finished and are not: everything written
    /// since it began is suspect, and nothing else is. Removing those files is sound, because make
    /// makes what is missing, and whatever depends on it, again; what was there before the build
    /// keeps its time and is judged by it. Two things would break that. If the configuration was
    /// rewritten, the stamps by which Kbuild knows changed options are among the suspects; and if
    /// the clock went back, or the machine was restarted before the files were on disk, times tell
    /// nothing. Then all objects go.
    fn recover(&mut self) -> Result<(), BuildError> {
        let Objects { busy_since, ended, .. } = self.state.objects;
        let lost = !self.state.durable && self.state.boot != boot_id();
        let clock_went_back = busy_since.max(ended).is_some_and(|then| now() < then);
        self.state.source.clean &= !lost;
        if lost || clock_went_back {
            return self.empty_objects();
        }
        let Some(since) = busy_since else { return Ok(()) };
        let suspects = leftovers::since(&self.objects(), since - CLOCK_TICK)?;
        if suspects.iter().any(|path| leftovers::is_configuration(path)) {
            return self.empty_objects();
        }
        for path in suspects {
            let path = self.objects().join(path);
            fs::remove_file(&path).doing("removing", &path)?;
        }
        Ok(())
    }

    /// Forgets everything that make made here, and first which files that was made from.
    pub(crate) fn empty_objects(&mut self) -> Result<(), BuildError> {
        remove_file(&self.units_file())?;
        empty_folder(&self.objects())?;
        self.state.objects = Objects::default();
        self.save()
    }

    /// Makes sure that a file written now is newer than every object: make compares times only,
    /// and takes an object for current that was made in the same tick.
    fn wait_for_the_clock(&self) {
        let ended = self.state.objects.ended.unwrap_or(0);
        let wait = (ended + CLOCK_TICK).saturating_sub(now()).clamp(0, CLOCK_TICK);
        std::thread::sleep(Duration::from_nanos(wait as u64));
    }

    /// Removes objects that make would take for current, and that are not on the wanted tree, where
    /// nobody watched. (Where somebody did, it is known that nothing came where any build looked.)
    fn forget_shadowed(&self, repository: &Repository, wanted: &str) -> Result<(), BuildError> {
        let Some(built) = &self.state.objects.tree else { return Ok(()) };
        if self.reads().is_some() {
            return Ok(());
        }
        let changes = repository.changed_paths(built, wanted)?.into_iter();
        let added = changes.filter(|change| change.kind == ChangeKind::Added);
        shadow::forget(&self.objects(), &added.map(|change| change.path).collect::<Vec<_>>())
    }
}
