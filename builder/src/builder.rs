//! From a revision to its build: known, or compiled.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey, Mark, Remote, Store};
use serde::{Deserialize, Serialize};

use crate::audit::{Audited, Checked, Claim};
use crate::ccache::Ccache;
use crate::error::BuildError;
use crate::kconfig::ConfigChange;
use crate::kept_closures::Closures;
use crate::observer::{self, BuildEvent, Observer};
use crate::pool::{Bounds, Pool};
use crate::proving::Proof;
use crate::request::{How, Request};
use crate::stages::{Ground, Provenance, Stage};
use crate::toolchain::Toolchain;
use crate::tree::KernelVersion;
use crate::upstream::Upstream;

/// How long the toolchain, and files that a configuration names, are taken for unchanged without a
/// look at them, where only keys are asked for. Looking takes some milliseconds; keys are asked for by
/// the ten thousand. A build looks.
const LOOK_AGE: Duration = Duration::from_secs(1);

/// How often an answer is looked for: an audit may refute what it rests on while it is made.
const TRIES: usize = 3;

/// Pairs of sources and objects unless told otherwise: two builds of one configuration side by
/// side, and four configurations or toolchains in turn. A pair takes 1.5 GB and more.
const BOUNDS: Bounds = Bounds { of_a_key: 2, in_all: 6 };

/// Builds revisions, and remembers them in a store.
pub struct Builder {
    pub(crate) store: Store,
    pub(crate) pool: Pool,
    /// Folder of what builds keep for one another.
    work: PathBuf,
    use_ccache: bool,
    pub(crate) believes_proofs: bool,
    /// By name.
    toolchain_name: String,
    pub(crate) observer: Arc<dyn Observer>,
    toolchain: Mutex<Option<(Instant, Arc<Toolchain>)>>,
    /// One at a time builds a request; the others wait and then find it known.
    turns: Mutex<HashMap<InputKey, Weak<tokio::sync::Mutex<()>>>>,
    pub(crate) closures: Closures,
    /// Whether builds are watched, where that is possible.
    pub(crate) watches: bool,
    /// Share of the proved builds that are compiled all the same.
    pub(crate) audit_share: f64,
    pub(crate) upstream: Option<Upstream>,
}

/// How a build was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obtained {
    /// The store has this very input.
    Input,
    /// The closure of a build of another tree proves that this one gives the same (T0).
    Closure,
    /// Configuration and commands came out as those of a build of another tree (T1).
    Commands,
    /// So did the tokens of every object that is made from a changed file (T2).
    Tokens,
    /// So did those objects themselves (T3).
    Objects,
    /// It was compiled (T4).
    Compiled,
}

impl From<Stage> for Obtained {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Closure => Self::Closure,
            Stage::Commands => Self::Commands,
            Stage::Tokens => Self::Tokens,
            Stage::Objects => Self::Objects,
        }
    }
}

/// A build, with what it took to get it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The record in the store. Its result may be "failed".
    pub manifest: Manifest,
    /// Known or compiled.
    pub obtained: Obtained,
    /// Wall time of this call in seconds.
    pub seconds: f64,
    /// Options that came out otherwise than the configuration asked.
    pub config_changes: Vec<ConfigChange>,
    /// What a person should know: changed options, what can't be repeated, missing confinement.
    pub notes: Vec<String>,
    /// What it rests on, when a stage answered or one was tried.
    pub provenance: Option<Provenance>,
    /// What compiling it all the same has shown, when that was done and it was the same.
    pub audit: Option<Checked>,
    /// Whether an audit has refuted what would have been answered: `manifest` is another build then, and
    /// others that rest on what was refuted were taken out of the store.
    pub refuted: bool,
    /// The closure (a blob) that proves it (T0): then the build is of another tree.
    pub(crate) proof: Option<Digest>,
}

impl Built {
    /// Takes note of an audit that did not refute it.
    fn was(&mut self, audited: Audited) {
        match audited {
            Audited::Same(checked) => {
                let how = match checked.compiled_upon {
                    false => "proved, compiled anyway, and the same",
                    true => "compiled upon what a stage took, compiled again, and the same",
                };
                self.notes.push(format!("audited: {how}"));
                if checked.overlooked {
                    self.notes.push(
                        "AUDIT: upon the build that was audited before, make made something else than \
                         from nothing: it overlooks something there. Please report it"
                            .to_owned(),
                    );
                }
                self.audit = Some(checked);
            }
            Audited::Impossible(error) => {
                tracing::warn!(%error, "an audit could not be made");
                self.notes.push(format!("chosen for an audit, which could not be made: {error}"));
            }
            Audited::Not | Audited::Otherwise(_) => {}
        }
    }
}

/// A request with what its keys are made of.
pub(crate) struct Question<'a> {
    pub(crate) request: &'a Request,
    /// Digest of the configuration as given, with the files that it names.
    pub(crate) given: Digest,
    pub(crate) toolchain: Option<Arc<Toolchain>>,
    pub(crate) key: InputKey,
    /// When it was asked.
    pub(crate) begun: Instant,
}

impl Builder {
    /// A builder that keeps builds in `store` and working pairs below `work`. Several, in several
    /// processes, may share both. Nothing is read or written before the first build.
    pub fn new(store: Store, work: PathBuf, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            pool: Pool { folder: work.join("pool"), bounds: BOUNDS },
            work,
            use_ccache: false,
            believes_proofs: true,
            toolchain_name: "gcc".into(),
            observer,
            toolchain: Mutex::default(),
            turns: Mutex::default(),
            closures: Closures::default(),
            watches: true,
            audit_share: 0.0,
            upstream: None,
        }
    }

    /// Compiles this share (0 to 1) of the builds that a proof would avoid, and compares; see the
    /// module `audit`.
    pub fn with_audit(mut self, share: f64) -> Self {
        self.audit_share = share;
        self
    }

    /// Asks another Kiln before it compiles.
    pub fn with_upstream(mut self, remote: Option<Remote>) -> Self {
        self.upstream = remote.map(Upstream::new);
        self
    }

    /// Compiles with another toolchain than `gcc`: by a name that [`Toolchain::find`] understands.
    pub fn with_toolchain(mut self, name: &str) -> Self {
        name.clone_into(&mut self.toolchain_name);
        self
    }

    /// Whether ccache stands before the compiler where it is installed and suits the configuration.
    /// The bytes of a build are the same with it and without.
    pub fn with_ccache(mut self, used: bool) -> Self {
        self.use_ccache = used;
        self
    }

    /// Whether anything is concluded from what builds read. Without, every revision is compiled of
    /// which the store has no build.
    pub fn with_proofs(mut self, believed: bool) -> Self {
        self.believes_proofs = believed;
        self
    }

    /// Watches no build, as on a machine where that is not possible.
    #[cfg(test)]
    pub(crate) fn unwatched(mut self) -> Self {
        self.watches = false;
        self
    }

    /// Keeps at most `of_a_key` working pairs for one configuration and toolchain (as many builds
    /// can run side by side), and at most `in_all` of them together.
    pub fn with_pairs(mut self, of_a_key: usize, in_all: usize) -> Self {
        let of_a_key = of_a_key.max(1);
        self.pool.bounds = Bounds { of_a_key, in_all: in_all.max(of_a_key) };
        self
    }

    /// The key under which the store answers "was this asked for before?". Does not look at the
    /// repository. The first call identifies the toolchain, which takes some 0.3 s unless that is
    /// remembered from earlier processes.
    pub fn request_key(&self, request: &Request) -> Result<InputKey, BuildError> {
        Ok(request.key(request.given(LOOK_AGE)?, self.toolchain_for(request, LOOK_AGE)?.as_deref()))
    }

    /// Gets a build: from the store, by proof from the build of another tree, or by compiling. A
    /// revision that does not compile is a build too. Dropping the future kills the build; the
    /// working pair is put right by the next one.
    pub async fn build(&self, request: &Request) -> Result<Built, BuildError> {
        let question = self.question(request)?;
        let turn = self.turn(question.key);
        let _turn = turn.lock().await;
        let mut built = self.answer(&question).await?;
        for tried in 1.. {
            if !self.is_refuted_by_now(&built).await? {
                break;
            }
            if tried == TRIES {
                return Err(BuildError::Refuted);
            }
            built = self.answer(&question).await?;
            built.refuted = true;
            built.notes.push(
                "an audit refuted what the first answer rested on while that was made: this is \
                 another one"
                    .to_owned(),
            );
        }
        self.observer.event(&BuildEvent {
            commit: request.revision.commit.clone(),
            stage: observer::Stage::Finished {
                known: built.obtained != Obtained::Compiled,
                built: built.manifest.is_built(),
            },
        });
        let (commit, key) = (&request.revision.commit, &built.manifest.input_key);
        match &built.proof {
            Some(closure) => self.store.add_proved_revision(commit, key, closure).await?,
            None => self.store.add_revision(commit, key).await?,
        }
        built.seconds = question.begun.elapsed().as_secs_f64();
        Ok(built)
    }

    /// Answers a request in the cheapest way that there is.
    async fn answer(&self, question: &Question<'_>) -> Result<Built, BuildError> {
        let Question { request, given, key, .. } = question;
        let mut known = self.recall(key).await?;
        if known.is_none() {
            let toolchain = question.toolchain.as_deref();
            if let Some(proof) = self.prove(request, *given, toolchain).await? {
                return self.take_proof(question, proof).await;
            }
            known = self.fetch(question).await?;
        }
        let built = match known {
            Some(manifest) => self.recalled(request, manifest, key).await?,
            None => self.make(question).await?,
        };
        self.audit_stage(question, built).await
    }

    /// Whether an answer rests on what was refuted since it was looked for.
    async fn is_refuted_by_now(&self, built: &Built) -> Result<bool, BuildError> {
        let proof = match &built.proof {
            Some(closure) => self.proves_nothing(closure).await?,
            None => false,
        };
        Ok(proof || self.is_void(&built.manifest).await?)
    }

    /// A request with its keys, from a look at the toolchain and at the files that it names.
    pub(crate) fn question<'a>(&self, request: &'a Request) -> Result<Question<'a>, BuildError> {
        let begun = Instant::now();
        let toolchain = self.toolchain_for(request, Duration::ZERO)?;
        let given = request.given(Duration::ZERO)?;
        let key = request.key(given, toolchain.as_deref());
        Ok(Question { request, given, toolchain, key, begun })
    }

    /// Answers with a proof, unless an audit refutes it.
    async fn take_proof(
        &self,
        question: &Question<'_>,
        Proof { manifest, closure }: Proof,
    ) -> Result<Built, BuildError> {
        let ground = Ground { stage: Stage::Closure, closure, from: manifest.input_key };
        let rests_on = match self.audit_share > 0.0 {
            true => self.provenance(&manifest).await?.map(|it| it.grounds()).unwrap_or_default(),
            false => Vec::new(),
        };
        let claim = Claim { ground, rests_on, is_compiled: false };
        let audited = match self.audit(question, &claim, &manifest).await? {
            Audited::Otherwise(compiled) => return Ok(*compiled),
            audited => audited,
        };
        let (key, from) = (&question.key, manifest.input_key);
        if !matches!(audited, Audited::Impossible(_)) {
            self.store.add_proved_request(key, &from, &closure).await?;
        }
        // Else it is proved again when it is asked for again, and then audited.
        let mut built = self.recalled(question.request, manifest, key).await?;
        (built.obtained, built.proof) = (Obtained::Closure, Some(closure));
        built.provenance = Some(Provenance::of_closure(from, closure));
        built.was(audited);
        Ok(built)
    }

    /// Answers with what a stage gave, unless an audit refutes it. What a process that was killed
    /// left unaudited is audited now.
    async fn audit_stage(
        &self,
        question: &Question<'_>,
        mut built: Built,
    ) -> Result<Built, BuildError> {
        let tree = &question.request.revision.tree;
        if built.manifest.input.tree != *tree || !self.is_unaudited(&built.manifest).await? {
            return Ok(built);
        }
        let key = built.manifest.input_key;
        let provenance = match &built.provenance {
            Some(provenance) => Some(provenance.clone()),
            None => self.provenance(&built.manifest).await?,
        };
        if let Some(claim) = provenance.as_ref().and_then(Claim::of) {
            match self.audit_chosen(question, &claim, &built.manifest).await? {
                Audited::Otherwise(compiled) => built = *compiled,
                impossible @ Audited::Impossible(_) => {
                    // The mark stays: the next one tries again.
                    built.was(impossible);
                    return Ok(built);
                }
                audited => built.was(audited),
            }
        }
        self.store.unmark(Mark::Unaudited, &key.to_string()).await?;
        Ok(built)
    }

    /// The toolchain of a request, if Kiln chooses it, from a look that is younger than `age`.
    fn toolchain_for(
        &self,
        request: &Request,
        age: Duration,
    ) -> Result<Option<Arc<Toolchain>>, BuildError> {
        if let How::Command(_) = request.how {
            return Ok(None);
        }
        let mut known = self.toolchain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((checked, toolchain)) = known.as_mut()
            && (checked.elapsed() < age || toolchain.is_current())
        {
            if checked.elapsed() >= age {
                *checked = Instant::now();
            }
            return Ok(Some(Arc::clone(toolchain)));
        }
        let remembered = self.work.join("toolchains");
        let toolchain = Arc::new(Toolchain::find_known(&self.toolchain_name, &remembered)?);
        *known = Some((Instant::now(), Arc::clone(&toolchain)));
        Ok(Some(toolchain))
    }

    /// ccache, ready for builds of such kernels with a toolchain.
    pub(crate) fn ccache(
        &self,
        toolchain: &Toolchain,
        kernel: KernelVersion,
    ) -> Result<Option<Ccache>, BuildError> {
        if !self.use_ccache {
            return Ok(None);
        }
        Ccache::below(&self.work, toolchain, kernel)
    }

    /// The lock of a request in this process.
    fn turn(&self, key: InputKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}
