//! `kiln bisect list`: the bisections of this store, and the logs of others that it keeps.

use std::collections::HashSet;
use std::path::Path;

use kiln_bisect::log::import::{Answer, Imported};
use kiln_bisect::record::{Commit, JOURNAL_KIND, Record};
use kiln_cache::Store;
use kiln_cache::journal::JournalSummary;
use serde_json::{Value, json};

use super::import;
use super::report::{named, process};
use crate::kiln::common::{Context, answer, answer_json, when};
use crate::terminal::exit::Exit;
use crate::terminal::table;

/// A line of the list.
struct Row {
    created: i64,
    id: String,
    /// The ends that were searched between, or the one that is known.
    range: String,
    answer: String,
    culprit: String,
    json: Value,
}

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let mut rows = own(&store, context.work().ok().as_deref()).await?;
    rows.extend(imported(&store).await?);
    rows.sort_by_key(|row| row.created);
    if context.json {
        answer_json(&rows.into_iter().map(|row| row.json).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        answer("no bisection yet; `kiln bisect --help` says how to start one");
        return Ok(Exit::Done);
    }
    // Logs are asked for by the whole name.
    let is_own = |row: &&Row| row.json["imported"] == json!(false);
    let own: Vec<&str> = rows.iter().filter(is_own).map(|row| row.id.as_str()).collect();
    let digits = distinct(&own);
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let cut = row.id.get(..digits).filter(|_| is_own(&&row));
            let id = cut.unwrap_or(&row.id).to_owned();
            vec![id, when(row.created), row.range, row.answer, row.culprit]
        })
        .collect();
    let heading = ["id", "kept (UTC)", "range", "answer", "culprit"];
    answer(table::render_for_answer(&heading, &rows, &[]).trim_end());
    Ok(Exit::Done)
}

/// First digits of ids that tell them apart, and that may be given for the whole; eight at least.
fn distinct(ids: &[&str]) -> usize {
    let longest = ids.iter().map(|id| id.len()).max().unwrap_or_default();
    let tells = |digits: &usize| {
        let short: HashSet<&str> = ids.iter().map(|id| id.get(..*digits).unwrap_or(id)).collect();
        short.len() == ids.len()
    };
    (8..longest).find(tells).unwrap_or(longest)
}

/// Eight digits an end: what else is in a row must have room.
fn range(record: &Record) -> String {
    let short = |commit: &Commit| commit.id.get(..8).unwrap_or(&commit.id).to_owned();
    match record.ends() {
        Some((older, newer)) => format!("{}..{}", short(older), short(newer)),
        None => format!("..{}", short(&record.header.bad)),
    }
}

async fn own(store: &Store, work: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for summary in store.journals(JOURNAL_KIND).await? {
        let record = match store.journal_read(&summary.id).await {
            Ok(None) => continue,
            Ok(Some(journal)) => Record::from_journal(journal).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                rows.push(unreadable(summary, false, &why));
                continue;
            }
        };
        let verdict = record.finish().map(|(verdict, _)| verdict);
        let process = process(work, &record);
        let culprit = verdict.and_then(|verdict| verdict.culprit());
        rows.push(Row {
            created: record.created,
            id: record.id.clone(),
            range: range(&record),
            answer: match (verdict, process) {
                (Some(verdict), _) => verdict.word().to_owned(),
                (None, Some(process)) => format!("runs (process {process})"),
                (None, None) => "unfinished".to_owned(),
            },
            culprit: culprit.map(named).unwrap_or_default(),
            json: json!({
                "id": record.id,
                "imported": false,
                "created": record.created,
                "find": record.header.find,
                "good": record.good(),
                "bad": record.header.bad,
                "answer": verdict,
                "process": process,
            }),
        });
    }
    Ok(rows)
}

/// One that can't be read, written by a newer Kiln maybe, hides none of the others.
fn unreadable(summary: JournalSummary, imported: bool, why: &str) -> Row {
    Row {
        created: summary.created,
        range: String::new(),
        answer: "unreadable".into(),
        culprit: String::new(),
        json: json!({
            "id": summary.id,
            "imported": imported,
            "created": summary.created,
            "answer": null,
            "unreadable": why,
        }),
        id: summary.id,
    }
}

async fn imported(store: &Store) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for summary in store.journals(import::JOURNAL_KIND).await? {
        // One whose import was interrupted has nothing to show; importing it again mends it.
        let log = match import::kept(store, &summary.id).await {
            Ok(Some(log)) => log,
            Ok(None) => continue,
            Err(error) => {
                rows.push(unreadable(summary, true, &format!("{error:#}")));
                continue;
            }
        };
        rows.push(Row {
            created: summary.created,
            range: String::new(),
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

#[cfg(test)]
mod tests {
    use kiln_cache::Location;

    use super::*;

    #[test]
    fn ids_are_cut_to_what_tells_them_apart() {
        assert_eq!(distinct(&[]), 0);
        assert_eq!(distinct(&["0123456789abcdef"]), 8);
        assert_eq!(distinct(&["0123456789abcdef", "0123456789aacdef"]), 12);
        assert_eq!(distinct(&["0123", "0124"]), 4);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().to_str().unwrap()).unwrap();
        let store = Store::open(&location).await.unwrap();
        for id in ["a", "b"] {
            store
                .journal_create(id, JOURNAL_KIND, json!({ "format": "of the future" }))
                .await
                .unwrap();
        }
        let rows = own(&store, None).await.unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(row.answer, "unreadable");
            let why = row.json["unreadable"].as_str().unwrap();
            assert!(why.contains(&row.id) && why.contains("newer Kiln"), "{why}");
        }
    }
}
