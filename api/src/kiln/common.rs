//! What every subcommand shares: the options about where things are, and how answers are printed.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;
use kiln_cache::remote::Timeouts;
use kiln_cache::{Database, Digest, Location, Remote, Store};

use crate::terminal::exit::{Exit, Fault};
use crate::terminal::progress::Progress;
use crate::terminal::text::harmless;

/// The variable with the token for a remote Kiln.
const TOKEN: &str = "KILN_TOKEN";

/// The variable with the address of a remote Kiln.
const REMOTE: &str = "KILN_REMOTE";

/// The Kiln at an address, asked with the token in `KILN_TOKEN`, if there is one.
pub(crate) fn remote(url: &str, timeouts: Timeouts) -> anyhow::Result<Remote> {
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    Ok(Remote::with_token(url, timeouts, token.as_deref())?)
}

/// Ends at Ctrl-C, SIGTERM or SIGHUP (the terminal was closed); at once, with an error, where these
/// can't be listened for.
pub(crate) async fn told_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    // Listening for a signal ends its being ignored, which `nohup` asks for.
    let mut hang_up = (!ignores_hang_up()).then(|| signal(SignalKind::hangup())).transpose()?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = terminate.recv() => (),
        Some(_) = async { hang_up.as_mut()?.recv().await } => (),
    }
    Ok(())
}

/// Whether this process was started with SIGHUP ignored (proc_pid_status(5), "SigIgn").
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first bit is of signal 1, which is SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Context {
    /// Where builds are kept: a folder, or the URL of a bucket: s3://BUCKET/PREFIX, gs://… or
    /// az://CONTAINER/… [default: kiln/store in the user's data directory]
    #[arg(long, global = true, env = "KILN_STORE", value_name = "URL")]
    store: Option<String>,
    /// Whether `--store` stands on the command line.
    #[arg(skip)]
    chosen: bool,
    /// Whether `--database` does.
    #[arg(skip)]
    chosen_database: bool,
    /// Where the index, evidence and records are kept: postgres://USER@HOST/NAME, which several
    /// machines can share, or sqlite:///FILE [default: a file in the store's folder, or beside
    /// the copies of a bucket]
    #[arg(long, global = true, env = "KILN_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<String>,
    /// A bucket's copies on this machine
    /// [default: below kiln/buckets in the user's data directory]
    #[arg(long, global = true, env = "KILN_LOCAL", value_name = "DIR")]
    local: Option<PathBuf>,
    /// How much of a bucket is copied to this machine at most, in MiB; 0 for nothing
    #[arg(
        long,
        global = true,
        env = "KILN_LOCAL_SIZE",
        value_name = "MIB",
        default_value_t = 4096
    )]
    local_size: u64,
    /// Where sources and objects are kept warm [default: kiln/work in the user's cache directory]
    #[arg(long, global = true, env = "KILN_WORK", value_name = "DIR")]
    work: Option<PathBuf>,
    /// Print the answer as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress on standard error
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// Opens a store that is there; `way_out` ends the message when it is not.
pub(crate) async fn open_existing(location: &Location, way_out: &str) -> anyhow::Result<Store> {
    if location.is_absent() {
        let message = format!("there is no store at {location}; {way_out}");
        return Err(Fault::new(Exit::NotFound, message).into());
    }
    Ok(Store::open(location).await?)
}

impl Context {
    /// As the command line `matches` it.
    pub(crate) fn with_sources(self, matches: &clap::ArgMatches) -> Self {
        let stands = |option: &str| {
            matches.value_source(option) == Some(clap::parser::ValueSource::CommandLine)
        };
        Self { chosen: stands("store"), chosen_database: stands("database"), ..self }
    }

    /// The options about the store that stand on the command line, each with its value: other commands about
    /// it need them, too. A database with a password in its address is left out.
    pub(crate) fn given(&self) -> Vec<Vec<String>> {
        let option = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| vec![name.to_owned(), value.clone()])
        };
        let password = |url: &String| {
            let user = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            user.is_some_and(|(user, _)| user.contains(':'))
        };
        let store = self.store.clone().filter(|_| self.chosen);
        let database = self.database.clone().filter(|url| self.chosen_database && !password(url));
        option("--store", &store).into_iter().chain(option("--database", &database)).collect()
    }

    /// Where the store is, as it would be given to `--store`.
    pub(crate) fn location(&self) -> anyhow::Result<Location> {
        let default;
        let place = match &self.store {
            Some(url) => url,
            None => {
                let folder = directories()?.data_dir().join("store");
                default =
                    folder.to_str().context("the user's data directory is not UTF-8")?.to_owned();
                &default
            }
        };
        self.at(place, self.database.as_deref(), self.local.as_deref())
    }

    /// Where another store is, as `--store` and `--database` would say it.
    pub(crate) fn place(&self, url: &str, database: Option<&str>) -> anyhow::Result<Location> {
        self.at(url, database, None)
    }

    fn at(
        &self,
        url: &str,
        database: Option<&str>,
        local: Option<&Path>,
    ) -> anyhow::Result<Location> {
        let mut location = Location::parse_with(url, &bucket_options())?;
        if location.is_bucket() {
            let local = match local {
                Some(folder) => folder.to_owned(),
                None => beside(&location)?,
            };
            location = location.with_local(local, self.local_size << 20);
        }
        Ok(match database {
            Some(url) => location.with_database(Database::parse(url)?),
            None => location,
        })
    }

    /// Opens the store.
    pub(crate) async fn open(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.location()?).await?)
    }

    /// Opens a store that is there: who only looks makes none.
    pub(crate) async fn open_existing(&self) -> anyhow::Result<Store> {
        open_existing(&self.location()?, "--store says where one is").await
    }

    /// The remote Kiln that an option names, or else [`REMOTE`]: unless the command line names a
    /// store, and thereby whom it means.
    pub(crate) fn remote(&self, option: Option<&str>) -> Option<String> {
        let variable = || std::env::var(REMOTE).ok().filter(|url| !url.is_empty() && !self.chosen);
        option.map(str::to_owned).or_else(variable)
    }

    /// The folder of the warm pairs.
    pub(crate) fn work(&self) -> anyhow::Result<PathBuf> {
        match &self.work {
            Some(folder) => Ok(folder.clone()),
            None => Ok(directories()?.cache_dir().join("work")),
        }
    }

    /// Progress for this command.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.quiet)
    }
}

/// The folder of this machine beside a bucket: one for each, named so that people know it.
fn beside(bucket: &Location) -> anyhow::Result<PathBuf> {
    let url = bucket.to_string();
    let name = url.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let name: String = name.chars().take(60).collect();
    let digest = Digest::of(url.as_bytes());
    Ok(directories()?.data_dir().join("buckets").join(format!("{name}-{}", digest.short())))
}

/// What the tools of each kind of bucket read from the environment: address, credentials, region.
fn bucket_options() -> Vec<(String, String)> {
    let kinds = ["AWS_", "AZURE_", "GOOGLE_"];
    std::env::vars().filter(|(name, _)| kinds.iter().any(|kind| name.starts_with(kind))).collect()
}

fn directories() -> anyhow::Result<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "kiln")
        .context("no home directory; say where things are with --store and --work")
}

/// Prints a line of the answer, or several: [`harmless`] ones, whatever is in them. A reader that
/// has gone away is no error: `kiln … | head` ends. What else hinders it is told at the end, by
/// [`lost_answer`].
pub(crate) fn answer(line: impl Display) {
    match writeln!(std::io::stdout().lock(), "{}", harmless(&line.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => _ = LOST.set(error),
        _ => {}
    }
}

/// Why a line of the answer could not be printed: a full disk, say.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// An error when a part of the answer could not be printed.
pub(crate) fn lost_answer() -> anyhow::Result<()> {
    match LOST.get() {
        Some(error) => anyhow::bail!("the answer could not be written whole: {error}"),
        None => Ok(()),
    }
}

/// Prints the answer as JSON.
pub(crate) fn answer_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    answer(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The day of a time in seconds since 1970, in UTC.
pub(crate) fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

/// Seconds since 1970 as local people of the field write it: UTC, to the minute.
pub(crate) fn when(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
