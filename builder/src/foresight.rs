//! What would answer a request, without building anything.

use kiln_cache::InputKey;
use kiln_cache::build_draft::UNITS;
use kiln_cache::manifest::Manifest;
use serde::Serialize;

use crate::builder::{Builder, Question};
use crate::error::BuildError;
use crate::pool::Folder;
use crate::proving::blocking;
use crate::request::{How, Request};
use crate::stages::{Plan, Stage, Survey, Touched, difference, outline, overlooked, plan};
use crate::tree::{KernelVersion, Repository};
use crate::units::Units;

/// How many builds the one is looked for among that differs in the fewest objects, where no working
/// pair holds one.
const LOOKED_AT: usize = 8;

/// What `kiln build` would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foresight {
    /// The stage that would answer, or that would be tried first.
    pub stage: Foreseen,
    /// The build that would answer, or that it would be held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<InputKey>,
    /// Whether that build is a kernel; `false` when the revision is known not to build. Only where
    /// a known build would answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builds: Option<bool>,
    /// Why, with the path that decides.
    pub why: String,
    /// Changed paths that the build reads.
    pub touched: usize,
    /// Objects that are made from them, by the records of the build that it was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// A working pair holds that build, so that only these objects would be made.
    pub warm: bool,
    /// Everything would be compiled: no pair has objects to go on from, or make might overlook
    /// something of what differs, so that they would be removed first.
    pub from_nothing: bool,
}

/// A stage, with how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreseen {
    /// The store has this input: certain.
    Input,
    /// Nothing that a known build reads differs: certain, an audit aside.
    Closure,
    /// Configuration and commands decide; they are evaluated.
    Commands,
    /// What compilers are given for objects is compared, and where that differs perhaps the objects
    /// themselves, compiled aside, before anything is linked.
    Tokens,
    /// Objects are compiled aside and compared: what compilers are given does not decide.
    Objects,
    /// It is compiled.
    Compiled,
}

impl Foresight {
    /// Of a stage that needs no look at differences.
    fn of(stage: Foreseen, from: Option<&Manifest>, why: &str) -> Self {
        Self {
            stage,
            from: from.map(|manifest| manifest.input_key),
            builds: from.map(Manifest::is_built),
            why: why.to_owned(),
            touched: 0,
            units: None,
            warm: false,
            from_nothing: false,
        }
    }
}

impl Builder {
    /// Says which stage would answer a request, and which path decides. Compiles nothing, checks
    /// nothing out, and leaves no trace in the store.
    pub async fn foresee(&self, request: &Request) -> Result<Foresight, BuildError> {
        let question = self.question(request)?;
        match self.answered(&question).await? {
            Some(known) => Ok(known),
            None if matches!(request.how, How::Command(_)) => {
                let why = "a build command is not watched, so nothing can be proved of it";
                Ok(Foresight::of(Foreseen::Compiled, None, why))
            }
            None => self.nearest(&question).await,
        }
    }

    /// Whether the store certainly answers a request, an audit aside: nothing would be configured or
    /// compiled.
    pub async fn is_answered(&self, request: &Request) -> Result<bool, BuildError> {
        Ok(self.answered(&self.question(request)?).await?.is_some())
    }

    /// The known build that certainly answers, and why.
    async fn answered(&self, question: &Question<'_>) -> Result<Option<Foresight>, BuildError> {
        if let Some(manifest) = self.recall(&question.key).await? {
            let why = "the store has this input";
            return Ok(Some(Foresight::of(Foreseen::Input, Some(&manifest), why)));
        }
        let Question { request, given, .. } = *question;
        if let How::Command(_) = request.how {
            return Ok(None);
        }
        let proof = self.prove(request, given, question.toolchain.as_deref()).await?;
        let why = "nothing that this build read differs";
        Ok(proof.map(|proof| Foresight::of(Foreseen::Closure, Some(&proof.manifest), why)))
    }

    /// What would be done: upon what the nearest working pair holds, as a build would; or how a known
    /// build differs, where no pair is of use.
    async fn nearest(&self, question: &Question<'_>) -> Result<Foresight, BuildError> {
        let request = question.request;
        let repository = Repository::open(&request.repository)?;
        let (toolchain, wanted) = (question.toolchain.as_deref(), request.revision.tree.clone());
        let kernel = repository.kernel_version(&request.revision)?;
        let (pool, pool_key) = (self.pool.clone(), request.pool_key(question.given, toolchain));
        let (here, tree) = (repository.clone(), wanted.clone());
        let pair = blocking(move || Ok(pool.nearest(&pool_key, &here, &tree))).await?;
        let (base, doubted) = match &pair {
            Some(pair) => (self.base(pair).await?, self.is_doubted(pair).await?),
            None => (None, false),
        };
        let (here, tree) = (repository.clone(), wanted.clone());
        let (warm, anew) = blocking(move || {
            let Some(pair) = pair else { return Ok((None, true)) };
            let anew = doubted || is_emptied(&here, &pair, &tree, kernel)?;
            let base = match base {
                Some(base) if here.which_trees(&[&base.tree])?.contains(&true) => base,
                _ => return Ok((None, anew)),
            };
            Ok((Some(outline(&here, &pair, &tree, kernel, base)?), anew))
        })
        .await?;
        if let Some(survey) = warm {
            return Ok(upon(&survey, anew));
        }
        let family = request.family(question.given, toolchain);
        let mut best: Option<Foresight> = None;
        for build in self.candidates(&repository, &family, &wanted, LOOKED_AT).await? {
            let Some(closure) = self.closure_in(&build.closure).await? else { continue };
            let Some(manifest) = self.recall_input(&build.input_key).await? else { continue };
            let units = match manifest.artifact(UNITS) {
                Some(artifact) => self.blob(&artifact.digest).await?,
                None => None,
            };
            let units = units.and_then(|bytes| Units::decode(&bytes).ok());
            let (here, tree) = (repository.clone(), wanted.clone());
            let one = blocking(move || {
                let touched = difference(&here, &build.tree, &tree, &closure)?;
                let paths = touched.iter().map(|one| &*one.touch.path);
                Ok(Foresight {
                    stage: Foreseen::Compiled,
                    from: Some(build.input_key),
                    builds: None,
                    why: said(&touched, units.as_ref()),
                    touched: touched.len(),
                    units: units.as_ref().map(|units| units.affected(paths)),
                    warm: false,
                    from_nothing: anew,
                })
            });
            let one = one.await?;
            let cost = |it: &Foresight| (it.units.unwrap_or(it.touched), it.touched);
            if best.as_ref().is_none_or(|best| cost(&one) < cost(best)) {
                best = Some(one);
            }
        }
        Ok(best.unwrap_or_else(|| Foresight {
            from_nothing: anew,
            ..Foresight::of(
                Foreseen::Compiled,
                None,
                "no build of this configuration and toolchain is known whose tree is in this \
                 repository",
            )
        }))
    }
}

/// Whether a build in a pair begins with an empty folder of objects.
fn is_emptied(
    repository: &Repository,
    pair: &Folder,
    wanted: &str,
    kernel: KernelVersion,
) -> Result<bool, BuildError> {
    if pair.state.objects.tree.is_none() {
        return Ok(true);
    }
    // Of a build under way nobody can tell from here.
    Ok(pair.is_at_rest() && overlooked(repository, pair, wanted, Some(kernel))?.is_some())
}

/// What would be done upon the build that a pair holds.
fn upon(survey: &Survey, anew: bool) -> Foresight {
    let first = survey.touched.first().map(|one| one.touch.to_string()).unwrap_or_default();
    let (stage, why) = match survey.hoped() {
        Err(reason) => (Foreseen::Compiled, reason),
        Ok(_) if anew => (Foreseen::Compiled, format!("{first}, which make may overlook")),
        Ok(Stage::Closure | Stage::Commands) => (Foreseen::Commands, first),
        Ok(stage @ (Stage::Tokens | Stage::Objects)) => {
            let what = if survey.units.len() == 1 { "object is" } else { "objects are" };
            let why = format!("{first}; {} {what} compared", survey.units.len());
            let is_tokens = stage == Stage::Tokens;
            (if is_tokens { Foreseen::Tokens } else { Foreseen::Objects }, why)
        }
    };
    Foresight {
        stage,
        from: Some(survey.base.key),
        builds: None,
        why,
        touched: survey.touched.len(),
        units: Some(survey.affected),
        warm: true,
        from_nothing: anew,
    }
}

/// How a build that no pair holds differs.
fn said(touched: &[Touched], units: Option<&Units>) -> String {
    let first = || touched.first().map(|one| one.touch.to_string()).unwrap_or_default();
    match units.map(|units| plan(touched, units)) {
        Some(Plan::Compile(reason)) => reason.to_string(),
        None => first(),
        Some(_) => {
            format!(
                "{}, and no working pair holds the build that it would be compared with",
                first()
            )
        }
    }
}
