//! `kiln gc` and `kiln pin`: what goes when the room is short, and what stays.

use std::path::PathBuf;

use anyhow::Context as _;
use kiln_cache::InputKey;
use kiln_cache::retention::{GcPhase, GcProgress, GcReport, Policy, Reason};

use super::common::{Context, answer, answer_json, when};
use super::pull::find_named;
use super::retention::{PolicyFile, Room, Wishes};
use crate::terminal::exit::Exit;
use crate::terminal::text::size;

/// The end of the help: the format of the file, by example.
pub(crate) const FORMAT: &str = "\
The file of --policy, all of it optional; the command line goes before it:
  quota = \"200G\"          # of all files together
  max-age = 180             # days since a build was last asked for
  debug-max-age = 30        # the same, for debug information alone
  keep-debug-info = false   # true: builds go whole, the longest unused first
  embargo = 24              # hours for uploads to end
  repo = \"/srv/linux.git\"  # where revisions and tags are looked up
  keep = []                 # revisions whose builds stay
  keep-tags = [\"v*\"]       # tags whose builds stay
  forget-ends = false       # true: ends of bisections are not kept
";

#[derive(Debug, clap::Args)]
#[command(after_help = FORMAT)]
pub(crate) struct Args {
    #[command(flatten)]
    file: PolicyFile,
    /// Say what would go, and why; remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Room that the files of the store may take: 500M, 20G. Until it is enough, debug information
    /// goes first (the kernels stay), then builds, the longest unused first
    #[arg(long, value_name = "SIZE", env = "KILN_QUOTA")]
    quota: Option<Room>,
    /// Remove builds that nobody has asked for in so many days
    #[arg(long, value_name = "DAYS", env = "KILN_MAX_AGE")]
    max_age: Option<u32>,
    /// Remove the debug information of builds that nobody has asked for in so many days
    #[arg(long, value_name = "DAYS")]
    debug_max_age: Option<u32>,
    /// Remove builds whole, and debug information no sooner
    #[arg(long)]
    keep_debug_info: bool,
    /// Keep the builds of these revisions: --keep $(git tag -l 'v*')
    #[arg(long, value_name = "REVISION", num_args = 1..)]
    keep: Vec<String>,
    /// The git repository in which names of revisions are looked up [default: this folder]
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Remove the builds of the ends of bisections, too
    #[arg(long)]
    forget_ends: bool,
    /// Hours for which files stay that no build names: their upload may be under way [default: 24]
    #[arg(long, value_name = "HOURS")]
    embargo: Option<u64>,
    /// The clock is right, although nobody seems to have used the store for more than a month
    #[arg(long)]
    trust_clock: bool,
    /// Collect nothing: only take away the say of a database that nobody uses any more
    #[arg(long, value_name = "ID")]
    forget_database: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    if let Some(id) = &args.forget_database {
        store.forget_database(id).await?;
        match context.json {
            true => answer_json(&serde_json::json!({ "forgotten": id }))?,
            false => answer(format_args!("forgotten  {id}")),
        }
        return Ok(Exit::Done);
    }
    let progress = context.progress();
    let (dry_run, trust_clock) = (args.dry_run, args.trust_clock);
    let file = args.file.read()?;
    let wishes = Wishes {
        quota: args.quota,
        max_age: args.max_age,
        debug_max_age: args.debug_max_age,
        keep_debug_info: args.keep_debug_info,
        embargo: args.embargo,
        repo: args.repo,
        keep: args.keep,
        keep_tags: Vec::new(),
        forget_ends: args.forget_ends,
    };
    let policy = Policy { dry_run, trust_clock, ..wishes.or(file).policy(&store).await? };
    let tell = |at: GcProgress| match at.phase {
        GcPhase::Looking => progress.status("looking at what is needed"),
        GcPhase::Builds => progress.counted_status("removing builds", at.done, at.total),
        GcPhase::Blobs => progress.counted_status("removing files", at.done, at.total),
    };
    let report = store.collect(&policy, &tell).await;
    progress.clear();
    let report = report?;
    if context.json {
        answer_json(&report)?;
    } else {
        print(&report);
    }
    Ok(Exit::Done)
}

/// A reason, for people.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Age => "unused for too long",
        Reason::Quota => "over the quota",
    }
}

fn print(report: &GcReport) {
    let verb = if report.dry_run { "would go" } else { "gone" };
    for file in &report.let_go {
        answer(format_args!(
            "debug info {}  {}  {}, {} free, {}",
            &file.build.to_string()[..12],
            file.commit.get(..12).unwrap_or(&file.commit),
            file.name,
            size(file.freed),
            why(file.reason)
        ));
    }
    for gone in &report.gone {
        answer(format_args!(
            "build      {}  {}  last used {}, {}",
            &gone.build.to_string()[..12],
            gone.commit.get(..12).unwrap_or(&gone.commit),
            when(gone.last_use),
            why(gone.reason)
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
    if report.aside_bytes + report.aside_freed > 0 {
        answer(format_args!(
            "beside     {} in the quarantine and in copies of images; {verb}: {}",
            size(report.aside_bytes),
            size(report.aside_freed)
        ));
    }
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
        let (_, manifest) = find_named(&store, build, &args.repo).await?;
        store.pin(&manifest.input_key, !args.remove).await.context("can't pin it")?;
    }
    let mut pins: Vec<InputKey> = store.pins().await?.into_iter().collect();
    pins.sort_unstable();
    if context.json {
        answer_json(&pins)?;
    } else if pins.is_empty() {
        answer("nothing is pinned");
    } else {
        pins.iter().for_each(answer);
    }
    Ok(Exit::Done)
}
