//! `kiln gc` and `kiln pin`: what goes when the room is short, and what stays.

use std::path::PathBuf;

use anyhow::Context as _;
use kiln_cache::retention::{GcPhase, GcProgress, GcReport, Gone, LetGo, MostGo, Policy, Reason};
use kiln_cache::{BuildFilter, InputKey, ListedBuild};

use super::common::{Context, answer, answer_json, when};
use super::pull::find_named;
use super::retention::{PolicyFile, Room, Wishes};
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table::render;
use crate::terminal::text::size;

/// The end of the help: the format of the file, by example.
pub(crate) const FORMAT: &str = "\
The file of --policy, all of it optional; the command line goes before it:
  quota = \"200G\"          # of all files together
  max-age = 180             # days since a build was last asked for
  debug-max-age = 30        # the same, for debug information alone
  most-may-go = false       # true: more than half of the builds may go for the quota
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
    /// Let more than half of the builds go, if the quota asks for it; otherwise none goes for it then
    #[arg(long)]
    most_may_go: bool,
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
        most_may_go: args.most_may_go,
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
        answer(text(&report, policy.quota));
    }
    match report.refused {
        Some(most) => Err(Fault::new(Exit::Refused, refusal(&most)).into()),
        None => Ok(Exit::Done),
    }
}

/// Why no build goes for a quota, and the ways out.
pub(crate) fn refusal(most: &MostGo) -> String {
    let MostGo { quota, builds, going, half, half_frees, all_free, smallest } = *most;
    let (others, rest) = (going - half, all_free.saturating_sub(half_frees));
    // When each of the first frees far less than each of the others, these share something.
    let shared = match u128::from(half_frees) * u128::from(others) * 2
        < u128::from(rest) * u128::from(half)
    {
        true => "; what several share stays until the last of them has gone",
        false => "",
    };
    format!(
        "no build goes for the quota: for {} {going} of {builds} builds would, more than half. The \
         first {half} free {}, the others {}{shared}. --quota {smallest} removes no more than half; \
         or let them go: --most-may-go (in the file of --policy: most-may-go = true)",
        size(quota),
        size(half_frees),
        size(rest)
    )
}

/// A reason, for people.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Age => "unused for too long",
        Reason::Quota => "over the quota",
    }
}

/// What a collection says, for people: the files and builds that go, each with what it frees and why, and
/// then the sums. The rehearsal's text is the collection's but for the tense.
fn text(report: &GcReport, quota: Option<u64>) -> String {
    let verb = if report.dry_run { "would go" } else { "went" };
    let mut parts = Vec::new();
    let names = |build: InputKey, commit: &str| {
        [format!("{:.12}", build.to_string()), format!("{commit:.12}")]
    };
    if !report.let_go.is_empty() {
        let row = |file: &LetGo| {
            let [build, commit] = names(file.build, &file.commit);
            vec![build, commit, file.name.clone(), size(file.freed), why(file.reason).into()]
        };
        let rows: Vec<_> = report.let_go.iter().map(row).collect();
        parts.push(render(&["build", "commit", "debug information", "frees", "why"], &rows, &[3]));
    }
    if !report.gone.is_empty() {
        let row = |gone: &Gone| {
            let [build, commit] = names(gone.build, &gone.commit);
            vec![build, commit, when(gone.last_use), size(gone.freed), why(gone.reason).into()]
        };
        let rows: Vec<_> = report.gone.iter().map(row).collect();
        parts.push(render(&["build", "commit", "last used (UTC)", "frees", "why"], &rows, &[3]));
    }
    parts.push(sums(report, quota, verb));
    parts.join("\n")
}

/// What a collection comes to, a line each.
fn sums(report: &GcReport, quota: Option<u64>, verb: &str) -> String {
    let gone = report.gone.len() as u64;
    let mut lines = vec![format!(
        "builds     {}: {gone} {verb}, {} stay, {} of them kept by name",
        report.builds,
        report.builds.saturating_sub(gone),
        report.kept_by_name
    )];
    if !report.let_go.is_empty() {
        lines.push(format!("debug info {} {verb}, the builds stay", report.let_go.len()));
    }
    lines.push(format!(
        "files      {} in {}: {} {verb}, {} free",
        report.blobs,
        size(report.bytes),
        report.freed_blobs,
        size(report.freed_bytes)
    ));
    if report.aside_bytes + report.aside_freed > 0 {
        lines.push(format!(
            "beside     {} of quarantine and copies of images {verb}, {} stay",
            size(report.aside_freed),
            size(report.aside_bytes)
        ));
    }
    let left = report.bytes.saturating_sub(report.freed_bytes) + report.aside_bytes;
    let of = quota.map(|quota| format!(", of a quota of {}", size(quota))).unwrap_or_default();
    lines.push(format!("left       {}{of}", size(left)));
    if report.embargoed > 0 {
        lines.push(format!(
            "embargoed  {} of files that no build names yet: an upload may be about to",
            report.embargoed
        ));
    }
    if report.above_quota > 0 && report.refused.is_none() {
        lines.push(format!(
            "still {} over the quota: the rest is kept by name, embargoed, or of runs",
            size(report.above_quota)
        ));
    }
    lines.join("\n")
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
        let mut each = |build: ListedBuild| {
            let commit = build.told_commit().unwrap_or("no commit was told");
            answer(format_args!("{:.16}  {commit}", build.input_key.to_string()));
        };
        let pinned = BuildFilter { pinned: true, ..BuildFilter::default() };
        store.list(&pinned, u64::MAX, &mut each).await?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use kiln_cache::Digest;

    use super::*;
    use crate::terminal::table::WIDTH;

    fn report(dry_run: bool) -> GcReport {
        let build = InputKey(Digest::of(b"build"));
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let name = "vmlinux".to_owned();
        let (digest, size, freed) = (Digest::of(b"file"), 400_000_000, 123_400_000);
        GcReport {
            dry_run,
            builds: 12_345,
            kept_by_name: 1_234,
            gone: vec![Gone {
                build,
                commit: commit.clone(),
                last_use: 0,
                freed: 812_300_000,
                reason: Reason::Age,
            }],
            let_go: vec![LetGo { build, commit, name, digest, size, freed, reason: Reason::Quota }],
            blobs: 123_456,
            bytes: 300_000_000_000,
            freed_blobs: 12_345,
            freed_bytes: 100_000_000_000,
            embargoed: 123_456,
            aside_bytes: 456_700_000,
            aside_freed: 345_600_000,
            refused: None,
            above_quota: 456_700_000,
        }
    }

    #[test]
    fn the_rehearsal_says_what_the_collection_says_within_80_columns() {
        let (would, went) = [true, false].map(|it| text(&report(it), Some(200_000_000_000))).into();
        assert_eq!(would.replace("would go", "went"), went);
        assert!(would.lines().all(|line| line.chars().count() <= WIDTH), "{would}");
        for said in [
            "1970-01-01 00:00  812.3 MB  unused for too long",
            "builds     12345: 1 would go, 12344 stay, 1234 of them kept by name",
            "left       200.5 GB, of a quota of 200.0 GB",
            "still 456.7 MB over the quota",
        ] {
            assert!(would.contains(said), "{said}: {would}");
        }
    }

    #[test]
    fn what_is_shared_is_told_of_where_it_is_why_so_little_goes() {
        let most = MostGo {
            quota: 60_000_000,
            builds: 10,
            going: 8,
            half: 5,
            half_frees: 5_000_000,
            all_free: 95_000_000,
            smallest: 95_123_456,
        };
        let said = refusal(&most);
        for words in
            ["for 60.0 MB 8 of 10", "first 5 free 5.0 MB, the others 90.0 MB; what", "95123456"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
        let alone = refusal(&MostGo { half_frees: 50_000_000, all_free: 80_000_000, ..most });
        assert!(alone.contains("the others 30.0 MB. --quota"), "{alone}");
    }

    #[test]
    fn nothing_that_is_not_is_told() {
        let report = GcReport { builds: 3, blobs: 9, bytes: 5_000, ..GcReport::default() };
        let said = "builds     3: 0 went, 3 stay, 0 of them kept by name\n\
                    files      9 in 5.0 kB: 0 went, 0 B free\n\
                    left       5.0 kB";
        assert_eq!(text(&report, None), said);
    }
}
