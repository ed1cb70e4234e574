//! What would answer a request, without building anything.

use kiln_cache::InputKey;
use kiln_cache::build_draft::UNITS;
use kiln_cache::manifest::Manifest;
use serde::Serialize;

use crate::builder::{Builder, Question};
use crate::error::BuildError;
use crate::proving::blocking;
use crate::request::{How, Request};
use crate::stages::{Plan, difference, plan};
use crate::tree::Repository;
use crate::units::Units;

/// How many builds the nearest one is looked for among.
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
    /// Objects are compared before anything is linked: by tokens, or compiled aside.
    Tokens,
    /// It is compiled.
    Compiled,
}

impl Builder {
    /// Says which stage would answer a request, and which path decides. Compiles nothing, checks
    /// nothing out, and leaves no trace in the store.
    pub async fn foresee(&self, request: &Request) -> Result<Foresight, BuildError> {
        let question = self.question(request)?;
        let say = |stage, from: Option<&Manifest>, why: String| Foresight {
            stage,
            from: from.map(|manifest| manifest.input_key),
            builds: from.map(Manifest::is_built),
            why,
            touched: 0,
            units: None,
            warm: false,
        };
        if let Some(manifest) = self.recall(&question.key).await? {
            let why = "the store has this input".to_owned();
            return Ok(say(Foreseen::Input, Some(&manifest), why));
        }
        if let How::Command(_) = request.how {
            let why = "a build command is not watched, so nothing can be proved of it".to_owned();
            return Ok(say(Foreseen::Compiled, None, why));
        }
        let toolchain = question.toolchain.as_deref();
        if let Some(proof) = self.prove(request, question.given, toolchain).await? {
            let why = "nothing that this build read differs".to_owned();
            return Ok(say(Foreseen::Closure, Some(&proof.manifest), why));
        }
        match self.nearest(&question).await? {
            Some(foresight) => Ok(foresight),
            None => {
                let why = "no build of this configuration and toolchain is known whose tree is in \
                           this repository";
                Ok(say(Foreseen::Compiled, None, why.to_owned()))
            }
        }
    }

    /// What would be done from the build that differs in the fewest objects.
    async fn nearest(&self, question: &Question<'_>) -> Result<Option<Foresight>, BuildError> {
        let request = question.request;
        let repository = Repository::open(&request.repository)?;
        let family = request.family(question.given, question.toolchain.as_deref());
        let held = self.pool.held(&request.pool_key(question.given, question.toolchain.as_deref()));
        let mut best: Option<Foresight> = None;
        for build in self.candidates(&repository, &family, LOOKED_AT).await? {
            let Some(closure) = self.closure_in(&build.closure).await? else { continue };
            let Some(manifest) = self.recall_input(&build.input_key).await? else { continue };
            let units = match manifest.artifact(UNITS) {
                Some(artifact) => self.blob(&artifact.digest).await?,
                None => None,
            };
            let units = units.and_then(|bytes| Units::decode(&bytes).ok());
            let (repository, wanted) = (repository.clone(), request.revision.tree.clone());
            let tree = build.tree.clone();
            let warm = held.contains(&build.input_key) && manifest.is_built();
            let one = blocking(move || {
                let touched = difference(&repository, &tree, &wanted, &closure)?;
                let (stage, why) = said(&touched, units.as_ref());
                let paths = touched.iter().map(|one| &*one.touch.path);
                let affected = units.as_ref().map(|units| units.affected(paths));
                Ok(Foresight {
                    stage,
                    from: Some(build.input_key),
                    builds: None,
                    why,
                    touched: touched.len(),
                    units: affected,
                    warm,
                })
            });
            let one = one.await?;
            let cost = |it: &Foresight| (!it.warm, it.units.unwrap_or(it.touched), it.touched);
            if best.as_ref().is_none_or(|best| cost(&one) < cost(best)) {
                best = Some(one);
            }
        }
        Ok(best.map(|mut best| {
            if !best.warm && best.stage != Foreseen::Compiled {
                best.stage = Foreseen::Compiled;
                best.why += ", and no working pair holds the build that it would be compared with";
            }
            best
        }))
    }
}

fn said(touched: &[crate::stages::Touched], units: Option<&Units>) -> (Foreseen, String) {
    let first = touched.first().map(|one| one.touch.to_string()).unwrap_or_default();
    let Some(units) = units else { return (Foreseen::Compiled, first) };
    match plan(touched, units) {
        Plan::Compile(reason) => (Foreseen::Compiled, reason.to_string()),
        Plan::Evaluate => (Foreseen::Commands, first),
        Plan::Compare { objects, .. } => {
            let what = if objects.len() == 1 { "object is" } else { "objects are" };
            (Foreseen::Tokens, format!("{first}; {} {what} compared", objects.len()))
        }
    }
}
