//! The mail about a bisection: plain text of 72 columns.

use std::fmt::Write as _;

use kiln_bisect::belief::Find;
use kiln_bisect::record::{Commit, Record, TestSpec};
use kiln_bisect::verdict::{Finding, Verdict};

use super::candidates::Candidates;
use super::dossier::{Dossier, Kernel, Reproducer};
use super::evidence::rows;
use super::report::{finding_text, more_text};
use crate::kiln::diff::Row;
use crate::terminal::text::{capitalized, count, duration, fit, percent, wrapped};

/// Columns of a mail.
const WIDTH: usize = 72;
/// Functions that are listed, at most.
const LISTED: usize = 30;

/// Writes the mail, headers first.
pub(crate) fn mail(record: &Record, dossier: &Dossier) -> String {
    let mut out = String::new();
    headers(&mut out, record, dossier);
    answer(&mut out, record, dossier);
    evidence(&mut out, record, dossier);
    changed(&mut out, dossier);
    kernels(&mut out, dossier);
    crash(&mut out, dossier);
    reproducer(&mut out, dossier);
    foot(&mut out, dossier);
    out
}

fn headers(out: &mut String, record: &Record, dossier: &Dossier) {
    for (name, list) in dossier
        .recipients
        .iter()
        .flat_map(|recipients| [("To", &recipients.to), ("Cc", &recipients.cc)])
        .filter(|(_, list)| !list.is_empty())
    {
        let _ = writeln!(out, "{name}: {}", list.join(",\n    "));
    }
    let what = dossier.target.as_deref().unwrap_or(match record.header.test {
        TestSpec::Command { .. } => "a failing test",
        TestSpec::Reproducer { .. } => "a crash",
    });
    let found = match (&dossier.answer, record.header.find) {
        (Some(Verdict::Culprit { commit, .. }), Find::Cause) => {
            format!("[bisected] {what}: since {}", commit.short())
        }
        (Some(Verdict::Culprit { commit, .. }), Find::Fix) => {
            format!("[bisected] {what}: gone since {}", commit.short())
        }
        _ => format!("[not bisected] {what}"),
    };
    let _ = writeln!(out, "Subject: {found}\n");
}

fn quoted(commit: &Commit) -> String {
    format!("{} (\"{}\")", commit.short(), commit.subject)
}

fn answer(out: &mut String, record: &Record, dossier: &Dossier) {
    let find = record.header.find;
    let what = match &dossier.target {
        Some(title) => format!("\"{title}\""),
        None => match record.header.test {
            TestSpec::Command { .. } => "the failing test below".to_owned(),
            TestSpec::Reproducer { .. } => {
                "the crash that the reproducer below provokes".to_owned()
            }
        },
    };
    match &dossier.answer {
        Some(Verdict::Culprit { commit, probability, parents, untested, findings }) => {
            let did = match find {
                Find::Cause => "was brought by",
                Find::Fix => "was ended by",
            };
            let sure = percent(*probability);
            say(out, &format!("Hello,\n\n{what} {did} this commit, with probability {sure}:"));
            for line in wrapped(&quoted(commit), WIDTH - 4).lines() {
                let _ = writeln!(out, "    {line}");
            }
            out.push('\n');
            sides(out, record, parents, untested);
            for finding in findings {
                let (label, text) = finding_text(finding);
                say(
                    out,
                    &match finding {
                        Finding::Reverted { .. } => format!(
                            "With it undone on top of {}: {text}.",
                            record.ends().map_or("the newer end", |(_, newer)| newer.short())
                        ),
                        Finding::NotReverted { .. } => {
                            format!("It could not be tried without it: {text}.")
                        }
                        Finding::ForkShows { .. } => format!("Left out was {text}."),
                        Finding::Visibility { .. } | Finding::ForkUntested { .. } => {
                            format!("{label}: {text}.")
                        }
                    },
                );
            }
            if find == Find::Cause {
                // A tag is one line, however long.
                say(out, "If you mend it, this line names what it mends:");
                let _ = writeln!(out, "    Fixes: {}\n", quoted(commit));
            }
        }
        Some(verdict @ Verdict::Inconclusive { why, more, .. }) => {
            say(out, &format!("Hello,\n\n{what} could not be bisected to one commit: {why}."));
            if let Some(candidates) = Candidates::of(record, verdict) {
                listed(out, &candidates);
            }
            if let Some(more) = more {
                say(out, &format!("What would help most: {}.", more_text(more)));
            }
        }
        Some(Verdict::OlderThanGood { target, clean, release, .. }) => {
            let good = match (release, &record.header.good) {
                (Some(release), _) => format!("{release}, the oldest release that can be tested,"),
                (None, Some(good)) => format!("the good end {}", quoted(good)),
                (None, None) => "the good end".to_owned(),
            };
            let runs = count(u64::from(target + clean), "run");
            let text =
                format!("{what} is older than the range: {good} shows it in {target} of {runs}.");
            say(out, &format!("Hello,\n\n{text}"));
        }
        Some(Verdict::NotFixed { target, clean, .. }) => {
            let runs = count(u64::from(target + clean), "run");
            let text = format!("{what} is not fixed: the good end shows it in {target} of {runs}.");
            say(out, &format!("Hello,\n\n{text}"));
        }
        Some(Verdict::NotReproduced { clean, crashes }) => {
            let bad = quoted(&record.header.bad);
            let runs = count(u64::from(*clean), "run");
            let other: u32 = crashes.iter().map(|(_, times)| times).sum();
            let other = match other {
                0 => String::new(),
                n => format!(", and crashed otherwise in {n}"),
            };
            let text = format!("{what} was not reproduced: {bad} ended well in {runs}{other}.");
            say(out, &format!("Hello,\n\n{text}"));
        }
        Some(Verdict::EndUnusable { commit, why }) => {
            let commit = quoted(commit);
            say(
                out,
                &format!("Hello,\n\n{what} was not bisected: {commit} can't be tested: {why}."),
            );
        }
        None => say(out, "Hello,\n\nthis bisection has not ended yet."),
    }
}

/// What remains possible, and an empty line.
fn listed(out: &mut String, candidates: &Candidates<'_>) {
    if let Some(heading) = &candidates.heading {
        say(out, &capitalized(&format!("{heading}:")));
    }
    let commits = candidates.commits.iter().map(|(commit, share)| (*share, quoted(commit)));
    let rows: Vec<(f64, String)> = commits.chain(candidates.others.iter().cloned()).collect();
    for (share, what) in &rows {
        let _ = writeln!(out, "  {:>6}  {}", percent(*share), fit(what, WIDTH - 10));
    }
    if !rows.is_empty() {
        out.push('\n');
    }
}

/// What speaks for the parents' being on the other side.
fn sides(out: &mut String, record: &Record, parents: &[Commit], untested: &[Commit]) {
    let rate = record.picture().map(|picture| picture.rate.mean);
    let rows = rows(record);
    for parent in parents {
        let row = rows.iter().find(|row| row.commit.id == parent.id);
        let text = match (record.header.find, row, rate) {
            (Find::Cause, Some(row), Some(rate)) if row.target == 0 && row.ok > 0 => {
                let left = match row.bad {
                    Some(bad) => {
                        format!(
                            "; that it has the bug and hid it has a probability of {}",
                            percent(bad)
                        )
                    }
                    None => String::new(),
                };
                format!(
                    "Its parent {} ran clean {} times, where a kernel with the bug shows it in about \
                     {} of its runs{left}.",
                    parent.short(),
                    row.ok,
                    percent(rate),
                )
            }
            (Find::Fix, Some(row), _) if row.target > 0 => format!(
                "Its parent {} crashed {} times in {} runs.",
                parent.short(),
                row.target,
                row.target + row.ok
            ),
            _ => {
                format!("The runs of its parent {}'s image are on the other side.", parent.short())
            }
        };
        say(out, &text);
    }
    for parent in untested {
        say(out, &format!("Its parent {} could not be tested.", parent.short()));
    }
}

fn evidence(out: &mut String, record: &Record, dossier: &Dossier) {
    let rows = rows(record);
    if rows.is_empty() {
        return;
    }
    heading(out, "Evidence");
    let _ = writeln!(out, "commit        crash   ok  other          bad?  subject");
    for row in &rows {
        let bad = row.bad.map(percent).unwrap_or_default();
        let subject = fit(&row.commit.subject, WIDTH - 50);
        let counts = match row.broken {
            true => format!("{:>5} {:>4} {:>6}", "-", "-", "-"),
            false => format!("{:>5} {:>4} {:>6}", row.target, row.ok, row.other),
        };
        let _ = writeln!(out, "{:<12}  {counts}  {bad:>12}  {subject}", row.commit.short());
    }
    let bill = &dossier.bill;
    out.push('\n');
    if let Some(good) = record.good()
        && !rows.iter().any(|row| row.commit.id == good.id)
    {
        say(
            out,
            &format!(
                "The good end {} was not run: that it may be bad as well is part of what the \
                 probabilities leave open.",
                good.short()
            ),
        );
    }
    if let (Some(releases), Some(good)) = (&record.header.releases, record.good()) {
        let names = record.releases().len();
        let good = record.release_of(&good.id).map_or(good.short(), |release| &release.name);
        say(
            out,
            &format!(
                "No good end was given: of {} releases before the bad one {names} were tried or left \
                 out, and the search ended at {good}.",
                releases.list.len()
            ),
        );
    }
    let builds = bill.builds_avoided_input + bill.builds_avoided_closure;
    let spared = match (builds, bill.runs_avoided_evidence) {
        (0, 0) => String::new(),
        (builds, runs) => format!(
            "; {} and {} were spared, as others had made them",
            count(builds as u64, "build"),
            count(runs as u64, "run")
        ),
    };
    say(
        out,
        &format!(
            "\"other\" runs (other crashes, failed boots) count for neither side. Compiled: {} in {}; \
             made: {} in {}{spared}.",
            count(bill.builds_compiled as u64, "build"),
            duration(bill.build_seconds),
            count(bill.runs_made as u64, "run"),
            duration(bill.run_seconds),
        ),
    );
}

fn changed(out: &mut String, dossier: &Dossier) {
    let Some(changes) = &dossier.changes else { return };
    heading(out, "What the commit changed in this kernel");
    if changes.is_empty() {
        let _ = writeln!(out, "no function and no data, as far as they were compared");
    }
    for Row { module, change } in changes.rows.iter().take(LISTED) {
        let within = [module, &change.file].into_iter().flatten();
        let within: String = within.map(|place| format!("{place}: ")).collect();
        let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let sizes = format!("{} -> {} bytes", size(change.before), size(change.after));
        let _ = writeln!(out, "  {:<44}  {sizes}", fit(&format!("{within}{}", change.name), 44));
    }
    if changes.rows.len() > LISTED {
        let _ = writeln!(out, "  and {} more", changes.rows.len() - LISTED);
    }
    for (module, what) in changes.lone_modules() {
        let _ = writeln!(out, "  {:<44}  {what}", fit(module, 44));
    }
    for note in &changes.not_compared {
        let _ = writeln!(out, "{}", wrapped(&format!("Note: {note}"), WIDTH));
    }
    out.push('\n');
}

fn kernels(out: &mut String, dossier: &Dossier) {
    if dossier.kernels.is_empty() {
        return;
    }
    heading(out, "The exact kernels");
    let first = &dossier.kernels[0];
    if !first.compiler.is_empty() {
        say(out, &format!("Compiled by {}.", first.compiler));
    }
    if let Some(config) = first.config {
        let _ = writeln!(out, "The configuration");
        let _ = writeln!(out, "  kiln pull {} .config --remote URL", short_key(first));
        let _ = writeln!(out, "  blake3 {config}");
    }
    for kernel in &dossier.kernels {
        let _ = writeln!(out, "{} {}", kernel.role, kernel.commit.short());
        let short = short_key(kernel);
        match &kernel.image {
            None => {
                let _ = writeln!(out, "  kiln show {short}");
            }
            Some((name, digest)) => {
                let _ = writeln!(out, "  kiln pull {short} {name} --remote URL");
                let _ = writeln!(out, "  blake3 {digest}");
            }
        }
    }
    out.push('\n');
}

/// Enough digits to name one build, few enough for a line.
fn short_key(kernel: &Kernel) -> &str {
    kernel.input_key.get(..16).unwrap_or(&kernel.input_key)
}

fn crash(out: &mut String, dossier: &Dossier) {
    let Some(crash) = &dossier.crash else { return };
    heading(out, "The crash");
    // A console is quoted as it is: broken lines would be worse than long ones.
    let _ = writeln!(out, "{}\n", crash.trim_end());
}

fn reproducer(out: &mut String, dossier: &Dossier) {
    heading(out, "The reproducer");
    match &dossier.reproducer {
        Reproducer::Command { command } => {
            let _ = writeln!(out, "{command}\n");
        }
        Reproducer::File { name, digest, text } => {
            let _ = writeln!(out, "{name}, blake3 {}\n", &digest.to_hex()[..32]);
            if let Some(text) = text {
                let _ = writeln!(out, "{}\n", text.trim_end());
            }
        }
    }
}

fn foot(out: &mut String, dossier: &Dossier) {
    if !dossier.missing.is_empty() {
        heading(out, "Not here");
        for line in &dossier.missing {
            say(out, line);
        }
    }
    let _ = writeln!(out, "-- \nKiln {}, bisection {}", env!("CARGO_PKG_VERSION"), dossier.id);
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}\n{}", "-".repeat(text.chars().count()));
}

/// A paragraph (or several, parted by empty lines), and an empty line.
fn say(out: &mut String, text: &str) {
    for paragraph in text.split("\n\n") {
        let _ = writeln!(out, "{}\n", wrapped(paragraph, WIDTH));
    }
}
