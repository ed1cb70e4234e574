//! `kiln bisect replay-check`: the planner is a pure function, and the record says what of.

use kiln_bisect::bisection::graph_of;
use kiln_bisect::plan::{Beside, Decision, Test};
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
                    let (then, now) = &replayed.beside;
                    json!({
                        "decision": at + 1, "then": replayed.then, "now": replayed.now,
                        "beside_then": then, "beside_now": now,
                    })
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
            answer(difference(at + 1, replayed));
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

/// What is not as it was: the decision, what was to be done beside it, or both.
fn difference(number: usize, replayed: &Replayed) -> String {
    let mut lines = Vec::new();
    if !replayed.decides_the_same() {
        let (then, now) = (said(&replayed.then), said(&replayed.now));
        lines.push(format!("decision {number} was\n  {then}\nand is now\n  {now}"));
    }
    if !replayed.does_the_same_beside() {
        let (then, now) = (&replayed.beside.0, &replayed.beside.1);
        let (then, now) = (said_beside(then), said_beside(now));
        lines.push(format!("beside decision {number} was\n  {then}\nand is now\n  {now}"));
    }
    lines.join("\n")
}

fn said(decision: &Made) -> String {
    match decision {
        Made::Commit(Decision::Test(test)) => said_test(test),
        Made::Commit(Decision::Stop(verdict)) => format!("stop: {verdict:?}"),
        Made::Release(decision) => format!("{decision:?}"),
    }
}

/// All of it: two that differ in anything are to look different.
fn said_test(test: &Test) -> String {
    let Test { revision, runs, build, why, expected_gain, expected_seconds } = test;
    let build = if *build { "a build and " } else { "" };
    format!("{revision:?}, {build}{runs} runs, {expected_gain} bits in {expected_seconds} s: {why}")
}

fn said_beside(beside: &Beside) -> String {
    let needs = beside.ahead.iter();
    let mut parts: Vec<String> = needs
        .map(|need| format!("builds {:?} ahead, needed with {}", need.place, need.probability))
        .collect();
    parts.extend(beside.meanwhile.iter().map(|test| format!("runs {}", said_test(test))));
    parts.extend(beside.give_up.iter().map(|place| format!("gives up {place:?}")));
    if parts.is_empty() { "nothing".into() } else { parts.join("\n  ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_shown() {
        let test = |seconds: f64| {
            let test = json!({
                "revision": { "commit": 3 }, "runs": 7, "build": true, "why": "x",
                "expected_gain": 0.5, "expected_seconds": seconds,
            });
            Made::Commit(Decision::Test(serde_json::from_value(test).unwrap()))
        };
        let ahead: Beside = serde_json::from_value(json!({
            "ahead": [{ "place": { "commit": 5 }, "probability": 0.75 }], "give_up": "base",
        }))
        .unwrap();
        let replayed = |now: f64, beside: Beside| Replayed {
            then: test(60.0),
            now: test(now),
            beside: (beside, Beside::default()),
        };
        assert!(replayed(60.0, Beside::default()).is_same());
        assert_eq!(
            difference(4, &replayed(60.0, ahead)),
            "beside decision 4 was\n  builds Commit(5) ahead, needed with 0.75\n  gives up Base\n\
             and is now\n  nothing"
        );
        assert_eq!(
            difference(4, &replayed(61.5, Beside::default())),
            "decision 4 was\n  Commit(3), a build and 7 runs, 0.5 bits in 60 s: x\n\
             and is now\n  Commit(3), a build and 7 runs, 0.5 bits in 61.5 s: x"
        );
    }
}
