//! `kiln bisect list`.

use kiln_bisect::record::{JOURNAL_KIND, Record};

use crate::kiln::common::{Context, answer, answer_json, when};
use crate::terminal::exit::Exit;
use crate::terminal::table;

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let store = context.open().await?;
    let mut records = Vec::new();
    for summary in store.journals(JOURNAL_KIND).await? {
        if let Some(journal) = store.journal_read(&summary.id).await? {
            records.push(Record::from_journal(journal)?);
        }
    }
    if context.json {
        let all: Vec<_> = records
            .iter()
            .map(|record| {
                serde_json::json!({
                    "id": record.id,
                    "created": record.created,
                    "find": record.header.find,
                    "good": record.header.good,
                    "bad": record.header.bad,
                    "answer": record.finish().map(|(verdict, _)| verdict),
                })
            })
            .collect();
        answer_json(&all)?;
        return Ok(Exit::Done);
    }
    if records.is_empty() {
        answer("no bisection yet; `kiln bisect --help` says how to start one");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let (verdict, culprit) = match record.finish() {
                None => ("unfinished", String::new()),
                Some((verdict, _)) => (
                    verdict.word(),
                    verdict
                        .culprit()
                        .map(|commit| format!("{} {}", commit.short(), commit.subject))
                        .unwrap_or_default(),
                ),
            };
            vec![record.id.clone(), when(record.created), verdict.into(), culprit]
        })
        .collect();
    answer(table::render(&["id", "started (UTC)", "answer", "culprit"], &rows, &[]).trim_end());
    Ok(Exit::Done)
}
