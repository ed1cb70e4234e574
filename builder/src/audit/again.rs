//! Compiling what was proved, in a pair that only audits use.

use std::time::Instant;

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey};

use crate::builder::{Builder, Built, Obtained, Question};
use crate::error::BuildError;
use crate::kbuild::Made;
use crate::making::Turn;
use crate::pool::Pair;
use crate::stages::Stage;
use crate::unlinked;
use crate::work::{Compiled, Job, Prepared};

/// One in so many audits begins with an empty folder of objects.
const FROM_NOTHING: u8 = 8;

/// Whether the audit of a request is one of those, chosen by its key.
pub(crate) fn is_from_nothing(key: &InputKey) -> bool {
    key.0.as_bytes()[8].is_multiple_of(FROM_NOTHING)
}

/// What an audit compiled.
pub(super) struct Again {
    pub(super) job: Job,
    pub(super) once: Once,
    /// Whether it is what was proved.
    pub(super) same: bool,
    /// Upon the build that was audited before, something else came out than from nothing.
    pub(super) overlooked: bool,
}

/// One compile of it.
pub(super) struct Once {
    pub(super) compiled: Compiled,
    /// The normalized configuration and its digest; `None` when the tree can't be configured.
    config: Option<(Digest, String)>,
    pub(super) from_nothing: bool,
    pub(super) seconds: f64,
}

impl Builder {
    /// Compiles a request in the pair of audits, and compares with what a stage proved. What comes out
    /// upon another build is no better a witness than what it is held against: where they differ, it is
    /// compiled once more, from nothing, and that counts. Where that can't be done the error says that
    /// they differ.
    pub(super) async fn compile_again(
        &self,
        question: &Question<'_>,
        stage: Stage,
        proved: &Manifest,
    ) -> Result<Again, BuildError> {
        let (job, pair) = self.audits_pair(question).await?;
        let once = compile_once(&job, pair, is_from_nothing(&question.key)).await?;
        let same = self.is_same(&job, &once.compiled, proved).await?;
        if same || once.from_nothing {
            return Ok(Again { job, once, same, overlooked: false });
        }
        let decide = async {
            let once = compile_once(&job, once.compiled.pair, true).await?;
            let same = self.is_same(&job, &once.compiled, proved).await?;
            Ok((once, same))
        };
        let (once, same) = decide
            .await
            .map_err(|because| BuildError::Undecided { stage, because: Box::new(because) })?;
        Ok(Again { job, once, same, overlooked: same })
    }

    /// Compiles a request in the pair of audits, from nothing.
    pub(super) async fn compile_from_nothing(
        &self,
        question: &Question<'_>,
    ) -> Result<(Job, Once), BuildError> {
        let (job, pair) = self.audits_pair(question).await?;
        let once = compile_once(&job, pair, true).await?;
        Ok((job, once))
    }

    async fn audits_pair(&self, question: &Question<'_>) -> Result<(Job, Pair), BuildError> {
        let job = Job { ccache: None, is_audit: true, ..self.job(question)? };
        let pool_key = format!("{}-audit", job.pool_key());
        let Turn::Pair(pair) = self.take_pair(&job, &pool_key, None).await? else {
            return Err(BuildError::Stopped("an audit was answered from the store"));
        };
        let pair = self.without_refuted(&job, pair).await?;
        Ok((job, pair))
    }

    /// Stores what an audit compiled, in the place of what it showed to be wrong. `notes` come before
    /// what is to be said of it.
    pub(super) async fn keep_instead(
        &self,
        question: &Question<'_>,
        job: &Job,
        Once { mut compiled, config, .. }: Once,
        mut notes: Vec<String>,
    ) -> Result<Built, BuildError> {
        if matches!(compiled.made, Made::Well { .. }) {
            let unlinked = job.on_thread(move |_| {
                compiled.artifacts.extend(unlinked::artifact(&compiled.pair)?);
                Ok(compiled)
            });
            compiled = unlinked.await?;
        }
        notes.extend(compiled.made.note());
        let (digest, text) = config.unwrap_or_else(|| (question.given, String::new()));
        let input = question.request.input(digest, job.toolchain());
        let kept = self.keep(job, question.key, input, compiled).await?;
        notes.extend(kept.note);
        let changes = crate::kconfig::changes(question.request.text(), &text);
        let mut instead = crate::making::built(kept.manifest, Obtained::Compiled, changes, &text);
        instead.refuted = true;
        instead.notes.extend(notes);
        Ok(instead)
    }
}

impl Once {
    /// The key of what was compiled.
    pub(super) fn key(&self, question: &Question<'_>, job: &Job) -> InputKey {
        let digest = self.config.as_ref().map_or(question.given, |(digest, _)| *digest);
        question.request.input(digest, job.toolchain()).key()
    }
}

async fn compile_once(job: &Job, pair: Pair, from_nothing: bool) -> Result<Once, BuildError> {
    let begun = Instant::now();
    let prepare = move |job: &Job| {
        let mut pair = pair;
        if from_nothing {
            pair.empty_objects()?;
        }
        job.prepare(pair)
    };
    let (compiled, config, from_nothing) = match job.on_thread(prepare).await? {
        Prepared::Unfit(failed) => {
            let from_nothing = !failed.pair.built_before;
            (failed, None, from_nothing)
        }
        Prepared::Ready { pair, text, digest, .. } => {
            let from_nothing = !pair.built_before;
            let config = text.clone();
            let compile = move |job: &_| Job::compile(job, pair, &config, None);
            (job.on_thread(compile).await?, Some((digest, text)), from_nothing)
        }
    };
    Ok(Once { compiled, config, from_nothing, seconds: begun.elapsed().as_secs_f64() })
}
