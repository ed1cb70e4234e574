//! Looking at a working pair before its sources change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use kiln_cache::manifest::Manifest;
use kiln_cache::{Digest, InputKey};

use super::aside;
use super::difference::{difference, named_in_make_texts, text, trees};
use super::plan::{MOST_UNITS, Plan, Reason, Touched, is_make_text, plan};
use super::provenance::{NAMED, Provenance};
use super::same::mentions_new_option;
use super::tokens::Tokens;
use crate::closure::{Closure, Why};
use crate::error::BuildError;
use crate::ground::{Ground, Stage};
use crate::kbuild::Kbuild;
use crate::kconfig::parse;
use crate::pool::{Folder, Times};
use crate::request::host_arch;
use crate::tree::{KernelVersion, Repository};
use crate::units::{Invocation, Units, preprocessor_sees_all, scan};
use crate::work::Job;

/// The build whose objects a pair holds.
pub(crate) struct Base {
    pub(crate) key: InputKey,
    pub(crate) tree: String,
    /// Digest of its normalized configuration, with the files that it names.
    pub(crate) config_digest: Digest,
    /// Text of its normalized configuration.
    pub(crate) config: String,
    pub(crate) closure: Arc<Closure>,
    pub(crate) closure_digest: Digest,
    /// Stages that no audit has found wrong for this closure.
    pub(crate) stages: Vec<Stage>,
}

impl Base {
    /// Of a manifest, with its closure and the text of its configuration.
    pub(crate) fn new(
        manifest: &Manifest,
        config: String,
        closure: (Digest, Arc<Closure>),
        stages: Vec<Stage>,
    ) -> Self {
        Self {
            key: manifest.input_key,
            tree: manifest.input.tree.clone(),
            config_digest: manifest.input.config,
            config,
            closure_digest: closure.0,
            closure: closure.1,
            stages,
        }
    }

    pub(super) fn allows(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }
}

/// An object to be compared, with what its command gave before.
pub(crate) struct Unit {
    pub(super) object: String,
    pub(super) invocation: Invocation,
    pub(super) tokens: Option<Tokens>,
}

/// What a pair and a difference look like, and what the compilers gave before the sources changed.
pub(crate) struct Survey {
    pub(crate) base: Base,
    pub(crate) plan: Plan,
    pub(crate) touched: Vec<Touched>,
    /// Objects made from any of those paths.
    pub(crate) affected: usize,
    pub(crate) units: Vec<Unit>,
    /// When the changed sources were written, but for text of make.
    pub(crate) times: Times,
}

/// Looks at the pair, which holds the base's tree and objects, and at the way to the wanted tree.
pub(crate) fn survey(kbuild: &Kbuild<'_>, job: &Job, base: Base) -> Result<Survey, BuildError> {
    let wanted = &job.request.revision.tree;
    let mut survey = outline(&job.repository, kbuild.pair, wanted, kbuild.version, base)?;
    if survey.hoped().is_ok() && !survey.units.is_empty() {
        survey.preprocess(kbuild)?;
        let sources = survey.touched.iter().map(|one| &*one.touch.path);
        let sources = sources.filter(|path| !is_make_text(path));
        let sources = sources.map(|path| Path::new(OsStr::from_bytes(path)));
        survey.times = kbuild.pair.times(sources)?;
    }
    Ok(survey)
}

/// The same without running anything: what is said of a pair that somebody else may hold.
pub(crate) fn outline(
    repository: &Repository,
    pair: &Folder,
    wanted: &str,
    kernel: KernelVersion,
    base: Base,
) -> Result<Survey, BuildError> {
    let touched = difference(repository, &base.tree, wanted, &base.closure)?;
    let records = scan(&pair.objects())?;
    let table = Units::of(&records, &pair.seen_sources());
    let paths = touched.iter().map(|one| &*one.touch.path);
    let affected = table.affected(paths);
    let plan = plan(&touched, &table);
    let mut survey =
        Survey { plan, touched, affected, base, units: Vec::new(), times: Times::default() };
    let Plan::Compare { objects, .. } = &survey.plan else { return Ok(survey) };
    let first = survey.touched.iter().find(|one| !is_make_text(&one.touch.path));
    let path = first.map(|one| one.touch.path.clone()).unwrap_or_default();
    if !preprocessor_sees_all(host_arch(), kernel) {
        let what = "differs, and compilers of this kernel read what nobody records".to_owned();
        survey.plan = Plan::Compile(Reason { path, what, from_nothing: true });
        return Ok(survey);
    }
    let reason = match named(repository, wanted, &survey, &table)? {
        None => new_option(repository, wanted, &survey)?,
        named => named,
    };
    if let Some(reason) = reason {
        survey.plan = Plan::Compile(reason);
        return Ok(survey);
    }
    for object in objects {
        let record = records.iter().find(|record| record.target == *object);
        let Some(invocation) = record.and_then(|record| Invocation::parse(&record.command)) else {
            let what = format!("differs and is read by {object}, which is not a plain C object");
            survey.plan = Plan::Compile(Reason { path, what, from_nothing: false });
            survey.units.clear();
            return Ok(survey);
        };
        let object = object.clone();
        survey.units.push(Unit { object, invocation, tokens: None });
    }
    Ok(survey)
}

/// A changed file whose name a makefile mentions: a rule may depend on it of which no compiler knows.
fn named(
    repository: &Repository,
    wanted: &str,
    survey: &Survey,
    units: &Units,
) -> Result<Option<Reason>, BuildError> {
    let sources = survey.touched.iter().filter(|one| !is_make_text(&one.touch.path));
    let sources: Vec<Touched> = sources.cloned().collect();
    let trees = [&*survey.base.tree, wanted];
    let named = named_in_make_texts(repository, trees, &survey.base.closure, &sources)?;
    Ok(named.map(|one| {
        let readers = units.readers(&one.touch.path).count();
        let what = format!("differs and is read by {readers} units, and a makefile names it");
        Reason { path: one.touch.path.clone(), what, from_nothing: false }
    }))
}

/// A changed file that mentions an option which it did not mention: the records of the objects that
/// are made from it would lack that option.
fn new_option(
    repository: &Repository,
    wanted: &str,
    survey: &Survey,
) -> Result<Option<Reason>, BuildError> {
    let git = repository.git()?;
    let trees = trees(repository, &git, [&survey.base.tree, wanted])?;
    for one in &survey.touched {
        let path = &one.touch.path;
        if one.touch.why != Why::Read || is_make_text(path) {
            continue;
        }
        let [before, after] =
            trees.each_ref().map(|tree| text(&git, tree, path).unwrap_or_default());
        if mentions_new_option(&before, &after) {
            let what = "differs and mentions another option".to_owned();
            return Ok(Some(Reason { path: path.clone(), what, from_nothing: false }));
        }
    }
    Ok(None)
}

impl Survey {
    fn preprocess(&mut self, kbuild: &Kbuild<'_>) -> Result<(), BuildError> {
        let invocations: Vec<&Invocation> =
            self.units.iter().map(|unit| &unit.invocation).collect();
        let all = aside::preprocess(kbuild, &invocations)?;
        self.units.iter_mut().zip(all).for_each(|(unit, tokens)| unit.tokens = tokens);
        Ok(())
    }

    /// The first stage that may answer, before anything is compared; or why none can.
    pub(crate) fn hoped(&self) -> Result<Stage, String> {
        let revoked = || "an audit has revoked this stage".to_owned();
        let allowed = |stage| self.base.allows(stage).then_some(stage);
        match &self.plan {
            Plan::Compile(reason) => Err(reason.to_string()),
            Plan::Evaluate => allowed(Stage::Commands).ok_or_else(revoked),
            Plan::Compare { .. } if !objects_decide(&self.base.config) => {
                Err("more than objects is made of sources in this configuration".into())
            }
            Plan::Compare { .. } => {
                let tokens = allowed(Stage::Tokens).filter(|_| self.tokens_decide());
                match tokens.or_else(|| allowed(Stage::Objects)) {
                    Some(Stage::Objects) if self.units.len() > MOST_UNITS => {
                        Err(format!("{} {}", self.units.len(), super::settle::TOO_MANY))
                    }
                    stage => stage.ok_or_else(revoked),
                }
            }
        }
    }

    /// Whether every changed file is a header, or text of make.
    pub(super) fn is_of_headers(&self) -> bool {
        let paths = || self.touched.iter().map(|one| &one.touch.path);
        paths().all(|path| path.ends_with(b".h") || is_make_text(path))
    }

    /// Whether tokens alone decide each object; see [`Invocation::tokens_decide`].
    pub(super) fn tokens_decide(&self) -> bool {
        self.units.iter().all(|unit| unit.invocation.tokens_decide())
    }

    /// What a stage's answer would rest on.
    pub(crate) fn ground(&self, stage: Stage) -> Ground {
        Ground { stage, closure: self.base.closure_digest, from: self.base.key }
    }

    /// What is kept with the build that comes out.
    pub(crate) fn provenance(&self, stage: Option<Stage>, because: Option<String>) -> Provenance {
        let paths = self.touched.iter().map(|one| String::from_utf8_lossy(&one.touch.path).into());
        Provenance {
            stage,
            from: Some(self.base.key),
            closure: Some(self.base.closure_digest),
            changed: paths.take(NAMED).collect(),
            units: self.units.iter().map(|unit| unit.object.clone()).take(NAMED).collect(),
            because,
            from_nothing: false,
            rests_on: Vec::new(),
            upon: Vec::new(),
        }
    }
}

/// Options under which a build makes more of a source than its objects: versions and names of symbols;
/// the archive of all headers (`kernel/gen_kheaders.sh`), which is made anew by what a checksum of times
/// and sizes tells, or by records that name no source; headers as they are installed, which are checked,
/// so that a comment can be what does not build (`scripts/headers_install.sh`, `usr/include/Makefile`).
const BESIDE_OBJECTS: &[&str] = &[
    "CONFIG_MODVERSIONS",
    "CONFIG_TRIM_UNUSED_KSYMS",
    "CONFIG_IKHEADERS",
    "CONFIG_HEADERS_INSTALL",
    "CONFIG_UAPI_HEADER_TEST",
];

/// Whether objects decide the image under a configuration. Under some options Kbuild makes more of a
/// source than its object (`genksyms`, `scripts/Makefile.build`), built in or as a module.
fn objects_decide(config: &str) -> bool {
    let values = parse(config);
    BESIDE_OBJECTS.iter().all(|option| !matches!(values.get(option), Some(&("y" | "m"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_symbols_and_headers_as_such_are_beside_objects() {
        assert!(objects_decide("CONFIG_MODULES=y\n# CONFIG_MODVERSIONS is not set\n"));
        assert!(!objects_decide("CONFIG_MODULES=y\nCONFIG_MODVERSIONS=y\n"));
        assert!(!objects_decide("CONFIG_IKHEADERS=m\n"));
        assert!(!objects_decide("CONFIG_HEADERS_INSTALL=y\nCONFIG_UAPI_HEADER_TEST=y\n"));
    }
}
