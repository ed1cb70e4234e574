//! A bisection's record as text and JSON, for the command and for the service.

use kiln_bisect::boot::outcome::report_of;
use kiln_bisect::boot::said::without_payload;
use kiln_bisect::console::Patterns;
use kiln_bisect::log::{CrashText, git_log, syzkaller_log};
use kiln_bisect::record::{Bill, Record};
use kiln_cache::Store;
use kiln_cache::evidence::Outcome;
use serde_json::{Value, json};

/// Consoles that are looked into for the target's report, at most.
const CONSOLES: usize = 8;

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// As syzbot publishes it
    #[default]
    Syzkaller,
    /// For `git bisect replay`
    Git,
    /// Everything that was recorded
    Json,
}

/// A log, and what had to be left out of it.
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Why the crash is not in it, when its console was kept and can't be read.
    pub(crate) without_crash: Option<String>,
}

/// The log in a format. `patterns`: what the user says of crashes.
pub(crate) async fn render(
    store: &Store,
    record: &Record,
    format: Format,
    patterns: &Patterns,
) -> anyhow::Result<Rendered> {
    let mut without_crash = None;
    let text = match format {
        Format::Git => git_log(record),
        Format::Json => serde_json::to_string_pretty(&self::json(record))? + "\n",
        Format::Syzkaller => {
            // A record is worth having without one of its consoles.
            let crash = crash_text(store, record, patterns).await.unwrap_or_else(|error| {
                without_crash = Some(format!("{error:#}"));
                None
            });
            let crash = crash
                .as_ref()
                .map(|(title, text)| CrashText { title: title.as_str(), text: text.as_str() });
            syzkaller_log(record, crash)
        }
    };
    Ok(Rendered { text, without_crash })
}

/// The record with its answer and its bill.
pub(crate) fn json(record: &Record) -> Value {
    let (verdict, tested) = record.finish().unzip();
    json!({
        "id": record.id,
        "created": record.created,
        "find": record.header.find,
        "header": record.header,
        "good": record.good(),
        "releases": record.releases(),
        "target": record.header.title.as_deref().or(record.learned_title()),
        "answer": verdict,
        "probability_bad": tested,
        "bill": Bill::of(record),
        "events": record.events.iter().map(|(at, event)| json!({ "at": at, "event": event }))
            .collect::<Vec<_>>(),
    })
}

/// Title and oops of a run that showed the target, when its console was kept: the oops of that crash, and
/// not of another one which the console tells of, too. Where none can be told (a command's output, or a
/// title that other patterns gave), it is the first such console as a whole.
pub(crate) async fn crash_text(
    store: &Store,
    record: &Record,
    patterns: &Patterns,
) -> anyhow::Result<Option<(String, String)>> {
    let Some(target) = record.matcher() else { return Ok(None) };
    let runs = record.steps().flat_map(|step| &step.runs).filter_map(|run| match &run.outcome {
        Outcome::Crash { title } if target.is(title) => run.console.map(|c| (title, c)),
        _ => None,
    });
    let mut whole = None;
    for (title, digest) in runs.take(CONSOLES) {
        // Consoles are bounded when they are captured.
        let reader = store.reader(&digest).await?;
        let bytes = reader.read(0..reader.size()).await?;
        if let Some(report) = report_of(&bytes, title, patterns) {
            return Ok(Some((title.clone(), report)));
        }
        whole.get_or_insert_with(|| {
            (title.clone(), String::from_utf8_lossy(&without_payload(&bytes)).into_owned())
        });
    }
    Ok(whole)
}
