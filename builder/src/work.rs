//! The parts of a build that block: each runs on a thread of its own, with the working pair.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kiln_cache::Digest;
use kiln_cache::build_draft::{BUILD_LOG, CLOSURE, UNITS};
use tokio::sync::oneshot;

use crate::ccache::Ccache;
use crate::command::{self, BuildCommand};
use crate::error::{BuildError, Doing};
use crate::kbuild::{self, Kbuild, Made};
use crate::kconfig::{ConfigChange, Normalized, is_set, normalize};
use crate::live::Live;
use crate::observer::{BuildEvent, Observer, Stage};
use crate::outside;
use crate::pool::Pair;
use crate::process::Cancel;
use crate::recipe;
use crate::request::{How, Request, host_arch, image_of};
use crate::sandbox::{Confinement, confinement};
use crate::stages::{self, Base, Outcome, Provenance, Survey};
use crate::toolchain::Toolchain;
use crate::tree::{KernelVersion, Repository};
use crate::units::{Units, scan};
use crate::unlinked;

/// Whether a configuration has modules.
const MODULES: &str = "CONFIG_MODULES";

/// One build, as its threads see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) request: Arc<Request>,
    /// Digest of the configuration as given, with the files that it names.
    pub(crate) given: Digest,
    pub(crate) repository: Repository,
    /// What Kbuild needs; `None` for a build command.
    pub(crate) kernel: Option<(Arc<Toolchain>, KernelVersion)>,
    pub(crate) ccache: Option<Ccache>,
    /// Whether what it reads is written down, where that is possible.
    pub(crate) is_watched: bool,
    /// Whether what comes out is only compared: then what no test can run is left out.
    pub(crate) is_audit: bool,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) cancel: Arc<Cancel>,
}

/// A pair with its tree and configuration in place.
pub(crate) enum Prepared {
    /// Ready to compile.
    Ready {
        pair: Pair,
        /// The configuration that decides the build.
        text: String,
        digest: Digest,
        changes: Vec<ConfigChange>,
    },
    /// The tree can't be configured: a build that failed already.
    Unfit(Compiled),
}

/// A compile that ended by itself, whether well or not, or the proof that there was nothing to do.
pub(crate) struct Compiled {
    pub(crate) pair: Pair,
    pub(crate) made: Made,
    pub(crate) artifacts: Vec<(String, PathBuf)>,
    /// Wall time in seconds.
    pub(crate) seconds: f64,
    /// How it came about, when there is something to say of that.
    pub(crate) provenance: Option<Provenance>,
}

impl Job {
    /// The toolchain, for keys.
    pub(crate) fn toolchain(&self) -> Option<&Toolchain> {
        self.kernel.as_ref().map(|(toolchain, _)| toolchain.as_ref())
    }

    /// Name of the folder of pairs that suit it.
    pub(crate) fn pool_key(&self) -> String {
        self.request.pool_key(self.given, self.toolchain())
    }

    /// Tells the observer.
    pub(crate) fn tell(&self, stage: Stage) {
        let commit = self.request.revision.commit.clone();
        self.observer.event(&BuildEvent { commit, stage });
    }

    /// Runs blocking work on a thread of its own. The thread lives as long as the work, because
    /// the kernel ties the lives of a build's processes to it. When the returned future is dropped
    /// before its end, the work is cancelled.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, BuildError> + Send + 'static,
    ) -> Result<T, BuildError> {
        struct CancelOnDrop(Option<Arc<Cancel>>);
        impl Drop for CancelOnDrop {
            fn drop(&mut self) {
                if let Some(cancel) = self.0.take() {
                    cancel.cancel();
                }
            }
        }
        let (sender, receiver) = oneshot::channel();
        let job = self.clone();
        // Counted from before the thread begins until its last value is dropped.
        let live = Live::new();
        let spawned = std::thread::Builder::new().name("kiln-build".into()).spawn(move || {
            // Nobody listens when the build was given up; then there is nothing to say either.
            // Nor does a pair that was sent back: dropping it takes the view down, on this thread.
            drop(sender.send(work(&job)));
            drop(live);
        });
        spawned.map_err(|error| BuildError::Infra { reason: format!("no thread: {error}") })?;
        let mut guard = CancelOnDrop(Some(Arc::clone(&self.cancel)));
        let result = receiver.await;
        guard.0 = None;
        // The sender only disappears unused when the work panicked.
        result.unwrap_or_else(|_| Err(BuildError::Stopped("a build thread panicked")))
    }

    /// Looks at a pair that holds a build, before its sources change.
    pub(crate) fn survey(&self, pair: &Pair, base: Base) -> Result<Option<Survey>, BuildError> {
        let Some((toolchain, version)) = &self.kernel else { return Ok(None) };
        if pair.state.source.tree.as_ref() != Some(&base.tree) {
            // Tokens and times of other sources would be taken for the base's.
            return Ok(None);
        }
        if !self.repository.which_trees(&[&base.tree])?.contains(&true) {
            // Built from another repository: there is nothing to compare with here.
            return Ok(None);
        }
        let log = pair.log();
        File::create(&log).doing("writing", &log)?;
        stages::survey(&self.kbuild(toolchain, *version, pair), self, base).map(Some)
    }

    /// Checks the tree out and configures it.
    pub(crate) fn prepare(&self, mut pair: Pair) -> Result<Prepared, BuildError> {
        let begun = Instant::now();
        let log = pair.log();
        File::create(&log).doing("writing", &log)?;
        let kernel = self.kernel.as_ref().map(|(_, kernel)| *kernel);
        let (repository, wanted) = (&self.repository, &self.request.revision.tree);
        if let Some(what) = stages::overlooked(repository, &pair, wanted, kernel)? {
            tracing::debug!(%what, "make may overlook this: objects are removed");
            pair.empty_objects()?;
        }
        let progress = |done, total| self.tell(Stage::CheckingOut { done, total });
        pair.begin(&self.repository, &self.request.revision.tree, &self.cancel, &progress)?;
        let Some((toolchain, version)) = &self.kernel else {
            // A command gets its configuration as it was given.
            let (text, digest) = (self.request.text().to_owned(), self.given);
            return Ok(Prepared::Ready { pair, text, digest, changes: Vec::new() });
        };
        if self.is_watched {
            pair.watch();
        }
        self.tell(Stage::Configuring);
        let kbuild = self.kbuild(toolchain, *version, &pair);
        match normalize(&kbuild, self.request.text())? {
            Normalized::Well { text, changes } => {
                let digest = outside::digest(&text)?;
                Ok(Prepared::Ready { pair, text, digest, changes })
            }
            Normalized::Badly { errors } => {
                let seconds = begun.elapsed().as_secs_f64();
                let provenance = came_about(&pair, None);
                self.end(&mut pair, false)?;
                let made = Made::Badly { errors };
                let mut artifacts = vec![(BUILD_LOG.to_owned(), pair.log())];
                artifacts.extend(closure_of(&pair, ""));
                Ok(Prepared::Unfit(Compiled { pair, made, artifacts, seconds, provenance }))
            }
        }
    }

    /// Ends a build in a pair; `touched`: it could write to its sources too. While it is not known that the
    /// pair's objects are made of what its key stands for, they count as being worked on: if this is cut
    /// off, what was made goes.
    pub(crate) fn end(&self, pair: &mut Pair, touched: bool) -> Result<(), BuildError> {
        self.must_be_unchanged(pair)?;
        pair.end(touched)
    }

    /// Whether everything that the keys stand for, beside the tree, is what it was when the keys were
    /// made: the toolchain, and files outside the tree that the configuration names. Otherwise the pair
    /// is emptied, as its objects may be made of either.
    fn must_be_unchanged(&self, pair: &mut Pair) -> Result<(), BuildError> {
        let Some((toolchain, _)) = &self.kernel else { return Ok(()) };
        let what = if !toolchain.is_the_same()? {
            "the toolchain"
        } else if outside::digest(self.request.settings())? != self.given {
            "a file that the configuration names"
        } else {
            return Ok(());
        };
        pair.empty_objects()?;
        Err(BuildError::Infra { reason: format!("{what} changed during the build; run it again") })
    }

    /// Compiles what [`Job::prepare`] prepared, or shows that there is nothing to compile, and marks
    /// the pair as consistent again.
    pub(crate) fn compile(
        &self,
        mut pair: Pair,
        config: &str,
        survey: Option<Survey>,
    ) -> Result<Compiled, BuildError> {
        let begun = Instant::now();
        let modules = is_set(config, MODULES);
        let mut provenance = None;
        let made = match &self.request.how {
            How::Command(command) => {
                let line = |done| self.tell(Stage::Compiling { done, expected: None });
                let (request, cancel) = (&self.request, &self.cancel);
                BuildCommand { command, request, confinement: confinement(), pair: &pair, cancel }
                    .run(&line)?
            }
            How::Kbuild => {
                let made = match &survey {
                    None => self.run_kbuild(&pair, config)?,
                    Some(survey) => {
                        let (made, mut found) = self.confirm(&mut pair, config, survey)?;
                        found.from_nothing = !pair.built_before;
                        if let Some(note) = made.note() {
                            // What two runs made is no case for a stage.
                            found.stage = None;
                            let said: Vec<String> =
                                found.because.into_iter().chain([note]).collect();
                            found.because = Some(said.join("; "));
                        }
                        provenance = Some(found);
                        made
                    }
                };
                self.remember_steps(&mut pair, &made);
                made
            }
        };
        let provenance = came_about(&pair, provenance);
        let seconds = begun.elapsed().as_secs_f64();
        let touched = matches!(self.request.how, How::Command(_));
        self.end(&mut pair, touched)?;
        let mut artifacts = match (&made, &self.request.how) {
            (Made::Well { .. }, How::Kbuild) => kbuild::artifacts(&pair, modules)?,
            (Made::Well { .. }, How::Command(_)) => command::artifacts(&pair)?,
            (Made::Badly { .. }, how) => {
                let config = (".config".to_owned(), pair.objects().join(".config"));
                let log = (BUILD_LOG.to_owned(), pair.log());
                if *how == How::Kbuild { vec![config, log] } else { vec![log] }
            }
        };
        artifacts.extend(closure_of(&pair, config));
        if self.request.how == How::Kbuild && matches!(made, Made::Well { .. }) {
            artifacts.push(self.keep_units(&pair)?);
            if !self.is_audit {
                artifacts.extend(unlinked::artifact(&pair)?);
            }
        }
        Ok(Compiled { pair, made, artifacts, seconds, provenance })
    }

    /// Runs make where a stage says that there is nothing to make, or that there is.
    fn confirm(
        &self,
        pair: &mut Pair,
        config: &str,
        survey: &Survey,
    ) -> Result<(Made, Provenance), BuildError> {
        let Some((toolchain, version)) = &self.kernel else {
            return Err(BuildError::Stopped("a Kbuild job without a toolchain"));
        };
        let outcome = stages::settle(&self.kbuild(toolchain, *version, pair), survey)?;
        let stage = match outcome {
            Outcome::Differs(because) => {
                tracing::debug!(because, "no stage answers");
                let provenance = survey.provenance(None, Some(because));
                return Ok((self.run_kbuild(pair, config)?, provenance));
            }
            Outcome::Same(stage) => stage,
        };
        let is_new = pair.rest_on(survey.ground(stage))?;
        // (T1 only says that make has nothing to do, and no source takes another's place for it.)
        let vouches = stage != stages::Stage::Commands;
        if vouches {
            pair.take_over(&survey.times)?;
        }
        let since = pair.settled();
        let made = self.run_kbuild(pair, config)?;
        let changed = pair.made_since(since)?;
        let provenance = match (&made, changed.first()) {
            (Made::Well { .. }, None) => survey.provenance(Some(stage), None),
            (_, Some(path)) => {
                let because = format!("make has made {}", path.display());
                tracing::debug!(because, "a stage is not confirmed");
                if is_new && !vouches {
                    // Plain work of make: nothing rests on the stage.
                    pair.state.objects.rests_on.pop();
                }
                survey.provenance(None, Some(because))
            }
            (Made::Badly { .. }, None) => {
                survey.provenance(None, Some("it does not build".to_owned()))
            }
        };
        Ok((made, provenance))
    }

    /// Writes down which files each object was made from.
    fn keep_units(&self, pair: &Pair) -> Result<(String, PathBuf), BuildError> {
        let units = Units::of(&scan(&pair.objects())?, &pair.seen_sources());
        let path = pair.units_file();
        fs::write(&path, units.encode()).doing("writing", &path)?;
        Ok((UNITS.to_owned(), path))
    }

    fn run_kbuild(&self, pair: &Pair, config: &str) -> Result<Made, BuildError> {
        let Some((toolchain, version)) = &self.kernel else {
            return Err(BuildError::Stopped("a Kbuild job without a toolchain"));
        };
        let mut targets = vec![image_of(host_arch()).0];
        if is_set(config, MODULES) {
            targets.push("modules");
        }
        let steps = pair.state.steps;
        let expected = if pair.built_before { steps.warm } else { steps.cold };
        let stage = |stage| self.tell(stage);
        let kbuild = self.kbuild(toolchain, *version, pair);
        let ccache = self.ccache.as_ref().filter(|_| Ccache::suits(config));
        Kbuild { ccache, ..kbuild }.make(&targets, &[], &stage, expected)
    }

    fn remember_steps(&self, pair: &mut Pair, made: &Made) {
        if let Made::Well { steps, .. } = made {
            let is_warm = pair.built_before;
            let known = &mut pair.state.steps;
            *(if is_warm { &mut known.warm } else { &mut known.cold }) = Some(*steps);
        }
    }

    fn kbuild<'a>(
        &'a self,
        toolchain: &'a Toolchain,
        version: KernelVersion,
        pair: &'a Pair,
    ) -> Kbuild<'a> {
        let confinement: &Confinement = confinement();
        let jobs = self.request.jobs;
        let (ccache, cancel) = (None, &*self.cancel);
        Kbuild { toolchain, version, ccache, confinement, pair, cancel, jobs }
    }
}

/// How what was made in a pair came about: what a stage says, if one was tried, and upon what it was made.
fn came_about(pair: &Pair, said: Option<Provenance>) -> Option<Provenance> {
    let objects = &pair.state.objects;
    Provenance::in_pair(said, &objects.rests_on, &objects.made)
}

/// The closure of the last build in a pair, as an artifact. A build command has none: it is not
/// watched, as it may write to its sources. Nor has one with random bytes of this machine in it.
fn closure_of(pair: &Pair, config: &str) -> Option<(String, PathBuf)> {
    let is_random = matches!(confinement(), Confinement::Plain { .. })
        && recipe::RANDOM.iter().any(|(option, _)| is_set(config, option));
    pair.closure().filter(|_| !is_random).map(|path| (CLOSURE.to_owned(), path))
}
