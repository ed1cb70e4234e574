//! `kiln bisect replay-check`: the planner is a pure function, and the record says what of.

use kiln_bisect::bisection::graph_of;
use kiln_bisect::plan::Decision;
use kiln_bisect::record::{Made, Record, Replay, Replayed};
use kiln_bisect::title::Learning;
use kiln_builder::Repository;
use serde_json::json;

use super::find;
use crate::kiln::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;

pub(super) async fn run(context: &Context, id: &str) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let record = find(&store, id).await?;
    let title = record.learned_again();
    let name = record.id.clone();
    let replayed = tokio::task::spawn_blocking(move || replay(&record)).await??;
    let other: Vec<(usize, &Replayed)> =
        replayed.iter().enumerate().filter(|(_, replayed)| !replayed.is_same()).collect();
    let title_holds =
        title.as_ref().is_none_or(|(learned, title)| *learned == Learning::Title(title.clone()));
    if context.json {
        answer_json(&json!({
            "id": name,
            "decisions": replayed.len(),
            "same": replayed.len() - other.len(),
            "title": title.as_ref().map(|(_, title)| json!({ "title": title, "same": title_holds })),
            "different": other
                .iter()
                .map(|(at, replayed)| {
                    json!({ "decision": at + 1, "then": replayed.then, "now": replayed.now })
                })
                .collect::<Vec<_>>(),
        }))?;
    } else {
        if let Some((_, title)) = &title {
            let holds = if title_holds { "learned again" } else { "NOT what the runs teach" };
            answer(format_args!("title      {title}: {holds}"));
        }
        answer(format_args!("decisions  {}", replayed.len()));
        answer(format_args!("same       {}", replayed.len() - other.len()));
        for (at, replayed) in &other {
            answer(format_args!("decision {} was", at + 1));
            answer(format_args!("  {}", said(&replayed.then)));
            answer(format_args!("and is now\n  {}", said(&replayed.now)));
        }
    }
    Ok(if other.is_empty() && title_holds { Exit::Done } else { Exit::Failed })
}

fn replay(record: &Record) -> anyhow::Result<Vec<Replayed>> {
    let path = &record.header.repository;
    Ok(Replay::all(record, |base, tip| {
        let history = Repository::open(path)?.history(&base.id, &tip.id)?;
        Ok(graph_of(&history)?)
    })?)
}

fn said(decision: &Made) -> String {
    match decision {
        Made::Commit(Decision::Test(test)) => {
            format!("{:?}, {} runs: {}", test.revision, test.runs, test.why)
        }
        Made::Commit(Decision::Stop(verdict)) => format!("stop: {verdict:?}"),
        Made::Release(decision) => format!("{decision:?}"),
    }
}
