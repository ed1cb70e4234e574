//! `kiln gc` and `kiln pin`: what goes when the room is short, and what stays.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Context as _;
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_builder::Repository;
use kiln_cache::retention::{GcReport, Policy, Reason};
use kiln_cache::{InputKey, Store};

use super::common::{Context, answer, answer_json, when};
use super::pull::{find, selector};
use crate::terminal::exit::Exit;
use crate::terminal::text::size;

/// Hours in which an upload must have ended.
const EMBARGO: u64 = 24;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would go, and why; remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Room that the files of the store may take: 500M, 20G; builds go until it is enough, the
    /// longest unused first
    #[arg(long, value_name = "SIZE", env = "KILN_QUOTA", value_parser = bytes)]
    quota: Option<u64>,
    /// Remove builds that nobody has asked for in so many days
    #[arg(long, value_name = "DAYS", env = "KILN_MAX_AGE")]
    max_age: Option<u32>,
    /// Keep the builds of these revisions: --keep $(git tag -l 'v*')
    #[arg(long, value_name = "REVISION", num_args = 1..)]
    keep: Vec<String>,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Remove the builds of the ends of bisections, too
    #[arg(long)]
    forget_ends: bool,
    /// Hours for which files stay that no build names: their upload may be under way
    #[arg(long, value_name = "HOURS", default_value_t = EMBARGO)]
    embargo: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let mut keep_commits = kept(&args)?;
    if !args.forget_ends {
        keep_commits.extend(ends(&store).await?);
    }
    let progress = context.progress();
    progress.status("looking at what is needed");
    let policy = Policy {
        quota: args.quota,
        max_age: args.max_age.map(|days| i64::from(days) * 24 * 3600),
        embargo: i64::try_from(args.embargo.saturating_mul(3600)).unwrap_or(i64::MAX),
        keep_commits,
        dry_run: args.dry_run,
    };
    let report = store.gc(&policy).await;
    progress.clear();
    let report = report?;
    if context.json {
        answer_json(&report)?;
    } else {
        print(&report);
    }
    Ok(Exit::Done)
}

fn print(report: &GcReport) {
    let verb = if report.dry_run { "would go" } else { "gone" };
    for gone in &report.gone {
        let why = match gone.reason {
            Reason::Age => "unused for too long",
            Reason::Quota => "over the quota",
        };
        answer(format_args!(
            "build      {}  {}  last used {}, {why}",
            &gone.build.to_string()[..12],
            gone.commit.get(..12).unwrap_or(&gone.commit),
            when(gone.last_use)
        ));
    }
    answer(format_args!(
        "builds     {}, {} {verb}, {} kept by name",
        report.builds,
        report.gone.len(),
        report.kept_by_name
    ));
    answer(format_args!(
        "blobs      {}, {}; {verb}: {}, {}",
        report.blobs,
        size(report.bytes),
        report.freed_blobs,
        size(report.freed_bytes)
    ));
    if report.embargoed > 0 {
        answer(format_args!(
            "embargoed  {} blobs that no build names yet: an upload may be about to",
            report.embargoed
        ));
    }
    if report.above_quota > 0 {
        answer(format_args!(
            "still {} over the quota: everything else is kept by name or embargoed",
            size(report.above_quota)
        ));
    }
}

/// The commits that the command line keeps.
fn kept(args: &Args) -> anyhow::Result<HashSet<String>> {
    if args.keep.is_empty() {
        return Ok(HashSet::new());
    }
    let repository = Repository::open(&args.repo)?;
    args.keep.iter().map(|name| Ok(repository.resolve(name)?.commit)).collect()
}

/// The ends of all bisections: whoever goes on with one needs their builds first.
async fn ends(store: &Store) -> anyhow::Result<HashSet<String>> {
    let mut ends = HashSet::new();
    for summary in store.journals(JOURNAL_KIND).await? {
        let Some(journal) = store.journal_read(&summary.id).await? else { continue };
        // A record of another version names no ends that are known here.
        if let Ok(record) = Record::from_journal(journal) {
            ends.extend([record.header.good.id, record.header.bad.id]);
        }
    }
    Ok(ends)
}

/// Reads `1500`, `20G`, `500 MiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    let scale: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("'{unit}' is no unit: use k, M, G, T, or KiB to TiB")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("'{text}' is no size"))?;
    if !(number.is_finite() && number >= 0.0) {
        return Err(format!("'{text}' is no size"));
    }
    Ok((number * scale as f64) as u64)
}

#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    /// The build, by any of its names; without one, the pinned builds are listed
    build: Option<String>,
    /// Let it go again
    #[arg(long, requires = "build")]
    remove: bool,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

pub(crate) async fn pin(context: &Context, args: PinArgs) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    if let Some(build) = &args.build {
        let manifest = find(&store, &selector(build, &args.repo)?).await?;
        store.pin(&manifest.input_key, !args.remove).await.context("can't pin it")?;
    }
    let mut pins: Vec<InputKey> = store.pins().await?.into_iter().collect();
    pins.sort_unstable();
    if context.json {
        answer_json(&pins)?;
    } else {
        pins.iter().for_each(answer);
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("1500", 1500),
            ("20G", 20_000_000_000),
            ("1.5 MiB", 1_572_864),
            ("3kb", 3000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "G", "-1", "5 bananas", "nan", "1e999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
