//! One bisection: the answer, the evidence for it, and the bill.

use axum::extract::{Path, State};
use kiln_bisect::belief::Find;
use kiln_bisect::record::{Bill, Commit, Obtained, Record, Step};
use kiln_bisect::verdict::Verdict;
use kiln_cache::Store;
use kiln_cache::signature::SignatureKind;
use maud::{Markup, html};

use super::frame::page;
use crate::kiln::bisect::evidence::{Row, rows};
use crate::kiln::bisect::report::all_bad;
use crate::kiln::common::when;
use crate::service::bisections::read;
use crate::service::error::ApiError;
use crate::terminal::text::{duration, percent};

/// `GET /bisections/{id}`
pub(crate) async fn bisection(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Markup, ApiError> {
    let record = read(&store, &id).await?;
    let bill = Bill::of(&record);
    let header = &record.header;
    Ok(page(
        &format!("Bisection {}", &record.id),
        &html! {
            h1 { "Bisection of " code { (header.ends().0.short()) ".." (header.ends().1.short()) } }
            (answer(&record))
            h2 { "Evidence" }
            table {
                thead { tr {
                    th { "commit" } th class="n" { "crash" } th class="n" { "ok" }
                    th class="n" { "other" } th { "bad?" } th { "subject" }
                } }
                tbody { @for row in rows(&record) { (evidence(&row)) } }
            }
            h2 { "Steps" }
            table {
                thead { tr { th { "commit" } th { "build" } th class="n" { "runs" } th { "why" } th { "image" } } }
                tbody { @for step in record.steps() { (step_row(step)) } }
            }
            h2 { "Bill" }
            dl {
                dt { "builds" }
                dd {
                    (bill.builds_compiled) " compiled in " (duration(bill.build_seconds)) "; "
                    (bill.builds_avoided_input) " avoided, as the store had the input, and "
                    (bill.builds_avoided_closure) ", as nothing that a known build reads had changed ("
                    (duration(bill.build_seconds_saved)) " saved)"
                }
                dt { "boots" }
                dd {
                    (bill.runs_made) " in " (duration(bill.run_seconds)) " of machine time; "
                    (bill.runs_avoided_evidence) " avoided, as the store had the evidence ("
                    (duration(bill.run_seconds_saved)) ")"
                }
                dt { "started" } dd { (when(record.created)) " UTC" }
                dt { "logs" }
                dd {
                    @for format in ["syzkaller", "git", "json"] {
                        a href={ "/v1/bisections/" (record.id) "/log?format=" (format) } { (format) } " "
                    }
                }
            }
        },
    ))
}

fn answer(record: &Record) -> Markup {
    let header = &record.header;
    let target = header.title.as_deref().or(record.learned_title());
    html! {
        div class="answer" {
            @match record.finish().map(|(verdict, _)| verdict) {
                None => p { "Unfinished." },
                Some(Verdict::Culprit { commit, probability, parents, untested }) => {
                    p { strong { (commit.subject) } }
                    p {
                        code { (commit.id) }
                        @match header.find { Find::Cause => " brought", Find::Fix => " ended" }
                        " it, with probability " (percent(*probability)) "."
                    }
                    @if !parents.is_empty() {
                        p class="soft" {
                            @match header.find {
                                Find::Cause => "Good parents: ",
                                Find::Fix => "Parents that show it: ",
                            }
                            @for parent in parents { code { (parent.short()) } " " }
                        }
                    }
                    @if !untested.is_empty() {
                        p class="soft" {
                            "Parents that could not be tested: "
                            @for parent in untested { code { (parent.short()) } " " }
                        }
                    }
                }
                Some(Verdict::OlderThanGood { probability, target, clean }) => p {
                    "The good end shows it too (" (target) " of " (target + clean) " runs, "
                    (percent(*probability)) " sure): the bug is older."
                },
                Some(Verdict::NotFixed { probability, target, clean }) => p {
                    "The good end shows it too (" (target) " of " (target + clean) " runs, "
                    (percent(*probability)) " sure): it is not fixed there."
                },
                Some(Verdict::NotReproduced { clean, .. }) => p {
                    "Not reproduced: the bad end ended well in " (clean) " runs."
                },
                Some(Verdict::EndUnusable { commit, why }) => p {
                    code { (commit.short()) } " can't be tested: " (why)
                },
                Some(Verdict::Inconclusive { credible, older, why, contradiction }) => {
                    p { "Inconclusive: " (why) }
                    @if credible.is_empty() {}
                    @else if *contradiction { p { "What explains the runs least badly:" } }
                    @else { p { "With 95 % probability one of:" } }
                    ul {
                        @for (commit, probability) in credible { li { (candidate(commit, *probability)) } }
                        @if *older > 0.0005 { li { (percent(*older)) " " (all_bad(header.find)) } }
                    }
                }
            }
            @if let Some(target) = target { p class="soft" { "Target: " code { (target) } } }
        }
    }
}

fn candidate(commit: &Commit, probability: f64) -> Markup {
    html! { (percent(probability)) " " code { (commit.short()) } " " (commit.subject) }
}

fn evidence(row: &Row<'_>) -> Markup {
    html! {
        tr {
            td { code { (row.commit.short()) } }
            @if row.broken {
                td class="n soft" colspan="3" { "does not build" }
            } @else {
                td class="n" { (row.target) } td class="n" { (row.ok) } td class="n" { (row.other) }
            }
            td {
                @if let Some(bad) = row.bad {
                    span class="track" { span class="bar" style={ "width:" (bad * 100.0) "%" } {} }
                    " " (percent(bad))
                }
            }
            td { (row.commit.subject) }
        }
    }
}

fn step_row(step: &Step) -> Markup {
    let image = step.build.signatures.get(SignatureKind::Image);
    html! {
        tr {
            td { code { (step.commit.short()) } }
            td {
                @match (step.build.errors.first(), step.build.obtained) {
                    (Some(error), _) => span title=(error) { "failed" },
                    (None, Obtained::Input) => "known",
                    (None, Obtained::Closure | Obtained::Commands | Obtained::Tokens | Obtained::Objects) => "proved equal",
                    (None, Obtained::Compiled) => { "compiled, " (duration(step.build.seconds)) }
                }
            }
            td class="n" { (step.runs.len()) }
            td { (step.why) }
            td { @if let Some(image) = image { code { (image.hash.short()) } } }
        }
    }
}
