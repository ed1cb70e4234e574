//! One bisection: the answer, the evidence for it, and the bill.

use axum::extract::{Path, State};
use kiln_bisect::belief::Find;
use kiln_bisect::record::{Bill, Commit, Obtained, Record};
use kiln_bisect::verdict::Verdict;
use kiln_cache::Store;
use kiln_cache::signature::SignatureKind;
use maud::{Markup, html};

use super::frame::{page, whole};
use super::picture;
use crate::kiln::bisect::candidates::Candidates;
use crate::kiln::bisect::dossier::{Changes, Dossier, Reproducer};
use crate::kiln::bisect::evidence::{self, Visit, rows, visits};
use crate::kiln::bisect::releases;
use crate::kiln::bisect::report::{built_with, finding_text, known, more_text};
use crate::kiln::common::when;
use crate::kiln::diff::Row;
use crate::service::bisections::read;
use crate::service::error::ApiError;
use crate::terminal::text::{capitalized, duration, percent};

/// Changed functions that are listed, at most.
const CHANGES: usize = 100;

/// `GET /bisections/{id}`
pub(crate) async fn bisection(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Markup, ApiError> {
    let record = read(&store, &id).await?;
    let logs = html! {
        @for format in ["syzkaller", "git", "json"] {
            a href={ "/v1/bisections/" (record.id) "/log?format=" (format) } { (format) } " "
        }
    };
    Ok(page(&title(&record), &html! { (content(&record, &logs)) }))
}

/// A page in a file of its own: nothing of it lies elsewhere.
pub(crate) fn alone(record: &Record, dossier: &Dossier) -> Markup {
    let logs = html! { "kiln bisect log " (record.id) };
    whole(
        &title(record),
        &html! {
            (content(record, &logs))
            @if let Some(changes) = &dossier.changes {
                h2 { "What the commit changed in this kernel" }
                (changed(changes))
            }
            @if let Some(crash) = &dossier.crash { h2 { "The crash" } pre { (crash) } }
            h2 { "The reproducer" }
            @match &dossier.reproducer {
                Reproducer::Command { command } => pre { (command) },
                Reproducer::File { name, digest, text } => {
                    p { code { (name) } ", blake3 " code { (digest.short()) } }
                    @if let Some(text) = text { pre { (text) } }
                }
            }
            @if !dossier.kernels.is_empty() {
                h2 { "The exact kernels" }
                table {
                    thead { tr { th { "kernel" } th { "commit" } th { "to get it" } } }
                    tbody {
                        @for kernel in &dossier.kernels {
                            tr {
                                td { (kernel.role) }
                                td { code { (kernel.commit.short()) } }
                                td {
                                    code {
                                        "kiln pull " (&kernel.input_key[..16]) " "
                                        @if let Some((name, _)) = &kernel.image { (name) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

fn title(record: &Record) -> String {
    format!("Bisection {}", record.id)
}

/// The ends that were searched between, as far as there are two.
pub(super) fn range(record: &Record) -> String {
    match record.ends() {
        Some((older, newer)) => format!("{}..{}", older.short(), newer.short()),
        None => format!("the history of {}", record.header.bad.short()),
    }
}

fn content(record: &Record, logs: &Markup) -> Markup {
    let what = match record.header.find {
        Find::Cause => "What brought it",
        Find::Fix => "What ended it",
    };
    html! {
        h1 { (what) ", in " code { (range(record)) } }
        (answer(record))
        @if let Some(picture) = record.picture() {
            h2 { "Where it may be" }
            (picture::posterior(picture))
            p class="soft" {
                "Bars: the probability of each commit. Circles: revisions that were run, larger the \
                 more often; "
                span class="bad" { "●" } " bad, " span class="good" { "●" } " good, "
                span class="unknown" { "●" } " not known."
                " A bad revision shows the crash in " (percent(picture.rate.mean)) " of its runs ("
                (percent(picture.rate.low)) " to " (percent(picture.rate.high)) ")."
            }
        }
        @if let Some(releases) = releases::text(record) { h2 { "Releases" } pre { (releases) } }
        h2 { "Evidence" }
        table {
            thead { tr {
                th { "commit" } th class="n" { "crash" } th class="n" { "ok" }
                th class="n" { "other" } th { "bad?" } th { "subject" }
            } }
            tbody { @for row in ordered(record) { (evidence_row(&row)) } }
        }
        @if let Some(drawing) = picture::narrowing(record) {
            h2 { "Commits left after each step" }
            (drawing)
        }
        h2 { "Visits" }
        table {
            thead { tr {
                th { "commit" } th { "build" } th class="n" { "runs" } th { "why" }
                th class="n" { "left" } th { "image" }
            } }
            tbody { @for visit in visits(record) { (visit_row(&visit)) } }
        }
        h2 { "Bill" }
        (bill(record, logs))
    }
}

/// Rows of evidence in the order of the range, as far as that is known.
fn ordered(record: &Record) -> Vec<evidence::Row<'_>> {
    let mut rows = rows(record);
    if let Some(picture) = record.picture() {
        let place = |id: &str| picture.seen.iter().position(|seen| seen.commit.id == id);
        rows.sort_by_key(|row| place(&row.commit.id).unwrap_or(usize::MAX));
    }
    rows
}

fn bill(record: &Record, logs: &Markup) -> Markup {
    let bill = Bill::of(record);
    html! {
        dl {
            dt { "builds" }
            dd {
                (bill.builds_compiled) " compiled in " (duration(bill.build_seconds)) "; "
                (bill.builds_avoided_input) " avoided, as the store had the input, and "
                (bill.builds_avoided_closure) ", as nothing that a known build reads had changed ("
                (duration(bill.build_seconds_saved)) " saved)"
            }
            @if bill.builds_ahead > 0 {
                dt { "built ahead" }
                dd { (bill.builds_ahead) ", of which " (bill.builds_unused) " were of no use" }
            }
            @let building = record.building();
            @if !building.is_empty() {
                dt { "being built" }
                dd { @for commit in building { code { (commit.short()) } " " (commit.subject) br; } }
            }
            dt { "boots" }
            dd {
                (bill.runs_made) " in " (duration(bill.run_seconds)) " of machine time; "
                (bill.runs_avoided_evidence) " avoided, as the store had the evidence ("
                (duration(bill.run_seconds_saved)) ")"
            }
            @if bill.revisions_known > 0 { dt { "known before" } dd { (known(&bill)) } }
            dt { "started" } dd { (when(record.created)) " UTC" }
            dt { "logs" } dd { (logs) }
        }
    }
}

/// Functions and data, as `kiln diff` names them, and modules that come or go.
fn changed(changes: &Changes) -> Markup {
    let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |size| size.to_string());
    let Changes { rows, not_compared, .. } = changes;
    html! {
        @if changes.is_empty() {
            p { "No function and no data, as far as they were compared." }
        }
        @if !rows.is_empty() {
            table {
                thead { tr { th { "file" } th { "name" } th class="n" { "before" } th class="n" { "after" } } }
                tbody {
                    @for Row { module, change } in rows.iter().take(CHANGES) {
                        tr {
                            td {
                                @if let Some(module) = module { (module) ": " }
                                (change.file.as_deref().unwrap_or(""))
                            }
                            td { code { (change.name) } }
                            td class="n" { (size(change.before)) }
                            td class="n" { (size(change.after)) }
                        }
                    }
                }
            }
            @if rows.len() > CHANGES { p class="soft" { "and " (rows.len() - CHANGES) " more" } }
        }
        @for (module, what) in changes.lone_modules() { p { code { (module) } ": " (what) } }
        @for note in not_compared { p class="soft" { (capitalized(note)) "." } }
    }
}

fn answer(record: &Record) -> Markup {
    let header = &record.header;
    let target = header.title.as_deref().or(record.learned_title());
    html! {
        div class="answer" {
            @match record.finish().map(|(verdict, _)| verdict) {
                None => p { "Unfinished." },
                Some(Verdict::Culprit { commit, probability, parents, untested, findings }) => {
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
                    @for finding in findings {
                        @let (label, text) = finding_text(finding);
                        p class="soft" { (label) ": " (text) }
                    }
                }
                Some(Verdict::OlderThanGood { probability, target, clean, release }) => p {
                    @match release {
                        None => "The good end",
                        Some(release) => {
                            (release) ", the oldest release that can be tested with "
                            (built_with(header)) ","
                        }
                    }
                    " shows it too (" (target) " of " (target + clean) " runs, "
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
                Some(verdict @ Verdict::Inconclusive { why, more, .. }) => {
                    p { "Inconclusive: " (why) }
                    @if let Some(Candidates { heading, commits, others }) =
                        Candidates::of(record, verdict)
                    {
                        @if let Some(heading) = heading { p { (capitalized(&heading)) ":" } }
                        ul {
                            @for (commit, share) in commits { li { (candidate(commit, *share)) } }
                            @for (share, what) in others { li { (percent(share)) " " (what) } }
                        }
                    }
                    @if let Some(more) = more { p class="soft" { "Would help most: " (more_text(more)) } }
                }
            }
            @if let Some(target) = target { p class="soft" { "Target: " code { (target) } } }
        }
    }
}

fn candidate(commit: &Commit, probability: f64) -> Markup {
    html! { (percent(probability)) " " code { (commit.short()) } " " (commit.subject) }
}

fn evidence_row(row: &evidence::Row<'_>) -> Markup {
    html! {
        tr {
            td { code { (row.commit.short()) } }
            @if row.broken {
                td class="n soft" colspan="3" { "does not build" }
            } @else {
                td class="n" { (row.target) } td class="n" { (row.ok) } td class="n" { (row.other) }
            }
            td class="whole" {
                @if let Some(bad) = row.bad {
                    span class="track" { span class="bar" style={ "width:" (bad * 100.0) "%" } {} }
                    " " (percent(bad))
                }
            }
            td { (row.commit.subject) }
        }
    }
}

fn visit_row(visit: &Visit<'_>) -> Markup {
    let step = visit.first;
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
            td class="n" { (visit.counts.total()) }
            td {
                (step.why)
                @if visit.steps > 1 { span class="soft" { " (asked " (visit.steps) " times)" } }
            }
            td class="n" { @if let Some(left) = visit.credible { (left) } }
            td { @if let Some(image) = image { code { (image.hash.short()) } } }
        }
    }
}
