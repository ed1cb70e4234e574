//! The command line: one file a subcommand.

mod audit;
pub(crate) mod bisect;
pub(crate) mod build;
mod classes;
pub(crate) mod common;
mod crash_title;
pub(crate) mod diff;
mod explain;
mod gc;
mod kernels;
pub(crate) mod logs;
mod ls;
mod own_file;
mod pack;
mod pull;
mod push;
mod reindex;
mod retention;
mod serve;
mod show;
mod sign;
mod stats;
pub(crate) mod title_patterns;
mod token;
mod toolchains;
mod transfer;
mod usage;
mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use kiln_cache::StoreError;

use crate::terminal::exit::{self, Exit, Fault};
use crate::terminal::text::harmless;
use common::{Context, told_to_stop};
use transfer::Direction;

/// Kernel builds named by what they are, and bisections that say how sure they are.
#[derive(Debug, Parser)]
#[command(name = "kiln", version, after_help = exit::HELP, max_term_width = 80)]
struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a revision, or find that it is built already
    Build(build::Args),
    /// Collapse a range of commits into classes that give one image each, by what builds at hand read
    Classes(classes::Args),
    /// Print the signatures of a vmlinux or of a build folder
    Sign(sign::Args),
    /// Find the commit that brought a crash
    Bisect(Box<bisect::Args>),
    /// Name the first crash that a kernel's console tells of
    CrashTitle(crash_title::Args),
    /// List the builds of the store, the last used first
    Ls(ls::Args),
    /// Show a build of the store
    Show(show::Args),
    /// Say which functions and data differ between two kernels
    Diff(diff::Args),
    /// Say why two builds differ
    Explain(explain::Args),
    /// Get a file of a build, from this store or a remote Kiln
    Pull(pull::Args),
    /// Store files that were built elsewhere
    Push(push::Args),
    /// Make the store smaller
    Pack(pack::Args),
    /// Remove builds by age and quota, and files that nobody needs
    Gc(gc::Args),
    /// Keep a build whatever `gc` is told
    Pin(gc::PinArgs),
    /// Make the index again from the manifests
    Reindex,
    /// Serve this store over HTTP
    Serve(serve::Args),
    /// Bring builds, evidence and records from this store to another
    Export(transfer::Args),
    /// Bring builds, evidence and records from another store to this one
    Import(transfer::Args),
    /// Who may read or write over HTTP
    #[command(subcommand)]
    Token(token::Command),
    /// Say what the store holds
    Stats,
    /// What compiling proved builds anyway has shown
    #[command(subcommand)]
    Audit(audit::Command),
    /// Check the store
    Verify(verify::Args),
}

/// How long threads may take to end after the command has, and builds after that.
const LAST_WORK: Duration = Duration::from_millis(1500);

/// Parses the command line, runs the command and turns its result into an exit code.
pub(crate) fn main() -> ExitCode {
    let matches = Cli::command()
        .try_get_matches()
        .unwrap_or_else(|error| usage::without_variables(error, &Cli::command()).exit());
    let mut cli = Cli::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut Cli::command()).exit());
    cli.context = cli.context.with_sources(&matches);
    let serves = matches!(cli.command, Command::Serve(_));
    init_tracing(matches!(cli.command, Command::Pull(_) | Command::Verify(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::from(error).context("can't start threads")),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(cli) => result,
            // A server stops by itself when it is told to.
            signal = interrupted(), if !serves => Err(signal),
        }
    });
    // Children die with their futures, which the runtime drops; only a build has more to do, to take
    // down its view of the sources. A mount without a server would be in everybody's way.
    runtime.shutdown_timeout(LAST_WORK);
    kiln_builder::wait_for_builds(LAST_WORK);
    match result.and_then(|exit| common::lost_answer().map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let context = cli.context;
    match cli.command {
        Command::Build(args) => build::run(&context, args).await,
        Command::Classes(args) => classes::run(&context, args).await,
        Command::Sign(args) => sign::run(&context, args).await,
        Command::Bisect(args) => bisect::run(&context, *args).await,
        Command::CrashTitle(args) => crash_title::run(&context, args).await,
        Command::Ls(args) => ls::run(&context, args).await,
        Command::Show(args) => show::run(&context, args).await,
        Command::Diff(args) => diff::run(&context, args).await,
        Command::Explain(args) => explain::run(&context, args).await,
        Command::Pull(args) => pull::run(&context, args).await,
        Command::Push(args) => push::run(&context, args).await,
        Command::Pack(args) => pack::run(&context, args).await,
        Command::Gc(args) => gc::run(&context, args).await,
        Command::Pin(args) => gc::pin(&context, args).await,
        Command::Reindex => reindex::run(&context).await,
        Command::Serve(args) => serve::run(&context, args).await,
        Command::Export(args) => transfer::run(&context, args, Direction::Export).await,
        Command::Import(args) => transfer::run(&context, args, Direction::Import).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Stats => stats::run(&context).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Verify(args) => verify::run(&context, args).await,
    }
}

async fn interrupted() -> anyhow::Error {
    if let Err(error) = told_to_stop().await {
        return error.into();
    }
    let way_on = bisect::start::way_on();
    let kept = format!("interrupted; what is in the store is kept, and {way_on}");
    Fault::new(Exit::Interrupted, kept).into()
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // Errors of the libraries tell their source in their own text; repeating it helps nobody.
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    // Where a terminal was closed nobody reads it.
    _ = writeln!(std::io::stderr(), "kiln: {}", harmless(&message));
    exit_of(error).into()
}

/// The exit code that says what kind of error it is.
fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            if let Some(fault) = cause.downcast_ref::<Fault>() {
                return Some(fault.exit);
            }
            match cause.downcast_ref::<StoreError>()? {
                StoreError::Missing(_)
                | StoreError::LetGo(_)
                | StoreError::UnknownBuild(_)
                | StoreError::UnknownDatabase(_) => Some(Exit::NotFound),
                StoreError::Corrupt { .. } | StoreError::Damaged { .. } => Some(Exit::Corrupt),
                StoreError::Refused(_)
                | StoreError::Clock { .. }
                | StoreError::NotShared(_)
                | StoreError::AlsoUsedBy { .. }
                | StoreError::Bypassed { .. } => Some(Exit::Refused),
                _ => None,
            }
        })
        .unwrap_or(Exit::Failed)
}

/// `tells`: the command itself says what a reader finds wrong. All others may go on without what was
/// moved to the quarantine, and only the log says that it was.
fn init_tracing(tells: bool) {
    use tracing_subscriber::EnvFilter;
    // fuser warns of every call that the traced view leaves to the kernel on purpose.
    let filter = match tells {
        false => "warn,fuser=error",
        true => "warn,fuser=error,kiln_cache::blob::reader=off",
    };
    let filter = EnvFilter::try_from_env("KILN_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let colours = std::io::stderr().is_terminal();
    let messages = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    messages.with_writer(std::io::stderr).init();
}
