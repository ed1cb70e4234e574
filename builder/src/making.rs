//! Making a build that the store does not know.

use std::sync::Arc;
use std::time::Duration;

use kiln_cache::manifest::{BuildResult, Manifest};
use kiln_cache::{BuildDraft, BuildInput, InputKey};

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
                let (manifest, _) = self.keep(&job, *key, input, failed).await?;
                return Ok(built(manifest, Obtained::Compiled, Vec::new(), ""));
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
        let (manifest, provenance) = self.keep(&job, *key, input, compiled).await?;
        let stage = provenance.as_ref().and_then(|provenance| provenance.stage);
        let obtained = stage.map_or(Obtained::Compiled, Obtained::from);
        let mut built = built(manifest, obtained, changes, &text);
        built.notes.extend(note);
        built.provenance = provenance;
        Ok(built)
    }

    /// A pair without objects that an audit has left in doubt; see [`Builder::is_doubted`].
    pub(crate) async fn without_refuted(
        &self,
        job: &Job,
        mut pair: Pair,
    ) -> Result<Pair, BuildError> {
        if !self.is_doubted(&pair).await? {
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
        let obtained = match self.store.proof_of_request(key).await? {
            Some(_) => Obtained::Closure,
            None => Obtained::Input,
        };
        let stored = manifest.artifact(".config").filter(|_| request.how == How::Kbuild);
        let Some(config) = stored else {
            return Ok(built(manifest, obtained, Vec::new(), ""));
        };
        let folder = tempfile::tempdir().doing("making", &std::env::temp_dir())?;
        let path = folder.path().join("config");
        self.store.read_to_file(&config.digest, &path).await?;
        let text = std::fs::read(&path).doing("reading", &path)?;
        let text = String::from_utf8_lossy(&text);
        let changes = changes(request.text(), &text);
        refuse(request, &changes)?;
        Ok(built(manifest, obtained, changes, &text))
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
    ) -> Result<(Manifest, Option<Provenance>), BuildError> {
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
        let key = draft.input.key();
        if let Some(stored) = self.store.build_by_input(&key).await?
            && self.is_void(&stored).await?
        {
            // The store gives the first of two: this one must not be it.
            self.store.withdraw(&key).await?;
        }
        let manifest = self.store.add_build(draft).await?;
        let mut pair = compiled.pair;
        if manifest.is_built() && job.request.how == How::Kbuild {
            pair.is_build(manifest.input_key)?;
        }
        Ok((manifest, compiled.provenance))
    }
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
    let (provenance, audit) = (None, None);
    Built { manifest, obtained, seconds: 0.0, config_changes, notes, provenance, audit }
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
