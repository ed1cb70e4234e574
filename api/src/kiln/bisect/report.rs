//! The answer of a bisection, with everything it rests on.

use kiln_bisect::belief::Find;
use kiln_bisect::record::{Bill, Record};
use kiln_bisect::verdict::{Finding, MoreRuns, Verdict};
use kiln_cache::evidence::Outcome;

use super::evidence::rows;
use crate::kiln::common::{Context, answer, answer_json};
use crate::kiln::logs;
use crate::terminal::exit::Exit;
use crate::terminal::table;
use crate::terminal::text::{duration, fit, labelled, percent};

/// Prints the answer and returns the exit code that says it in a number.
pub(super) fn print(context: &Context, record: &Record) -> anyhow::Result<Exit> {
    let verdict = record.finish().map(|(verdict, _)| verdict);
    if context.json {
        answer_json(&logs::json(record))?;
    } else {
        print_evidence(record);
        match verdict {
            Some(verdict) => print_verdict(record, verdict),
            None => answer(format_args!(
                "\nunfinished; `kiln bisect resume {}` goes on with it",
                record.id
            )),
        }
        print_bill(&Bill::of(record));
        answer(format_args!(
            "record       {}\n             in {}\n             kiln bisect show {0}\n             kiln bisect log {0}",
            record.id,
            context.location()?,
        ));
    }
    Ok(match verdict {
        None => Exit::Failed,
        Some(Verdict::Culprit { .. }) => Exit::Done,
        Some(Verdict::OlderThanGood { .. } | Verdict::NotFixed { .. }) => Exit::OlderThanGood,
        Some(Verdict::NotReproduced { .. }) => Exit::NotReproduced,
        Some(Verdict::EndUnusable { .. }) => Exit::Failed,
        Some(Verdict::Inconclusive { .. }) => Exit::Inconclusive,
    })
}

/// One line a revision: what ran, what was seen, what it means.
fn print_evidence(record: &Record) {
    let rows: Vec<Vec<String>> = rows(record)
        .into_iter()
        .map(|row| {
            let number = |n: u32| if row.broken { "-".into() } else { n.to_string() };
            vec![
                row.commit.short().to_owned(),
                number(row.target),
                number(row.ok),
                number(row.other),
                row.bad.map(percent).unwrap_or_default(),
                if row.broken {
                    format!("does not build: {}", row.commit.subject)
                } else {
                    row.commit.subject.clone()
                },
            ]
        })
        .collect();
    if !rows.is_empty() {
        let heading = ["commit", "crash", "ok", "other", "bad?", "subject"];
        answer(format_args!("\n{}", table::render(&heading, &rows, &[1, 2, 3, 4]).trim_end()));
    }
    if let Some(title) = record.header.title.as_deref().or(record.learned_title()) {
        answer(format_args!("\ntarget       {title}"));
    } else {
        answer("");
    }
}

fn print_verdict(record: &Record, verdict: &Verdict) {
    match verdict {
        Verdict::Culprit { commit, probability, parents, untested, findings } => {
            answer(format_args!("{:<11}  {}", record.header.sought(), commit.id));
            answer(labelled("", &commit.subject));
            answer(format_args!("probability  {}", percent(*probability)));
            for parent in parents {
                let label = match record.header.find {
                    Find::Cause => "good parent",
                    Find::Fix => "bad parent",
                };
                answer(labelled(label, &format!("{} {}", parent.short(), parent.subject)));
            }
            for parent in untested {
                let text = format!("{} {}", parent.short(), parent.subject);
                answer(labelled("not tested", &text));
            }
            for finding in findings {
                let (label, text) = finding_text(finding);
                answer(labelled(label, &text));
            }
        }
        Verdict::OlderThanGood { probability, target, clean } => {
            answer("older than the good end");
            answer(format_args!(
                "             {} shows the target in {target} of {} runs ({} sure)",
                record.header.good.short(),
                target + clean,
                percent(*probability)
            ));
            answer("             give an older --good");
        }
        Verdict::NotFixed { probability, target, clean } => {
            answer("not fixed");
            answer(format_args!(
                "             {} shows the target in {target} of {} runs ({} sure)",
                record.header.good.short(),
                target + clean,
                percent(*probability)
            ));
            answer("             give a newer --good");
        }
        Verdict::NotReproduced { clean, crashes } => {
            answer(format_args!(
                "not reproduced: {} ended well in {clean} runs",
                record.header.bad.short()
            ));
            for (title, times) in crashes {
                answer(format_args!("             {times} x {title}"));
            }
            answer("             check the reproducer, the configuration and --title");
        }
        Verdict::EndUnusable { commit, why } => {
            answer(format_args!("{} can't be tested: {why}", commit.short()));
            answer("             choose another end that builds and boots");
        }
        Verdict::Inconclusive { credible, older, why, more, contradiction } => {
            answer(format_args!("inconclusive: {why}"));
            if !credible.is_empty() {
                answer(match contradiction {
                    true => "what explains the runs least badly:",
                    false => match record.header.find {
                        Find::Cause => "the culprit is, with 95 % probability, one of:",
                        Find::Fix => "the fix is, with 95 % probability, one of:",
                    },
                });
            }
            for (commit, probability) in credible {
                answer(format_args!(
                    "  {:>6}  {} {}",
                    percent(*probability),
                    commit.short(),
                    fit(&commit.subject, 56)
                ));
            }
            if *older > 0.0005 {
                let (share, what) = (percent(*older), all_bad(record.header.find));
                answer(format_args!("  {share:>6}  {what}"));
            }
            if let Some(more) = more {
                answer(labelled("would help", &more_text(more)));
            }
        }
    }
}

/// What another test would cost and bring.
pub(crate) fn more_text(more: &MoreRuns) -> String {
    let build = if more.build { "a build and " } else { "" };
    let bits = match more.bits {
        b if b > 0.0 => format!("; about {b:.2} bits, of which one halves the doubt"),
        _ => String::new(),
    };
    format!(
        "{build}{} runs of {}, about {}{bits}",
        more.runs,
        more.commit.short(),
        duration(more.seconds)
    )
}

/// A finding, as a label and a sentence.
pub(crate) fn finding_text(finding: &Finding) -> (&'static str, String) {
    match finding {
        Finding::Reverted { revision, target, clean, other, holds, .. } => {
            let other = match other {
                0 => String::new(),
                n => format!(", {n} other"),
            };
            let seen = format!("{target} target crashes, {clean} clean runs{other}");
            let text = match holds {
                Some(true) => format!("{}: {seen}; as it must be", revision.subject),
                Some(false) => format!("{}: {seen}; it makes no difference", revision.subject),
                None => format!("{}: {seen}; too few to say", revision.subject),
            };
            ("undone", text)
        }
        Finding::NotReverted { why } => ("not undone", why.clone()),
        Finding::Visibility { reasons } => (
            "beware",
            format!("it may only have made the difference visible: {}", reasons.join("; ")),
        ),
    }
}

/// The possibility that no commit of the range is the one.
pub(crate) fn all_bad(find: Find) -> &'static str {
    match find {
        Find::Cause => "older than the good end",
        Find::Fix => "not fixed in the good end",
    }
}

fn print_bill(bill: &Bill) {
    answer(format_args!(
        "builds       {} compiled in {}\n             {} avoided: {} known by input, {} by closure ({} saved)",
        bill.builds_compiled,
        duration(bill.build_seconds),
        bill.builds_avoided_input + bill.builds_avoided_closure,
        bill.builds_avoided_input,
        bill.builds_avoided_closure,
        duration(bill.build_seconds_saved)
    ));
    if bill.commits_proved > 0 {
        answer(format_args!(
            "proved       {} commits change nothing that a known build reads",
            bill.commits_proved
        ));
    }
    answer(format_args!(
        "boots        {} made in {} of machine time\n             {} avoided: the image's evidence was known ({} saved)",
        bill.runs_made,
        duration(bill.run_seconds),
        bill.runs_avoided_evidence,
        duration(bill.run_seconds_saved)
    ));
}

/// "crash", "ok", … for progress lines.
pub(crate) fn outcome_word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok => "ok".into(),
        Outcome::Crash { title } => format!("crashed: {title}"),
        Outcome::BootFailure { title } => format!("boot failed: {title}"),
        Outcome::Infra { reason } => format!("host failed: {reason}"),
    }
}
