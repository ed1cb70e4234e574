//! `kiln bisect`: find the commit that brought a crash; and what was found before.

mod again;
mod audit;
pub(crate) mod candidates;
mod config;
pub(crate) mod dossier;
pub(crate) mod evidence;
mod import;
mod list;
mod mail;
mod question;
pub(crate) mod releases;
mod replay_check;
pub(crate) mod report;
mod simulate;
pub(crate) mod start;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Subcommand};
use kiln_bisect::console::Patterns;
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_cache::Store;

use super::build::{HowArgs, ShortcutArgs};
use super::common::{Context, answer, answer_json};
use super::logs::{self, Format};
use super::title_patterns::TitlePatterns;
use crate::terminal::exit::{self, Exit, Fault};
use crate::terminal::table::WIDTH;
use crate::terminal::text::wrapped;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = exit::HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go on with a bisection that was interrupted
    Resume {
        /// Its id, or the first digits of it
        id: String,
        #[command(flatten)]
        patterns: TitlePatterns,
        #[command(flatten)]
        shortcuts: ShortcutArgs,
    },
    /// The bisections of this store
    List,
    /// What was asked, seen and answered
    Show {
        /// Its id, or the first digits of it
        id: String,
    },
    /// The log, in a format that others read
    Log {
        /// Its id, or the first digits of it
        id: String,
        /// The format
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        #[command(flatten)]
        patterns: TitlePatterns,
    },
    /// The mail to the maintainers: culprit, evidence, what it changed, crash, reproducer, kernels
    Report {
        /// Its id, or the first digits of it
        id: String,
        /// Write a page for people instead, with nothing outside of the file; `-` for standard output
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        #[command(flatten)]
        patterns: TitlePatterns,
    },
    /// Find the options, of those that differ from a baseline, that a crash needs
    Config(Box<config::Args>),
    /// Make each decision of a bisection again from what the record says it was made from, and
    /// compare
    ReplayCheck {
        /// Its id, or the first digits of it
        id: String,
    },
    /// Play bisections of made-up histories: how often right, at what cost
    Simulate(simulate::Args),
    /// Read the log of a bisection that syzkaller made, and keep what it states
    Import(import::Args),
    /// Judge a bisection that syzkaller made, from its log: is the answer right, which step is in
    /// doubt, what to run next
    Audit(import::Args),
}

/// A new bisection.
#[derive(Debug, clap::Args)]
#[command(group(
    ArgGroup::new("configured").args(["config", "build_command"]).required(true).multiple(true)
))]
pub(super) struct Start {
    /// The kernel's git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) repo: PathBuf,
    /// What to find: the commit that brought the crash, or the one that ended it
    #[arg(long, value_enum, default_value_t)]
    pub(super) find: Find,
    /// A revision without the crash: an ancestor of the bad one, or with --find fix a descendant
    /// [default: looked for among the releases that the bad one descends from, by their tags]
    #[arg(long, value_name = "REV", required_if_eq("find", "fix"))]
    pub(super) good: Option<String>,
    /// A revision with the crash
    // Required but for the subcommands, hence the `Option`.
    #[arg(long, value_name = "REV", required = true)]
    pub(super) bad: Option<String>,
    /// The kernel configuration; completed with `make olddefconfig`
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) test: TestArgs,
    #[command(flatten)]
    pub(super) how: HowArgs,
    /// Build up to so many revisions side by side while machines run: what will probably be asked for
    /// next. It saves time where builds and machines have processors of their own, and costs builds
    /// that are of no use; on one computer's processors they would only slow each other down, so by
    /// default builds and runs take turns
    #[arg(long, value_name = "W", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=64))]
    pub(super) builders: u16,
    /// Before the commit is named, build and run the newer end without it
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) confirm: Option<Confirm>,
    /// Name a culprit at this probability
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = confidence)]
    pub(super) confidence: f64,
}

/// Options about how kernels are tested, and what that may cost; shared with `kiln bisect config`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("tested").args(["reproducer", "command"]).required(true)))]
pub(super) struct TestArgs {
    /// What provokes the crash: a C file (compiled statically) or a shell script, run in a
    /// virtual machine
    #[arg(long, value_name = "FILE")]
    pub(super) reproducer: Option<PathBuf>,
    /// Test with this shell command on the host, as `git bisect run` does: exit 0 is good, 1-124
    /// bad, 125 can't be tested. It finds the build in $KILN_ARTIFACTS, $KILN_BZIMAGE, $KILN_VMLINUX
    #[arg(long, value_name = "COMMAND")]
    pub(super) command: Option<String>,
    /// Hunt crashes whose title matches this regular expression
    /// [default: the title that the bad end shows most]
    #[arg(long, value_name = "PATTERN")]
    pub(super) title: Option<String>,
    #[command(flatten)]
    pub(super) patterns: TitlePatterns,
    /// Virtual machines, or commands, side by side [default: one machine a core; one command,
    /// since commands may share files]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) machines: Option<u16>,
    /// Seconds that a kernel has to reach the reproducer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) boot_timeout: u64,
    /// Seconds that the reproducer, or the command, may run
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) run_timeout: u64,
    /// Memory of a virtual machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(super) memory: u32,
    /// Processors of a virtual machine
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) cpus: u32,
    /// Stop, with what is known then, before taking longer than this: "4h", "90m", "1h30m"
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) budget: Option<f64>,
    /// Stop, with what is known then, before compiling more than this many revisions
    #[arg(long, value_name = "N")]
    pub(super) max_builds: Option<u32>,
    /// Stop, with what is known then, before making more than this many runs
    #[arg(long, value_name = "N")]
    pub(super) max_runs: Option<u32>,
}

/// [`kiln_bisect::belief::Find`], on the command line.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Find {
    /// The commit that brought the crash: the good end is the older one
    #[default]
    Cause,
    /// The commit that ended the crash: the bad end is the older one
    Fix,
}

/// How a commit is confirmed, beyond its parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Confirm {
    /// Undo it on top of the newer end
    Revert,
}

/// Seconds of "4h", "90m", "1h30m", "45s".
fn time(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is no time: write it like 4h, 90m, 1h30m or 45s");
    let (mut seconds, mut number) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            'd' => 86400.0,
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return Err(wrong()),
        };
        seconds += std::mem::take(&mut number).parse::<f64>().map_err(|_| wrong())? * unit;
    }
    if number.is_empty() && seconds > 0.0 { Ok(seconds) } else { Err(wrong()) }
}

fn confidence(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    match share {
        0.5..1.0 => Ok(share),
        _ => Err("give a share from 0.5 to less than 1, such as 0.95".into()),
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Some(Command::Resume { id, patterns, shortcuts }) => {
            start::resume(context, &id, &patterns, &shortcuts).await
        }
        Some(Command::List) => list::run(context).await,
        Some(Command::Show { id }) => {
            let store = context.open_existing().await?;
            let record = find(&store, &id).await?;
            if !context.json {
                answer(question::asked(&record));
                let why = question::why(&record);
                if !why.is_empty() {
                    answer(format_args!("\n{why}"));
                }
            }
            report::print(context, &record)
        }
        Some(Command::Log { id, format, patterns }) => {
            let patterns = patterns.read()?;
            let store = context.open_existing().await?;
            let record = find(&store, &id).await?;
            if context.json {
                answer_json(&logs::json(&record))?;
            } else {
                let log = logs::render(&store, &record, format, &patterns).await?;
                if let Some(why) = log.without_crash {
                    let note = format!("note: the crash is left out, its console is lost: {why}");
                    context.progress().line(wrapped(&note, WIDTH));
                }
                answer(log.text.trim_end());
            }
            Ok(Exit::Done)
        }
        Some(Command::Report { id, html, patterns }) => {
            let patterns = patterns.read()?;
            let store = context.open_existing().await?;
            let record = find(&store, &id).await?;
            mail(context, &store, &record, &patterns, html).await
        }
        Some(Command::Config(args)) => config::run(context, *args).await,
        Some(Command::ReplayCheck { id }) => replay_check::run(context, &id).await,
        Some(Command::Simulate(args)) => simulate::run(context, args).await,
        Some(Command::Import(args)) => import::run(context, args).await,
        Some(Command::Audit(args)) => audit::run(context, args).await,
        None => start::start(context, args.start).await,
    }
}

/// `kiln bisect report`.
async fn mail(
    context: &Context,
    store: &Store,
    record: &Record,
    patterns: &Patterns,
    html: Option<PathBuf>,
) -> anyhow::Result<Exit> {
    let dossier = dossier::gather(store, record, patterns).await?;
    if let Some(path) = html {
        let page = crate::pages::alone(record, &dossier);
        if path.as_os_str() == "-" {
            answer(page.into_string());
            return Ok(Exit::Done);
        }
        tokio::fs::write(&path, page.into_string())
            .await
            .with_context(|| format!("{} can't be written", path.display()))?;
        let written = serde_json::json!({ "file": path });
        match context.json {
            true => answer_json(&written)?,
            false => answer(format_args!("{}", path.display())),
        }
    } else if context.json {
        let text = mail::mail(record, &dossier);
        answer_json(&serde_json::json!({ "mail": text, "report": dossier }))?;
    } else {
        answer(mail::mail(record, &dossier).trim_end());
    }
    Ok(Exit::Done)
}

/// The bisection of an id or of its first digits.
pub(in crate::kiln) async fn find(store: &Store, id: &str) -> anyhow::Result<Record> {
    let all = store.journals(JOURNAL_KIND).await?;
    let matching: Vec<&str> = all
        .iter()
        .map(|journal| journal.id.as_str())
        .filter(|known| !id.is_empty() && known.starts_with(id))
        .collect();
    let id = match matching.as_slice() {
        [one] => *one,
        [] => return Err(unknown(store, id).await?),
        several => anyhow::bail!("'{id}' names several bisections: {}", several.join(", ")),
    };
    let journal = store.journal_read(id).await?.ok_or_else(|| {
        Fault::new(Exit::NotFound, format!("bisection {id} went away while it was read"))
    })?;
    Ok(Record::from_journal(journal)?)
}

/// Why an id names no bisection of this store.
async fn unknown(store: &Store, id: &str) -> anyhow::Result<anyhow::Error> {
    let logs = store.journals(import::JOURNAL_KIND).await?;
    let log = logs.iter().find(|log| !id.is_empty() && log.id.starts_with(id));
    let message = match log {
        Some(log) => format!(
            "{} is no bisection of Kiln's, but a log that was imported; `kiln bisect audit {0}` reads it",
            log.id
        ),
        None => format!("no bisection is known by '{id}'; see `kiln bisect list`"),
    };
    Ok(Fault::new(Exit::NotFound, message).into())
}

#[cfg(test)]
mod tests {
    use kiln_cache::{Location, Store};
    use serde_json::json;

    use super::{find, import, time};

    #[tokio::test]
    async fn an_imported_log_is_not_said_to_be_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let store = Store::open(&location).await.unwrap();
        store.journal_create("log-0123", import::JOURNAL_KIND, json!({})).await.unwrap();
        let error = find(&store, "log-01").await.unwrap_err().to_string();
        assert!(error.contains("`kiln bisect audit log-0123`"), "{error}");
        let error = find(&store, "02").await.unwrap_err().to_string();
        assert!(error.contains("no bisection is known by '02'"), "{error}");
    }

    #[test]
    fn times_are_read() {
        assert_eq!(time("4h"), Ok(14400.0));
        assert_eq!(time("1h30m"), Ok(5400.0));
        assert_eq!(time("0.5m"), Ok(30.0));
        for wrong in ["", "4", "h", "4x", "1h30", "-1h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
