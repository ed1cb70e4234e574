//! `kiln build`: a revision's kernel, compiled only when the store does not know it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_builder::{Builder, Built, Config, How, Repository, Request};
use kiln_cache::Remote;
use kiln_cache::manifest::{Artifact, BuildResult};
use kiln_cache::remote::Timeouts;

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::observe::BuildProgress;
use crate::terminal::text::{duration, size};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The revision: anything that git understands
    revision: String,
    /// The kernel's git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// The kernel configuration; completed with `make olddefconfig`
    #[arg(long, value_name = "FILE", required_unless_present = "build_command")]
    config: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

/// Options about how revisions are built; shared with `kiln bisect`.
#[derive(Debug, clap::Args)]
pub(crate) struct HowArgs {
    /// Build with this shell command instead of Kbuild. It runs in the checked-out source; files
    /// that it leaves in $KILN_OUT are the build
    #[arg(long, value_name = "COMMAND")]
    pub(crate) build_command: Option<String>,
    /// Make jobs [default: one a core]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Fail when `make olddefconfig` changes an option that the configuration sets
    #[arg(long)]
    pub(crate) strict_config: bool,
    /// Compile this share (0 to 1) of the builds that a proof would avoid, and compare: see `kiln
    /// audit`
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) audit: f64,
    /// Ask a Kiln that serves before compiling; while it is down, go on without it
    #[arg(long, value_name = "URL", env = "KILN_REMOTE")]
    pub(crate) remote: Option<String>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is no share: give a number from 0 to 1")),
    }
}

impl HowArgs {
    /// Make jobs, one a core unless said otherwise.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.map_or_else(cores, usize::from)
    }

    /// The Kiln to ask first.
    pub(crate) fn upstream(&self) -> anyhow::Result<Option<Remote>> {
        upstream(self.remote.as_deref())
    }

    /// How to build.
    pub(crate) fn how(&self) -> How {
        self.build_command.clone().map_or(How::Kbuild, How::Command)
    }
}

/// Refuses a configuration of another architecture than kernels are built for here.
pub(crate) fn for_this_machine(config: Config) -> anyhow::Result<Config> {
    match config.architecture() {
        Some(other) if other != kiln_builder::host_arch() => anyhow::bail!(
            "the configuration is for {other}, and kernels are built for {} here: `make \
             olddefconfig` would quietly make another one of it",
            kiln_builder::host_arch()
        ),
        _ => Ok(config),
    }
}

/// A Kiln to ask before compiling: with short timeouts, for a build must not wait for a cache.
pub(crate) fn upstream(url: Option<&str>) -> anyhow::Result<Option<Remote>> {
    let timeouts = Timeouts { connect: Duration::from_secs(2), idle: Duration::from_secs(10) };
    Ok(url.map(|url| Remote::new(url, timeouts)).transpose()?)
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[derive(serde::Serialize)]
struct Answer<'a> {
    commit: &'a str,
    input_key: String,
    obtained: kiln_builder::Obtained,
    result: &'a BuildResult,
    signatures: BTreeMap<&'static str, String>,
    build_id: Option<&'a str>,
    compiler: &'a str,
    artifacts: &'a [Artifact],
    notes: &'a [String],
    seconds: f64,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let progress = context.progress();
    let store = context.open().await?;
    let repository = Repository::open(&args.repo)?;
    let revision = repository.resolve(&args.revision)?;
    let mut config = args.config.as_deref().map(Config::read).transpose()?;
    if args.how.build_command.is_none() {
        config = config.map(for_this_machine).transpose()?;
    }
    let builder =
        Builder::new(store, context.work()?, Arc::new(BuildProgress::new(progress.clone())))
            .with_audit(args.how.audit)
            .with_upstream(args.how.upstream()?);
    let built = builder
        .build(&Request {
            repository: args.repo.clone(),
            revision: revision.clone(),
            config,
            how: args.how.how(),
            jobs: args.how.jobs(),
            strict_config: args.how.strict_config,
        })
        .await;
    progress.clear();
    let built = built?;
    if context.json {
        answer_json(&json(&revision.commit, &built))?;
    } else {
        print(&revision.commit, &built);
    }
    Ok(if built.manifest.is_built() { Exit::Done } else { Exit::DoesNotBuild })
}

fn json<'a>(commit: &'a str, built: &'a Built) -> Answer<'a> {
    let manifest = &built.manifest;
    Answer {
        commit,
        input_key: manifest.input_key.to_string(),
        obtained: built.obtained,
        result: &manifest.result,
        signatures: manifest
            .signatures
            .0
            .iter()
            .map(|(kind, signature)| (kind.name(), signature.hash.to_hex()))
            .collect(),
        build_id: manifest.build_id.as_deref(),
        compiler: &manifest.compiler,
        artifacts: &manifest.artifacts,
        notes: &built.notes,
        seconds: built.seconds,
    }
}

fn print(commit: &str, built: &Built) {
    let manifest = &built.manifest;
    for note in &built.notes {
        answer(format_args!("note       {note}"));
    }
    answer(format_args!("commit     {commit}"));
    answer(format_args!("input key  {}", manifest.input_key));
    answer(format_args!(
        "obtained   {} in {}",
        match built.obtained {
            kiln_builder::Obtained::Input => "input (the store has this input)",
            kiln_builder::Obtained::Closure => {
                "closure (nothing that the build reads differs from one in the store)"
            }
            kiln_builder::Obtained::Compiled => "compiled",
        },
        duration(built.seconds)
    ));
    if let BuildResult::Failed { errors } = &manifest.result {
        answer("result     does not build; first errors:");
        for error in errors {
            answer(format_args!("  {error}"));
        }
        answer(format_args!("the whole log: kiln pull {} build.log", manifest.input_key));
        return;
    }
    print_identity(manifest);
}

/// Signatures and artifacts of a build, as `build` and `show` print them.
pub(crate) fn print_identity(manifest: &kiln_cache::Manifest) {
    for (kind, signature) in &manifest.signatures.0 {
        answer(format_args!("{:<9}  {}", kind.name(), signature.hash));
    }
    if let Some(build_id) = &manifest.build_id {
        answer(format_args!("build id   {build_id}"));
    }
    for artifact in &manifest.artifacts {
        answer(format_args!(
            "artifact   {:<20} {:>9}  {}",
            artifact.name,
            size(artifact.size),
            artifact.digest.short()
        ));
    }
}
