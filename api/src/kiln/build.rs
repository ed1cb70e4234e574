//! `kiln build`: a revision's kernel, compiled only when the store does not know it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_builder::audit::Checked;
use kiln_builder::stages::Provenance;
use kiln_builder::{
    Builder, Built, Config, Foreseen, Foresight, How, Obtained, Repository, Request, Revision,
};
use kiln_cache::manifest::{Artifact, BuildResult};
use kiln_cache::remote::Timeouts;
use kiln_cache::signature::Signatures;
use kiln_cache::{InputKey, Remote, Store};

use clap::builder::FalseyValueParser;

use super::common::{Context, answer, answer_json, remote};
use super::toolchains::ToolchainArgs;
use crate::terminal::exit::Exit;
use crate::terminal::observe::BuildProgress;
use crate::terminal::table::WIDTH;
use crate::terminal::text::{duration, hanging, labelled, size, wrapped};

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
    /// Only say which stage would answer, and which path decides. Ends with 4 when the revision is
    /// known not to build
    #[arg(long)]
    dry_run: bool,
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
    #[command(flatten)]
    toolchain: ToolchainArgs,
    /// Fail when `make olddefconfig` changes an option that the configuration sets
    #[arg(long)]
    pub(crate) strict_config: bool,
    /// Compile this share (0 to 1) of the builds that a proof would avoid, and compare: see `kiln
    /// audit`
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) audit: f64,
    #[command(flatten)]
    pub(crate) shortcuts: ShortcutArgs,
}

/// Options about what spares compiling and is no part of a record.
#[derive(Debug, clap::Args)]
pub(crate) struct ShortcutArgs {
    /// Ask a Kiln that serves before compiling; while it is down, go on without it. What it has is
    /// believed like what others put into the store, and audited likewise (--audit)
    #[arg(long, value_name = "URL", env = "KILN_REMOTE")]
    remote: Option<String>,
    /// Compile through ccache, where it is installed and suits the configuration: for units that were
    /// compiled before, under other configurations or in a pair that has gone. Off unless asked for:
    /// while its cache is empty it costs more than it saves (a tiny kernel from nothing took 126 s
    /// through it and some 75 s without), and debug information and sanitizers do without it
    #[arg(long, env = "KILN_CCACHE", value_parser = FalseyValueParser::new())]
    ccache: bool,
    /// Conclude nothing from what builds read: compile every revision of which the store has no
    /// build. For those who doubt the proofs, or want to know what they save
    #[arg(long, env = "KILN_NO_PROOFS", value_parser = FalseyValueParser::new())]
    no_proofs: bool,
}

impl ShortcutArgs {
    /// The Kiln to ask first: with short timeouts, for a build must not wait for a cache.
    pub(crate) fn upstream(&self) -> anyhow::Result<Option<Remote>> {
        let timeouts = Timeouts { connect: Duration::from_secs(2), idle: Duration::from_secs(10) };
        self.remote.as_deref().map(|url| remote(url, timeouts)).transpose()
    }

    /// Whether ccache is used.
    pub(crate) fn ccache(&self) -> bool {
        self.ccache
    }

    /// Whether proofs are believed.
    pub(crate) fn proofs(&self) -> bool {
        !self.no_proofs
    }
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

    /// The toolchain for a revision; a build command has its own, so the name says nothing then.
    pub(crate) fn toolchain(
        &self,
        repository: &Repository,
        revision: &Revision,
    ) -> anyhow::Result<String> {
        match self.build_command {
            Some(_) => Ok(self.toolchain.toolchain.clone()),
            None => self.toolchain.choose(repository, revision),
        }
    }

    /// Why a toolchain does not build a revision, as far as that is known without trying.
    pub(crate) fn unsuited(
        &self,
        toolchain: &str,
        repository: &Repository,
        revision: &Revision,
    ) -> anyhow::Result<Option<String>> {
        match self.build_command {
            Some(_) => Ok(None),
            None => self.toolchain.unsuited(toolchain, repository, revision),
        }
    }

    /// How to build.
    pub(crate) fn how(&self) -> How {
        self.build_command.clone().map_or(How::Kbuild, How::Command)
    }
}

/// Refuses a configuration of another architecture than kernels are built for here.
pub(crate) fn for_this_machine(config: Config) -> anyhow::Result<Config> {
    anyhow::ensure!(
        config.text().contains("CONFIG_"),
        "the configuration sets no option: there is no CONFIG_ in it"
    );
    match config.architecture() {
        Some(other) if other != kiln_builder::host_arch() => anyhow::bail!(
            "the configuration is for {other}, and kernels are built for {} here: `make \
             olddefconfig` would quietly make another one of it",
            kiln_builder::host_arch()
        ),
        _ => Ok(config),
    }
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[derive(serde::Serialize)]
struct Answer<'a> {
    commit: &'a str,
    input_key: String,
    obtained: Obtained,
    provenance: Option<&'a Provenance>,
    audit: Option<&'a Checked>,
    result: &'a BuildResult,
    signatures: &'a Signatures,
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
    let toolchain = args.how.toolchain(&repository, &revision)?;
    let builder = Builder::new(
        store.clone(),
        context.work()?,
        Arc::new(BuildProgress::new(progress.clone())),
    )
    .with_audit(args.how.audit)
    .with_toolchain(&toolchain)
    .with_ccache(args.how.shortcuts.ccache())
    .with_proofs(args.how.shortcuts.proofs())
    .with_upstream(args.how.shortcuts.upstream()?);
    let request = Request {
        repository: args.repo.clone(),
        revision: revision.clone(),
        config,
        how: args.how.how(),
        jobs: args.how.jobs(),
        strict_config: args.how.strict_config,
    };
    if args.dry_run {
        progress.status("looking at what is known");
        let foreseen = builder.foresee(&request).await;
        progress.clear();
        return foretell(context, &store, &foreseen?).await;
    }
    let built = builder.build(&request).await;
    progress.clear();
    let built = built?;
    if context.json {
        answer_json(&json(&revision.commit, &built))?;
    } else {
        let from = match built.provenance.as_ref().and_then(|provenance| provenance.from) {
            Some(from) => Some(named(&store, &from).await?),
            None => None,
        };
        print(&revision.commit, &built, from.as_deref());
    }
    Ok(if built.manifest.is_built() { Exit::Done } else { Exit::DoesNotBuild })
}

/// Says what would be done.
async fn foretell(context: &Context, store: &Store, foresight: &Foresight) -> anyhow::Result<Exit> {
    let exit = match foresight.builds {
        Some(false) => Exit::DoesNotBuild,
        _ => Exit::Done,
    };
    if context.json {
        answer_json(foresight)?;
        return Ok(exit);
    }
    let Foresight { stage, why, touched, units, warm, from, builds, from_nothing } = foresight;
    let head = match stage {
        _ if *builds == Some(false) => "known not to build",
        Foreseen::Input | Foreseen::Closure => "known",
        Foreseen::Commands => "evaluates configuration and commands, compiles if they differ",
        Foreseen::Tokens => "compares objects, compiles if they differ",
        Foreseen::Objects => "compiles objects aside and compares them, compiles if they differ",
        Foreseen::Compiled if *from_nothing => "compiles everything",
        Foreseen::Compiled => "compiles",
    };
    answer(wrapped(&format!("{head}: {why}"), WIDTH));
    if let Some(from) = from {
        answer(labelled("held against", &named(store, from).await?));
    }
    if *touched > 0 {
        let units = match units {
            None => String::new(),
            Some(1) => ", 1 object made from them".into(),
            Some(units) => format!(", {units} objects made from them"),
        };
        let paths = if *touched == 1 { "path" } else { "paths" };
        answer(labelled("differ", &format!("{touched} {paths} that it reads{units}")));
        let pair = if *warm { "holds that build" } else { "does not hold that build" };
        answer(labelled("warm", &format!("a working pair {pair}")));
    }
    Ok(exit)
}

fn json<'a>(commit: &'a str, built: &'a Built) -> Answer<'a> {
    let manifest = &built.manifest;
    Answer {
        commit,
        input_key: manifest.input_key.to_string(),
        obtained: built.obtained,
        provenance: built.provenance.as_ref(),
        audit: built.audit.as_ref(),
        result: &manifest.result,
        signatures: &manifest.signatures,
        build_id: manifest.build_id.as_deref(),
        compiler: &manifest.compiler,
        artifacts: &manifest.artifacts,
        notes: &built.notes,
        seconds: built.seconds,
    }
}

/// A build of the store as people know it: by its commit.
async fn named(store: &Store, key: &InputKey) -> anyhow::Result<String> {
    let build = store.build_by_input(key).await?;
    Ok(match build {
        Some(build) => {
            format!("the build of commit {:.12} (input {:.12})", build.commit, key.to_string())
        }
        None => format!("input {key}, which is no longer here"),
    })
}

fn print(commit: &str, built: &Built, from: Option<&str>) {
    let manifest = &built.manifest;
    for note in &built.notes {
        answer(hanging("note       ", note));
    }
    answer(format_args!("commit     {commit}"));
    answer(format_args!("input key  {}", manifest.input_key));
    let obtained = format!("{} in {}", said(built.obtained), duration(built.seconds));
    answer(hanging("obtained   ", &obtained));
    if let Some(provenance) = &built.provenance
        && let Some(because) = &provenance.because
    {
        let all = if provenance.from_nothing { "; everything was compiled anew" } else { "" };
        answer(hanging("because    ", &format!("{because}{all}")));
    }
    if let Some(from) = from {
        answer(hanging("against    ", from));
    }
    if let BuildResult::Failed { errors } = &manifest.result {
        answer("result     does not build; first errors:");
        for error in errors {
            answer(hanging("  ", error));
        }
        answer(format_args!(
            "the whole log: kiln pull {:.16} build.log",
            manifest.input_key.to_string()
        ));
        return;
    }
    print_identity(manifest);
}

/// How a build was obtained, for people.
fn said(obtained: Obtained) -> &'static str {
    match obtained {
        Obtained::Input => "input (the store has this input)",
        Obtained::Closure => "closure (nothing that the build reads differs from one in the store)",
        Obtained::Commands => "commands (configuration and commands come out as before)",
        Obtained::Tokens => "tokens (compilers are given what they were given before)",
        Obtained::Objects => "objects (all come out as before; nothing was linked)",
        Obtained::Compiled => "compiled",
    }
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
