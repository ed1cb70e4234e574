//! `kiln bisect list`: the bisections of this store, and the logs of others that it keeps.

use kiln_bisect::log::import::{Answer, Imported};
use kiln_bisect::record::{JOURNAL_KIND, Record};
use kiln_cache::Store;
use serde_json::{Value, json};

use super::import;
use crate::kiln::common::{Context, answer, answer_json, when};
use crate::terminal::exit::Exit;
use crate::terminal::table;

/// A line of the list.
struct Row {
    created: i64,
    id: String,
    answer: String,
    culprit: String,
    json: Value,
}

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    // No store is no bisection yet, and looking makes none.
    let mut rows = Vec::new();
    if !context.location()?.is_absent() {
        let store = context.open().await?;
        rows = own(&store).await?;
        rows.extend(imported(&store).await?);
    }
    rows.sort_by_key(|row| row.created);
    if context.json {
        answer_json(&rows.into_iter().map(|row| row.json).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        answer("no bisection yet; `kiln bisect --help` says how to start one");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| vec![row.id, when(row.created), row.answer, row.culprit])
        .collect();
    answer(table::render(&["id", "kept (UTC)", "answer", "culprit"], &rows, &[]).trim_end());
    Ok(Exit::Done)
}

async fn own(store: &Store) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for summary in store.journals(JOURNAL_KIND).await? {
        let Some(journal) = store.journal_read(&summary.id).await? else { continue };
        let record = Record::from_journal(journal)?;
        let verdict = record.finish().map(|(verdict, _)| verdict);
        let culprit = verdict.and_then(|verdict| verdict.culprit());
        rows.push(Row {
            created: record.created,
            id: record.id.clone(),
            answer: verdict.map_or("unfinished", |verdict| verdict.word()).to_owned(),
            culprit: culprit
                .map(|commit| format!("{} {}", commit.short(), commit.subject))
                .unwrap_or_default(),
            json: json!({
                "id": record.id,
                "imported": false,
                "created": record.created,
                "find": record.header.find,
                "good": record.header.good,
                "bad": record.header.bad,
                "answer": verdict,
            }),
        });
    }
    Ok(rows)
}

async fn imported(store: &Store) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for summary in store.journals(import::JOURNAL_KIND).await? {
        // One whose import was interrupted has nothing to show; importing it again mends it.
        let Some(log) = import::kept(store, &summary.id).await? else { continue };
        rows.push(Row {
            created: summary.created,
            answer: format!("{}, imported", log.answer.word()),
            culprit: culprit(&log),
            json: json!({
                "id": summary.id,
                "imported": true,
                "created": summary.created,
                "file": summary.header.get("file"),
                "log": import::stated(&log),
            }),
            id: summary.id,
        });
    }
    Ok(rows)
}

fn culprit(log: &Imported) -> String {
    match &log.answer {
        Answer::Culprit { commit, title } => {
            format!("{} {title}", commit.get(..12).unwrap_or(commit))
        }
        _ => String::new(),
    }
}
