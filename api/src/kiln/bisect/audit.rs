//! `kiln bisect audit`: a second opinion on another tool's bisection.

use std::path::Path;

use futures::StreamExt as _;
use kiln_bisect::audit::{Audit, Next, audit};
use kiln_bisect::log::import::Imported;
use serde_json::{Value, json};

use super::import::{Args, complain, kept, open, print, stated, summary, word};
use crate::kiln::common::{Context, answer};
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table;
use crate::terminal::text::{count, duration, labelled, percent};

/// Logs that are read and judged at a time.
const AT_ONCE: usize = 8;

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let several = args.logs.len() > 1;
    let mut work = futures::stream::iter(args.logs)
        .map(|path| async move {
            let judged = judge(context, &path).await;
            (path, judged)
        })
        .buffered(AT_ONCE);
    let (mut all, mut rows, mut failed) = (Vec::new(), Vec::new(), 0);
    while let Some((path, judged)) = work.next().await {
        let (log, audit) = match judged {
            Ok(judged) => judged,
            Err(error) if several => {
                failed += 1;
                complain(context, &mut all, &path, &error);
                continue;
            }
            Err(error) => return Err(error),
        };
        if context.json {
            all.push(json(&path, &log, &audit));
        } else if several {
            rows.push(row(&path, &log, &audit));
        } else {
            report(&log, &audit);
        }
    }
    if context.json {
        print(all, several)?;
    } else if several {
        let heading = ["log", "answer", "right", "suspect step", "unread"];
        answer(table::render(&heading, &rows, &[2, 4]).trim_end());
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

/// Reads a log (a file, standard input, or one that was imported, by its id) and judges it.
async fn judge(context: &Context, path: &Path) -> anyhow::Result<(Imported, Audit)> {
    let id = path.to_str().filter(|text| text.starts_with("log-") && !path.exists());
    let log = match id {
        Some(id) => kept(&context.open_existing().await?, id).await?.ok_or_else(|| {
            let message = format!("no imported log is known by '{id}'; see `kiln bisect list`");
            Fault::new(Exit::NotFound, message)
        })?,
        None => open(path).await?.log,
    };
    Ok(tokio::task::spawn_blocking(move || {
        let audit = audit(&log);
        (log, audit)
    })
    .await?)
}

fn json(path: &Path, log: &Imported, audit: &Audit) -> Value {
    let mut all = stated(log);
    all["file"] = json!(path);
    if let (Some(all), Value::Object(own)) = (all.as_object_mut(), json!(audit)) {
        all.extend(own);
    }
    all
}

/// One line of a table of many logs.
fn row(path: &Path, log: &Imported, audit: &Audit) -> Vec<String> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
    let suspect = audit.suspect_step.as_ref();
    vec![
        name,
        log.answer.culprit().map_or_else(|| log.answer.word().to_owned(), short),
        audit.probability_right.map(percent).unwrap_or_default(),
        suspect.map(|step| format!("{} {}", step.step, short(&step.commit))).unwrap_or_default(),
        log.unrecognised.len().to_string(),
    ]
}

fn report(log: &Imported, audit: &Audit) {
    summary(log);
    if let Some(target) = &audit.target {
        answer(labelled("target", target));
    }
    verdicts(audit);
    opinion(audit);
    advice(audit);
    savings(audit);
}

fn verdicts(audit: &Audit) {
    let rows: Vec<Vec<String>> = audit
        .verdicts
        .iter()
        .map(|judged| {
            vec![
                judged.commit.get(..12).unwrap_or(&judged.commit).to_owned(),
                word(judged.verdict).to_owned(),
                judged.target.to_string(),
                judged.clean.to_string(),
                judged.censored.to_string(),
                judged.bits.map(|bits| format!("{bits:+.1}")).unwrap_or_default(),
                judged.probability_bad.map(percent).unwrap_or_default(),
                judged.title.clone(),
            ]
        })
        .collect();
    let heading = ["commit", "says", "target", "ok", "other", "bits", "bad?", "title"];
    let table = table::render(&heading, &rows, &[2, 3, 4, 5, 6]);
    answer(format_args!("\n{table}"));
    answer(labelled(
        "bits",
        "what the runs of this one say: above zero for \"bad\", below for \"good\"",
    ));
    answer(labelled(
        "bad?",
        "by all runs; that a bug is there and could not show is weighed below, with the suspect",
    ));
}

fn opinion(audit: &Audit) {
    match (audit.probability_right, audit.supported) {
        (Some(right), Some(supported)) => answer(labelled(
            "right",
            &format!(
                "{} is the probability that the answer is right; its runs alone would say {}",
                percent(right),
                percent(supported)
            ),
        )),
        (None, Some(supported)) => answer(labelled(
            "right",
            &format!("no culprit is named; the runs give the answer {}", percent(supported)),
        )),
        _ => answer(labelled("right", "no culprit is named")),
    }
    if let Some(traits) = &audit.traits {
        let notes: Vec<&str> = [
            (traits.related, "it changes the part of the kernel that crashed"),
            (!traits.related, "it does not change the part of the kernel that crashed"),
            (traits.merge, "it is a merge or a release"),
            (traits.detector, "it brings a check, and may only have made an older bug visible"),
            (traits.enabler, "it may only have enabled the code that has the bug"),
        ]
        .into_iter()
        .filter_map(|(yes, note)| yes.then_some(note))
        .collect();
        answer(labelled("", &format!("{}.", notes.join("; "))));
    }
    if let Some(suspect) = &audit.suspect_step {
        let commit = suspect.commit.get(..12).unwrap_or(&suspect.commit);
        answer(labelled(
            "suspect",
            &format!(
                "step {} (line {}), {commit} {}: with {} the first wrong verdict. It was {}",
                suspect.step,
                suspect.line,
                suspect.title,
                percent(suspect.probability),
                suspect.why
            ),
        ));
    }
}

fn advice(audit: &Audit) {
    let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
    let text = match &audit.next {
        None => return,
        Some(Next::RunAgain { commit, runs, seconds, rebuild_seconds }) => format!(
            "run {} {runs} more times: {}, and {} for the build if it was not kept",
            short(commit),
            duration(*seconds),
            duration(*rebuild_seconds)
        ),
        Some(Next::Bisect { good: Some(good), bad, revisions, builds, runs, seconds }) => format!(
            "bisect {}..{}, about {revisions} commits: {} and {}, {}",
            short(good),
            short(bad),
            count(*builds, "build"),
            count(*runs, "run"),
            duration(*seconds)
        ),
        Some(Next::Bisect { good: None, bad, .. }) => {
            format!("look for an older good end: {} shows the crash already", short(bad))
        }
        Some(Next::Revert { commit, runs, seconds }) => format!(
            "revert {} on top of the start and run that {runs} times: {}, the build included",
            short(commit),
            duration(*seconds)
        ),
    };
    answer(labelled("next", &text));
}

fn savings(audit: &Audit) {
    let saved = &audit.saved;
    if saved.twins.is_empty() {
        answer(labelled("saved", "nothing by a cache: no kernel was built twice"));
        return;
    }
    answer(labelled(
        "saved",
        &format!(
            "by a cache at most {} and {} of kernels known already: {} and {}",
            count(saved.builds, "build"),
            count(saved.runs, "run"),
            duration(saved.build_seconds),
            duration(saved.run_seconds)
        ),
    ));
    for twins in &saved.twins {
        let commits: Vec<&str> =
            twins.commits.iter().map(|commit| commit.get(..12).unwrap_or(commit)).collect();
        let note = if twins.contradict { ": one kernel, called good and bad" } else { "" };
        answer(labelled("", &format!("{}{note}", commits.join(" = "))));
    }
}
