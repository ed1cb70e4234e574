//! What every subcommand shares: the options about where things are, and how answers are printed.

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use kiln_cache::{Location, Store};

use crate::terminal::progress::Progress;

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct Context {
    /// Where builds and evidence are kept: a folder, or a file:// URL
    /// [default: kiln/store in the user's data directory]
    #[arg(long, global = true, env = "KILN_STORE", value_name = "URL")]
    store: Option<String>,
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

impl Context {
    /// Where the store is, as it would be given to `--store`.
    pub(crate) fn location(&self) -> anyhow::Result<Location> {
        match &self.store {
            Some(url) => Ok(Location::parse(url)?),
            None => {
                let folder = directories()?.data_dir().join("store");
                let text = folder.to_str().context("the user's data directory is not UTF-8")?;
                Ok(Location::parse(text)?)
            }
        }
    }

    /// Opens the store.
    pub(crate) async fn open(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.location()?).await?)
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

fn directories() -> anyhow::Result<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "kiln")
        .context("no home directory; say where things are with --store and --work")
}

/// Prints a line of the answer. A reader that has gone away is no error: `kiln … | head` ends.
pub(crate) fn answer(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints the answer as JSON.
pub(crate) fn answer_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    answer(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Seconds since 1970 as local people of the field write it: UTC, to the minute.
pub(crate) fn when(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
