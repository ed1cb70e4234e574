//! Making a build that the store does not know.

use std::sync::Arc;
use std::time::Duration;

use kiln_cache::manifest::{BuildResult, Manifest};
use kiln_cache::{Added, BuildDraft, BuildInput, InputKey};

use crate::builder::{Builder, Built, Obtained, Question};
use crate::error::{BuildError, Doing};
use crate::kbuild::Made;
use crate::kconfig::{ConfigChange, changes, notes};
use crate::observer::Stage;
use crate::pool::Pair;
use crate::process::Cancel;
use crate::request::{How, Request};
use crate::sandbox::{Confinement, confinement};
use crate::stages::{PROVENANCE, Provenance, Survey};
use crate::trace::availability;
use crate::tree::Repository;
use crate::work::{Compiled, Job, Prepared};
use crate::{outside, recipe};

/// How often a builder looks again whether a working pair is free.
const POLL: Duration = Duration::from_millis(200);

/// Either the pair to build in, or the build that somebody else finished meanwhile.
pub(crate) enum Turn {
    Pair(Pair),
    Known(Manifest),
}

/// A finished build in the store.
pub(crate) struct Kept {
    /// The build that the store has.
    pub(crate) manifest: Manifest,
    /// What the one that was made rests on.
    pub(crate) provenance: Option<Provenance>,
    /// What a person should know of both.
    pub(crate) note: Option<String>,
}

/// How often a build is stored beside others that store one which is not believed.
const TRIES: usize = 3;

impl Builder {
    /// Checks out, configures, and compiles unless the configured input turns out to be known, or a
    /// stage shows that it gives what the pair holds.
    pub(crate) async fn make(&self, question: &Question<'_>) -> Result<Built, BuildError> {
        let Question { request, key, .. } = question;
        let job = self.job(question)?;
        let pair = match self.take_pair(&job, &job.pool_key(), Some(key)).await? {
            Turn::Pair(pair) => pair,
            Turn::Known(manifest) => return self.recalled(request, manifest, key).await,
        };
        let pair = self.without_refuted(&job, pair).await?;
        let (pair, survey) = self.survey(&job, pair).await?;
        let (pair, text, digest, changes) = match job.on_thread(|job| job.prepare(pair)).await? {
            Prepared::Ready { pair, text, digest, changes } => (pair, text, digest, changes),
            Prepared::Unfit(failed) => {
                // Without a normalized configuration the one given has to name the build.
                let input = request.input(question.given, job.toolchain());
                let kept = self.keep(&job, *key, input, failed).await?;
                let mut built = built(kept.manifest, Obtained::Compiled, Vec::new(), "");
                built.notes.extend(kept.note);
                return Ok(built);
            }
        };
        let input = request.input(digest, job.toolchain());
        let refusal = refuse(request, &changes).and_then(|()| match request.how {
            How::Kbuild => outside::refuse_unasked(request.text(), &text),
            How::Command(_) => Ok(()),
        });
        if let Err(refusal) = refusal {
            job.on_thread(|job| settle(job, pair)).await?;
            return Err(refusal);
        }
        if let Some(manifest) = self.recall_input(&input.key()).await? {
            job.on_thread(|job| settle(job, pair)).await?;
            self.store.add_request(key, &manifest.input_key).await?;
            return Ok(built(manifest, Obtained::Input, changes, &text));
        }
        // With another configuration every object may be another one.
        let survey = survey.filter(|survey| survey.base.config_digest == digest);
        let config = text.clone();
        let compiled = job.on_thread(move |job| job.compile(pair, &config, survey)).await?;
        let note = compiled.made.note();
        if let Some(provenance) = &compiled.provenance {
            self.choose_for_audit(question, provenance, &input.key()).await?;
        }
        let Kept { manifest, provenance, note: other } =
            self.keep(&job, *key, input, compiled).await?;
        let stage = provenance.as_ref().and_then(|provenance| provenance.stage);
        let obtained = stage.map_or(Obtained::Compiled, Obtained::from);
        let mut built = built(manifest, obtained, changes, &text);
        built.notes.extend(note.into_iter().chain(other));
        built.provenance = provenance.and_then(|provenance| provenance.told());
        Ok(built)
    }

    /// A pair without objects that an audit has left in doubt; see [`Builder::is_doubted`].
    pub(crate) async fn without_refuted(
        &self,
        job: &Job,
        mut pair: Pair,
    ) -> Result<Pair, BuildError> {
        let storing = pair.state.objects.storing;
        let stored = match &storing {
            // Its process was killed: what it stored, if it came to that, has these objects.
            Some(key) => self.store.peek_input(key).await?,
            None => None,
        };
        if storing.is_some() {
            // In this order: it may have been withdrawn since, and nobody can tell its name any more.
            self.store.look_again();
        }
        if !self.is_doubted(&pair).await? {
            if storing.is_some() {
                pair.is_stored(stored.map(|build| build.own_name()), None)?;
            }
            return Ok(pair);
        }
        tracing::warn!(pair = %pair.root.display(), "an audit has left objects in doubt: removed");
        job.on_thread(move |_| pair.empty_objects().map(|()| pair)).await
    }

    /// Looks at a pair that holds a build which may turn out to be the one that is asked for.
    async fn survey(&self, job: &Job, pair: Pair) -> Result<(Pair, Option<Survey>), BuildError> {
        let Some(base) = self.base(&pair).await? else { return Ok((pair, None)) };
        job.on_thread(move |job| {
            let survey = job.survey(&pair, base)?;
            Ok((pair, survey))
        })
        .await
    }

    /// What [`Builder::build`] returns for a request that the store knew. Its configuration is
    /// compared anew: whoever asks today may not have seen the notes of back then.
    pub(crate) async fn recalled(
        &self,
        request: &Request,
        manifest: Manifest,
        key: &InputKey,
    ) -> Result<Built, BuildError> {
        let proof = self.store.proof_of_request(key).await?;
        let obtained = proof.map_or(Obtained::Input, |_| Obtained::Closure);
        let built = |manifest, changes, text: &str| {
            let built = built(manifest, obtained, changes, text);
            Built { proof, ..built }
        };
        let stored = manifest.artifact(".config").filter(|_| request.how == How::Kbuild);
        let Some(config) = stored else {
            return Ok(built(manifest, Vec::new(), ""));
        };
        let folder = tempfile::tempdir().doing("making", &std::env::temp_dir())?;
        let path = folder.path().join("config");
        self.store.read_to_file(&config.digest, &path).await?;
        let text = std::fs::read(&path).doing("reading", &path)?;
        let text = String::from_utf8_lossy(&text);
        let changes = changes(request.text(), &text);
        refuse(request, &changes)?;
        Ok(built(manifest, changes, &text))
    }

    pub(crate) fn job(&self, question: &Question<'_>) -> Result<Job, BuildError> {
        let request = question.request;
        let repository = Repository::open(&request.repository)?;
        let kernel = match &question.toolchain {
            Some(toolchain) => {
                Some((Arc::clone(toolchain), repository.kernel_version(&request.revision)?))
            }
            None => None,
        };
        let ccache = match &kernel {
            Some((toolchain, version)) => self.ccache(toolchain, *version)?,
            None => None,
        };
        Ok(Job {
            request: Arc::new(request.clone()),
            given: question.given,
            repository,
            ccache,
            is_watched: self.watches,
            is_audit: false,
            kernel,
            observer: Arc::clone(&self.observer),
            cancel: Arc::new(Cancel::default()),
        })
    }

    /// Takes a working pair of a key of the pool, waiting for one if need be. While it waits, another
    /// process may build just this; unless it has to be built here.
    pub(crate) async fn take_pair(
        &self,
        job: &Job,
        pool_key: &str,
        request: Option<&InputKey>,
    ) -> Result<Turn, BuildError> {
        let mut waited = false;
        loop {
            let (pool, name) = (self.pool.clone(), pool_key.to_owned());
            let take =
                move |job: &Job| pool.try_take(&name, &job.repository, &job.request.revision.tree);
            if let Some(pair) = job.on_thread(take).await? {
                return Ok(Turn::Pair(pair));
            }
            if !waited {
                job.tell(Stage::Waiting);
                waited = true;
            }
            tokio::time::sleep(POLL).await;
            if let Some(request) = request
                && let Some(manifest) = self.recall(request).await?
            {
                return Ok(Turn::Known(manifest));
            }
        }
    }

    /// Puts a finished build into the store. The pair stays locked until that is done: the files
    /// lie in it.
    pub(crate) async fn keep(
        &self,
        job: &Job,
        request_key: InputKey,
        input: BuildInput,
        mut compiled: Compiled,
    ) -> Result<Kept, BuildError> {
        job.tell(Stage::Storing);
        if let Some(provenance) = &compiled.provenance {
            let path = compiled.pair.root.join(PROVENANCE);
            let text = serde_json::to_vec_pretty(provenance).unwrap_or_default();
            std::fs::write(&path, text).doing("writing", &path)?;
            compiled.artifacts.push((PROVENANCE.to_owned(), path));
        }
        let compiler = match (&job.request.how, job.toolchain()) {
            (How::Kbuild, Some(toolchain)) => toolchain.name.clone(),
            _ => "a build command".to_owned(),
        };
        let draft = BuildDraft {
            input,
            request_key,
            family_key: job.request.family(job.given, job.toolchain()),
            commit: job.request.revision.commit.clone(),
            result: match compiled.made {
                Made::Well { .. } => BuildResult::Built,
                Made::Badly { errors } => BuildResult::Failed { errors },
            },
            artifacts: compiled.artifacts,
            compiler,
            seconds: compiled.seconds,
        };
        let (mut pair, has_objects) = (compiled.pair, job.request.how == How::Kbuild);
        if has_objects {
            pair.is_being_stored(draft.input.key())?;
        }
        let Added { manifest, made } = self.add_believed(draft).await?;
        if has_objects {
            // (Where another one was first, the objects here give something else.)
            let is_it = made.is_built() && made.image() == manifest.image();
            let name = Some(manifest.own_name());
            pair.is_stored(name, is_it.then_some(manifest.input_key))?;
        }
        let mut note = None;
        if made.is_another_than(&manifest) {
            let is_wrong = self.repeats(&manifest).await? && self.repeats(&made).await?;
            if is_wrong && has_objects {
                // It may be these objects that are.
                job.on_thread(move |_| pair.empty_objects()).await?;
            }
            note = Some(note_of_two(&manifest, &made, is_wrong));
        }
        Ok(Kept { manifest, provenance: compiled.provenance, note })
    }

    /// Stores a build. The store gives the first of two, and that must not be one that is not believed:
    /// nor one that somebody who has not heard of it stores meanwhile.
    async fn add_believed(&self, draft: BuildDraft) -> Result<Added, BuildError> {
        let key = draft.input.key();
        let mut tries = 0;
        loop {
            self.make_way(&key).await?;
            let added = self.store.add_or_find(draft.clone()).await?;
            // That took a while.
            self.store.look_again();
            tries += 1;
            // Where this one itself is not believed, whoever asked for it has it made again.
            let is_done =
                !self.is_void(&added.manifest).await? || self.is_void(&added.made).await?;
            if is_done || tries == TRIES {
                return Ok(added);
            }
        }
    }

    /// Takes the build of an input out of the store, if it is not believed.
    pub(crate) async fn make_way(&self, key: &InputKey) -> Result<(), BuildError> {
        if let Some(stored) = self.store.peek_input(key).await?
            && self.is_void(&stored).await?
        {
            self.store.withdraw_build(&stored).await?;
        }
        Ok(())
    }
}

/// What a person should know of one input that gave two kernels; `is_wrong`: it should give one.
fn note_of_two(first: &Manifest, made: &Manifest, is_wrong: bool) -> String {
    let said = |build: &Manifest| {
        build.image().map_or("no kernel".to_owned(), |image| format!("image {image}"))
    };
    let (key, first_gave, made_gave) = (first.input_key, said(first), said(made));
    tracing::error!(%key, first_gave, made_gave, "one input gave two kernels");
    let why = match is_wrong {
        true => "one of the two was made wrong: please report it",
        false => "the configuration makes kernels that differ each time",
    };
    format!(
        "the store has another build of this very input, which stays: it gave {first_gave}, and this \
         compile gave {made_gave}; {why}"
    )
}

pub(crate) fn built(
    manifest: Manifest,
    obtained: Obtained,
    config_changes: Vec<ConfigChange>,
    config: &str,
) -> Built {
    let confined = matches!(confinement(), Confinement::Namespaces { .. });
    let mut notes = notes(&config_changes, config, confined || obtained != Obtained::Compiled);
    if let (Obtained::Compiled, Confinement::Plain { reason }) = (obtained, confinement()) {
        notes.push(format!(
            "built without namespaces of its own ({reason}): paths of this machine are mapped by \
             compiler flags, and a killed Kiln may leave compilers running for a moment"
        ));
    }
    if obtained == Obtained::Compiled
        && manifest.input.recipe == recipe::VERSION
        && let Err(reason) = availability()
    {
        notes.push(format!(
            "built without watching what it reads ({reason}): later revisions that change nothing \
             it read can't be told from others, and are compiled"
        ));
    }
    Built {
        manifest,
        obtained,
        seconds: 0.0,
        config_changes,
        notes,
        provenance: None,
        audit: None,
        refuted: false,
        proof: None,
    }
}

/// Refuses a configuration that the tree changed, when the request is strict about it. What the
/// recipe sets is not the tree's doing.
fn refuse(request: &Request, changes: &[ConfigChange]) -> Result<(), BuildError> {
    let changed: Vec<ConfigChange> =
        changes.iter().filter(|change| !change.pinned).cloned().collect();
    if request.strict_config && !changed.is_empty() {
        return Err(BuildError::ConfigChanged(changed));
    }
    Ok(())
}

/// Gives a pair back in which nothing was compiled.
fn settle(job: &Job, mut pair: Pair) -> Result<(), BuildError> {
    job.end(&mut pair, false)
}
