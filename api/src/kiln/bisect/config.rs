//! `kiln bisect config`: which options does the crash need?

use std::path::{Path, PathBuf};

use kiln_bisect::reduce::{ConfigSearch, Difference, Found, Question, Reduced};
use kiln_builder::{Config, Repository};
use serde_json::json;

use super::TestArgs;
use super::start::{Shared, absolute};
use crate::kiln::build::{HowArgs, for_this_machine};
use crate::kiln::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::table::{self, WIDTH};
use crate::terminal::text::{duration, hanging, labelled, percent, wrapped};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision that crashes: anything that git understands
    #[arg(long, value_name = "REV")]
    revision: String,
    /// The kernel's git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// The configuration with which it crashes
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A configuration with which it does not: the smallest set of differences from it is sought
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    test: TestArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let progress = context.progress();
    let store = context.open().await?;
    let repository = Repository::open(absolute(&args.repo)?)?;
    let test = args.test.spec()?;
    let shared = Shared::new(context, &args.how.shortcuts, args.test.patterns.read()?)?;
    let revision = repository.resolve(&args.revision)?;
    let toolchain = args.how.toolchain(&repository, &revision)?;
    let read = |path: &Path| -> anyhow::Result<Config> {
        let config = Config::read(path)?;
        match args.how.build_command {
            None => for_this_machine(config),
            Some(_) => Ok(config),
        }
    };
    let question = Question {
        revision,
        repository: repository.path().to_owned(),
        base: read(&args.base)?,
        config: read(&args.config)?,
        how: args.how.how(),
        toolchain,
        limits: args.test.limits(&test, args.how.jobs(), 0.95),
        title: args.test.title.clone(),
        test,
    };
    let around = shared.around(&store, &progress, "");
    let search = ConfigSearch::new(around, question).await?;
    let reduced = search.run().await;
    progress.clear();
    let reduced = reduced?;
    if context.json {
        answer_json(&json!(reduced))?;
    } else {
        print(&reduced);
    }
    Ok(match reduced.result {
        Found::Needs { .. } => Exit::Done,
        Found::BaseShows => Exit::OlderThanGood,
        Found::NotReproduced => Exit::NotReproduced,
        Found::Unusable { builds: false, .. } => Exit::DoesNotBuild,
        Found::Unusable { .. } => Exit::Failed,
        Found::Tie { .. } | Found::Budget { .. } => Exit::Inconclusive,
    })
}

fn print(reduced: &Reduced) {
    answer(labelled("target", &reduced.target));
    answer(format_args!("differences  {}", reduced.differences.len()));
    let rows: Vec<Vec<String>> = reduced
        .tried
        .iter()
        .map(|tried| {
            let options: Vec<&str> = tried
                .options
                .iter()
                .map(|index| reduced.differences[*index].option.trim_start_matches("CONFIG_"))
                .collect();
            let seen = [tried.target, tried.clean, tried.other].map(|n| n.to_string());
            let [target, clean, other] = seen;
            vec![
                tried.options.len().to_string(),
                target,
                clean,
                other,
                tried.unusable.clone().unwrap_or_else(|| percent(tried.probability)),
                options.join(" "),
            ]
        })
        .collect();
    let heading = ["options", "crash", "ok", "other", "shows?", "which"];
    answer(format_args!("\n{}", table::render(&heading, &rows, &[0, 1, 2, 3])));
    match &reduced.result {
        Found::Needs { options, probability, along } => {
            match options.is_empty() {
                true => answer("the crash needs none of the options"),
                false => answer("the crash needs"),
            }
            for needed in options {
                let without = match needed.probability {
                    None => "does not build or boot without it".to_owned(),
                    Some(p) => format!(
                        "{} clean runs without it: {} sure",
                        needed.clean_without,
                        percent(p)
                    ),
                };
                answer(format_args!("  {}\n             {without}", said(&needed.difference)));
            }
            if !along.is_empty() {
                let along: Vec<String> = along.iter().map(said).collect();
                answer(format_args!("which brings along\n  {}", along.join("\n  ")));
            }
            answer(format_args!(
                "probability  {} that none can be left out",
                percent(*probability)
            ));
        }
        Found::BaseShows => answer("the baseline shows it too: give another --base"),
        Found::NotReproduced => answer("not reproduced with the configuration given"),
        Found::Unusable { which, why, .. } => {
            answer(wrapped(&format!("{which} can't be tested: {why}"), WIDTH));
        }
        Found::Tie { titles } => {
            answer(
                "inconclusive: these crashes come about equally often; say with --title which to hunt:",
            );
            titles.iter().for_each(|title| answer(hanging("  ", title)));
        }
        Found::Budget { smallest } if smallest.is_empty() => {
            answer("inconclusive: the budget is used up before the crash was seen often enough");
        }
        Found::Budget { smallest } => {
            answer("inconclusive: the budget is used up; this is known to show it:");
            for one in smallest {
                answer(format_args!("  {}", said(one)));
            }
        }
    }
    answer(format_args!(
        "builds       {} compiled, {} avoided",
        reduced.builds_compiled, reduced.builds_avoided
    ));
    answer(format_args!(
        "boots        {} made, {} avoided; {} in all",
        reduced.runs_made,
        reduced.runs_avoided,
        duration(reduced.seconds)
    ));
}

/// "CONFIG_A=y (n in the baseline)".
fn said(difference: &Difference) -> String {
    let Difference { option, base, given } = difference;
    match given.as_str() {
        "n" => format!("# {option} is not set ({base} in the baseline)"),
        given => format!("{option}={given} ({base} in the baseline)"),
    }
}
