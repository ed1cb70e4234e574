//! `kiln bisect import`: read another tool's log, and keep it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_bisect::log::import::{Answer, Imported, Mark, Role, Tested, read};
use kiln_cache::{Digest, Store, StoreError};
use serde_json::{Value, json};

use crate::kiln::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::table;
use crate::terminal::text::{duration, labelled};

/// Kind of the journals that hold imported logs.
pub(super) const JOURNAL_KIND: &str = "imported-bisection";

/// Largest log that is read: the largest known are below 1 MB.
const LARGEST: u64 = 256 << 20;

/// Bisection logs of another tool.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The logs, as syzbot publishes them; `-` for standard input; for an audit also the id of one
    /// that was imported
    #[arg(value_name = "LOG", required = true)]
    pub(super) logs: Vec<PathBuf>,
}

/// A log that was read, and its bytes.
pub(super) struct Source {
    pub(super) log: Imported,
    digest: Digest,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open().await?;
    let mut all = Vec::new();
    let (mut failed, several) = (0, args.logs.len() > 1);
    for path in &args.logs {
        let source = match open(path).await {
            Ok(source) => source,
            Err(error) if several => {
                failed += 1;
                complain(context, &mut all, path, &error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let (id, known) = keep(&store, path, &source).await?;
        let log = &source.log;
        if context.json {
            let mut one = stated(log);
            one["file"] = json!(path);
            one["id"] = json!(id);
            one["known_already"] = json!(known);
            one["evidence_kept"] = json!(false);
            one["tests"] = json!(log.tests);
            all.push(one);
            continue;
        }
        let again = if known { " (known already)" } else { "" };
        if several {
            answer(format_args!("{id}  {}{again}: {}", path.display(), result(log)));
            unread(log);
            continue;
        }
        summary(log);
        let rows: Vec<Vec<String>> = log.tests.iter().map(row).collect();
        let heading = ["commit", "log says", "crash", "ok", "other", "what"];
        answer(format_args!("\n{}", table::render(&heading, &rows, &[2, 3, 4])));
        answer(labelled("record", &format!("{id} in {}{again}", context.location()?)));
        answer(labelled(
            "",
            "Its runs are no evidence for bisections here: a log names neither the reproducer nor \
             the image by Kiln's signature, so nothing proves that they are of the same test.",
        ));
    }
    if context.json {
        print(all, several)?;
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

/// Prints one answer, or the list of several.
pub(super) fn print(mut all: Vec<Value>, several: bool) -> anyhow::Result<()> {
    match (several, all.pop()) {
        (false, Some(one)) => answer_json(&one),
        (_, last) => {
            all.extend(last);
            answer_json(&all)
        }
    }
}

/// Says that one of several logs can't be read; the others are.
pub(super) fn complain(
    context: &Context,
    all: &mut Vec<Value>,
    path: &Path,
    error: &anyhow::Error,
) {
    if context.json {
        all.push(json!({ "file": path, "unreadable": format!("{error:#}") }));
    } else {
        answer(format_args!("{}: {error:#}", path.display()));
    }
}

/// Reads a log from a file or from standard input.
pub(super) async fn open(path: &Path) -> anyhow::Result<Source> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let bytes = bytes_of(&path)?;
        let log = read(&bytes);
        if log.start.is_empty() && log.tests.is_empty() {
            anyhow::bail!("'{}' is no bisection log of syzkaller's", path.display());
        }
        Ok(Source { log, digest: Digest::of(&bytes) })
    })
    .await?
}

fn bytes_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let name = path.display();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("can't open '{name}'"))?;
        file.take(LARGEST + 1).read_to_end(&mut bytes)
    }
    .with_context(|| format!("can't read '{name}'"))?;
    anyhow::ensure!(bytes.len() as u64 <= LARGEST, "'{name}' is larger than any log: 256 MiB");
    Ok(bytes)
}

/// Writes a log to a journal of the store. Returns its id, and whether it was there already: a
/// log's id is the beginning of its digest, so importing it again does nothing.
async fn keep(store: &Store, path: &Path, source: &Source) -> anyhow::Result<(String, bool)> {
    let id = format!("log-{}", &source.digest.to_hex()[..16]);
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let header = json!({ "file": file, "digest": source.digest });
    match store.journal_create(&id, JOURNAL_KIND, header).await {
        Ok(()) => {}
        // An interrupted import may have left it without the log.
        Err(StoreError::JournalExists(_)) => {
            let journal = store.journal_read(&id).await?;
            if journal.is_some_and(|journal| !journal.events.is_empty()) {
                return Ok((id, true));
            }
        }
        Err(error) => return Err(error.into()),
    }
    store.journal_append(&id, serde_json::to_value(&source.log)?).await?;
    Ok((id, false))
}

/// An imported log of the store; none when its import was interrupted or it is not known.
pub(super) async fn kept(store: &Store, id: &str) -> anyhow::Result<Option<Imported>> {
    let journal = store.journal_read(id).await?.filter(|journal| journal.kind == JOURNAL_KIND);
    let Some(entry) = journal.and_then(|journal| journal.events.into_iter().next()) else {
        return Ok(None);
    };
    let log = serde_json::from_value(entry.event)
        .with_context(|| format!("the imported log {id} can't be read; import it again"))?;
    Ok(Some(log))
}

/// What the log states, for JSON.
pub(super) fn stated(log: &Imported) -> Value {
    let totals = log.totals;
    let candidates: &[String] = match &log.answer {
        Answer::Inconclusive { commits } => commits,
        _ => &[],
    };
    let message = match &log.answer {
        Answer::Error { message } => Some(message),
        _ => None,
    };
    let title = match &log.answer {
        Answer::Culprit { title, .. } => Some(title),
        _ => None,
    };
    json!({
        "searches": if log.fix { "fix" } else { "cause" },
        "start": log.start,
        "revisions_tested": log.revisions(),
        "revisions_counted": log.counted(),
        "build_seconds": totals.map(|totals| totals.build_seconds),
        "test_seconds": totals.map(|totals| totals.test_seconds),
        "total_seconds": totals.map(|totals| totals.total_seconds),
        "result": log.answer.word(),
        "culprit": log.answer.culprit(),
        "culprit_title": title,
        "candidates": candidates,
        "error": message,
        "last_crash": log.crash_title,
        "lines": log.lines,
        "unrecognised_lines": log.unrecognised.len(),
        "unrecognised": log.unrecognised,
    })
}

/// The head of a report: what was asked, spent and answered.
pub(super) fn summary(log: &Imported) {
    let what = if log.fix { "fix" } else { "cause" };
    let start = log.start.get(..12).unwrap_or(&log.start);
    answer(labelled("log", &format!("bisection for the {what} from {start}, {} lines", log.lines)));
    let revisions = log.revisions();
    let spent = match log.totals {
        Some(totals) => format!(
            "{revisions} revisions in {} (builds {}, tests {})",
            duration(totals.total_seconds),
            duration(totals.build_seconds),
            duration(totals.test_seconds),
        ),
        None => format!("{revisions} revisions; the log breaks off before its bill"),
    };
    answer(labelled("spent", &spent));
    answer(labelled("answer", &result(log)));
    unread(log);
}

/// The answer of a log in words.
pub(super) fn result(log: &Imported) -> String {
    match &log.answer {
        Answer::Culprit { commit, title } => {
            format!("{} {title}", commit.get(..12).unwrap_or(commit))
        }
        Answer::Inconclusive { commits } => {
            format!("inconclusive: one of {} commits", commits.len())
        }
        Answer::BeyondRange if log.fix => "the crash is not fixed yet".into(),
        Answer::BeyondRange => "the oldest release tested shows the crash too".into(),
        Answer::Error { message } => {
            format!("none: {}", message.lines().next().unwrap_or_default())
        }
        Answer::Unfinished => "none: the log breaks off".into(),
    }
}

/// Says what could not be read.
fn unread(log: &Imported) {
    if !log.unrecognised.is_empty() {
        let first = &log.unrecognised[0];
        answer(labelled(
            "not read",
            &format!("{} lines; the first, {}: {}", log.unrecognised.len(), first.line, first.text),
        ));
    }
}

/// What a log calls a revision.
pub(super) fn word(mark: Option<Mark>) -> &'static str {
    match mark {
        Some(Mark::Good) => "good",
        Some(Mark::Bad) => "bad",
        Some(Mark::Skip) => "skip",
        None => "",
    }
}

fn row(test: &Tested) -> Vec<String> {
    let counts = &test.counts;
    let crashes: u32 = counts.crashes.values().sum();
    let what = match test.role {
        _ if test.counts.total() == 0 && !test.errors.is_empty() => test.errors[0].clone(),
        Role::Parent => "parent of the culprit, built only".into(),
        Role::Config => "with another configuration".into(),
        Role::Start if test.title.is_empty() => "the start".into(),
        _ => test.title.clone(),
    };
    vec![
        test.commit.get(..12).unwrap_or(&test.commit).to_owned(),
        word(test.mark).to_owned(),
        crashes.to_string(),
        counts.ok.to_string(),
        (counts.total() - crashes - counts.ok).to_string(),
        what,
    ]
}
