//! `kiln export` and `kiln import`: builds, evidence and records between this store and another.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kiln_cache::transfer::{Selection, TransferPhase};
use kiln_cache::{Query, Store};

use super::bisect;
use super::common::{Context, answer, answer_json, open_existing};
use super::pull::selector;
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::problems::problems;
use crate::terminal::text::size;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The other store: a folder, or the URL of a bucket, as for --store
    place: String,
    /// The other store's database, as for --database
    #[arg(long, value_name = "URL")]
    their_database: Option<String>,
    /// Only builds by this name (revision, signature, build id, input key) with what was seen of
    /// them; may be given several times
    #[arg(long = "build", value_name = "NAME")]
    builds: Vec<String>,
    /// Only this bisection, with the builds that it names and what was seen of them; may be given
    /// several times
    #[arg(long = "bisection", value_name = "ID")]
    bisections: Vec<String>,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From this store to the other.
    Export,
    /// From the other to this one.
    Import,
}

pub(crate) async fn run(
    context: &Context,
    args: Args,
    direction: Direction,
) -> anyhow::Result<Exit> {
    let theirs = context.place(&args.place, args.their_database.as_deref())?;
    // Only the one that things are brought to is made when it is not there.
    let (from, to) = match direction {
        Direction::Export => (context.open_existing().await?, Store::open(&theirs).await?),
        Direction::Import => {
            let theirs = open_existing(&theirs, "name the one that builds come from").await?;
            (theirs, context.open().await?)
        }
    };
    let (from, to) = (&from, &to);
    let selection = select(from, &args).await?;
    let progress = context.progress();
    let report = from
        .copy_to(to, &selection, &|at| {
            let what = match at.phase {
                TransferPhase::Builds => "bringing builds",
                TransferPhase::Runs => "bringing runs of images",
                TransferPhase::Journals => "bringing records",
            };
            progress.counted_status(what.to_owned(), at.done, at.total);
        })
        .await;
    progress.clear();
    let report = report?;
    let exit = if report.problems.is_empty() { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    for problem in problems(&report.problems) {
        answer(problem);
    }
    let known = |n: u64| if n == 0 { String::new() } else { format!(", {n} were there") };
    let builds = known(report.builds_known);
    answer(format_args!("builds     {}, {}{builds}", report.builds, size(report.bytes)));
    if report.builds_otherwise > 0 {
        answer(format_args!(
            "           {} of these are other kernels there, from the same input; they stay",
            report.builds_otherwise
        ));
    }
    if report.builds_without_debug > 0 {
        answer(format_args!(
            "           {} without debug information, which had been let go of",
            report.builds_without_debug
        ));
    }
    if report.builds_in_doubt > 0 {
        answer(format_args!(
            "           {} stayed behind: an audit left them in doubt",
            report.builds_in_doubt
        ));
    }
    answer(format_args!("runs       {}{}", report.runs, known(report.runs_known)));
    answer(format_args!("records    {}{}", report.journals, known(report.journals_known)));
    Ok(exit)
}

/// What the command line asks for.
async fn select(from: &Store, args: &Args) -> anyhow::Result<Selection> {
    if args.builds.is_empty() && args.bisections.is_empty() {
        return Ok(Selection::default());
    }
    let mut builds = BTreeSet::new();
    for name in &args.builds {
        let found = from.find_builds(&Query::parse(&selector(name, &args.repo)?)?).await?;
        if found.is_empty() {
            let why = format!("no build is known by '{name}' in the store that it comes from");
            return Err(Fault::new(Exit::NotFound, why).into());
        }
        builds.extend(found.iter().map(|build| build.input_key));
    }
    let mut journals = BTreeSet::new();
    for id in &args.bisections {
        // The first digits will do, as elsewhere.
        let id = bisect::find(from, id).await?.id;
        let Some(journal) = from.journal_read(&id).await? else {
            let why = format!("bisection {id} went away while it was read");
            return Err(Fault::new(Exit::NotFound, why).into());
        };
        let mut names = BTreeSet::new();
        names_in(&journal.header, &mut names);
        journal.events.iter().for_each(|entry| names_in(&entry.event, &mut names));
        for name in names {
            let query = Query::parse(&name)?;
            builds.extend(from.find_builds(&query).await?.iter().map(|build| build.input_key));
        }
        journals.insert(id);
    }
    Ok(Selection { builds: Some(builds), journals: Some(journals) })
}

/// Every whole name of a commit, image or build in a record, wherever it stands.
fn names_in(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    use serde_json::Value;
    match value {
        Value::String(text)
            if matches!(text.len(), 40 | 64)
                && text.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            names.insert(text.to_ascii_lowercase());
        }
        Value::Array(values) => values.iter().for_each(|value| names_in(value, names)),
        Value::Object(fields) => {
            for (key, value) in fields {
                names_in(&Value::String(key.clone()), names);
                names_in(value, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_stand() {
        let (commit, image) = ("a".repeat(40), "B".repeat(64));
        let mut classes = serde_json::Map::new();
        classes.insert(commit.clone(), serde_json::json!([image, "short", 7, null]));
        let mut names = BTreeSet::new();
        names_in(&serde_json::json!({ "classes": classes }), &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [commit, image.to_ascii_lowercase()]);
    }
}
