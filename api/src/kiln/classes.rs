//! `kiln classes`: which commits of a range give one image.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kiln_builder::{Builder, Class, Config, History, How, Quiet, Repository, Request};
use serde::Serialize;

use super::build::cores;
use super::common::{Context, answer, answer_json};
use super::toolchains::ToolchainArgs;
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table::{self, WIDTH};
use crate::terminal::text::{duration, wrapped};

/// Classes that are printed on a terminal.
const SHOWN: usize = 30;
/// What stands in the place of a build where none is proved.
const EXPECTED: &str = "expected";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The range: GOOD..BAD, anything that git understands
    #[arg(value_name = "GOOD..BAD")]
    range: String,
    /// The kernel's git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// The kernel configuration, as it was given to `kiln build`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print each commit, in the order of the history, with the number of its class
    #[arg(long)]
    commits: bool,
    /// Where builds at hand speak against each other, compile what shows which of them is wrong, and
    /// withdraw that
    #[arg(long)]
    settle: bool,
    #[command(flatten)]
    toolchain: ToolchainArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    commits: usize,
    classes: Vec<Row<'a>>,
    builds: usize,
    /// Builds of the range itself that were not looked at, as there are too many.
    left_out: usize,
    proved: usize,
    contrary: Vec<Against<'a>>,
    seconds: f64,
}

/// Two builds of which one is wrong.
#[derive(Serialize)]
struct Against<'a> {
    commit: &'a str,
    /// Its own build.
    own: String,
    /// The build that the commit is proved to give.
    proved: String,
}

#[derive(Serialize)]
struct Row<'a> {
    commits: Vec<&'a str>,
    /// The build that all of them are proved to give; without one it is expected.
    build: Option<String>,
    /// What the class begins with.
    begins: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let (good, bad) = ends(&args.range)
        .with_context(|| format!("'{}' is no range: write GOOD..BAD", args.range))?;
    let repository = Repository::open(&args.repo)?;
    let history = Arc::new(repository.history(good, bad)?);
    let toolchain = args.toolchain.choose(&repository, &history.tip)?;
    let builder = Builder::new(context.open().await?, context.work()?, Arc::new(Quiet))
        .with_toolchain(&toolchain);
    let request = Request {
        repository: args.repo.clone(),
        revision: history.tip.clone(),
        config: Some(Config::read(&args.config)?),
        how: How::Kbuild,
        jobs: cores(),
        strict_config: false,
    };
    let mut found = builder.classes(&history, &request).await?;
    while args.settle
        && !found.contrary.is_empty()
        && builder.settle_classes(&history, &request, &found.contrary).await?
    {
        found = builder.classes(&history, &request).await?;
    }
    if found.builds == 0 && found.contrary.is_empty() {
        let why = format!(
            "no build of this configuration is at hand: run `kiln build {bad} --repo … --config …` \
             first; what it reads tells which commits matter"
        );
        return Err(Fault::new(Exit::NotFound, why).into());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let in_proved = |class: &&Class| class.build.is_some();
    let proved = found.classes.iter().filter(in_proved).map(|class| class.commits.len()).sum();
    let rows = found.classes.iter().map(|class| row(&history, class));
    let contrary = found.contrary.iter().map(|it| Against {
        commit: &history.commits[it.commit].id,
        own: it.own.to_string(),
        proved: it.by.to_string(),
    });
    let answer = Answer {
        commits: history.commits.len(),
        builds: found.builds,
        left_out: found.left_out,
        classes: rows.collect(),
        proved,
        contrary: contrary.collect(),
        seconds,
    };
    if context.json {
        answer_json(&answer)?;
    } else {
        match args.commits {
            true => print_commits(&history, &found.classes),
            false => print(&answer),
        }
        print_contrary(&answer.contrary);
    }
    Ok(Exit::Done)
}

/// The ends of a range. One that is left out is the commit that is checked out, as for git.
fn ends(range: &str) -> Option<(&str, &str)> {
    const CHECKED_OUT: &str = "HEAD";
    let (good, bad) = range.split_once("..")?;
    let named = |end| if str::is_empty(end) { CHECKED_OUT } else { end };
    // Three dots are another set of commits.
    let is_none = range == ".." || bad.starts_with('.');
    (!is_none).then(|| (named(good), named(bad)))
}

fn print_commits(history: &History, classes: &[Class]) {
    let mut of = vec![0; history.commits.len()];
    for (class, number) in classes.iter().zip(1..) {
        class.commits.iter().for_each(|commit| of[*commit] = number);
    }
    let rows: Vec<Vec<String>> = std::iter::zip(of, &history.commits)
        .map(|(class, commit)| vec![class.to_string(), short(&commit.id), commit.subject.clone()])
        .collect();
    answer(table::render_for_answer(&["class", "commit", "subject"], &rows, &[0]).trim_end());
}

fn row<'a>(history: &'a History, class: &Class) -> Row<'a> {
    Row {
        commits: class.commits.iter().map(|commit| history.commits[*commit].id.as_str()).collect(),
        build: class.build.map(|build| build.to_string()),
        begins: class.begins.as_ref().map(|touch| touch.to_string()),
    }
}

fn print(found: &Answer<'_>) {
    answer(format_args!("commits   {}", found.commits));
    answer(format_args!(
        "classes   {}, by what {} builds at hand read; found in {}",
        found.classes.len(),
        found.builds,
        duration(found.seconds)
    ));
    if found.left_out > 0 {
        answer(format_args!("left out  {} more builds of the range", found.left_out));
    }
    answer(format_args!("proved    {} commits give a build that is at hand", found.proved));
    let heading = ["class", "commits", "first", "build", "begins with"];
    let most = if table::is_shown() { SHOWN } else { usize::MAX };
    let shown = &found.classes[..found.classes.len().min(most)];
    let rows: Vec<Vec<String>> = shown.iter().zip(1..).map(cells).collect();
    answer(format_args!("\n{}", table::render_for_answer(&heading, &rows, &[0, 1]).trim_end()));
    if found.classes.len() > shown.len() {
        answer(format_args!("… {} more: see --json", found.classes.len() - shown.len()));
    }
    answer("\nwhich commits are in which: --commits");
    if shown.iter().any(|row| row.build.is_none()) {
        let text = "expected: no build at hand proves what these commits give. From one of them to \
                    the next nothing changes that a build at hand read, so they are expected to \
                    give one image; a build of one of them may read more, and part them.";
        answer(format_args!("\n{}", wrapped(text, WIDTH)));
    }
}

fn print_contrary(contrary: &[Against<'_>]) {
    if contrary.is_empty() {
        return;
    }
    answer("\nCONTRARY: one of each two is wrong, and neither counts; which, --settle finds out");
    let row = |it: &Against<'_>| vec![short(it.commit), short(&it.own), short(&it.proved)];
    let rows: Vec<Vec<String>> = contrary.iter().map(row).collect();
    let heading = ["commit", "own build", "proved to give"];
    answer(table::render_for_answer(&heading, &rows, &[]).trim_end());
}

fn short(id: &str) -> String {
    id.get(..12).unwrap_or(id).to_owned()
}

fn cells((row, number): (&Row<'_>, usize)) -> Vec<String> {
    vec![
        number.to_string(),
        row.commits.len().to_string(),
        row.commits.first().map(|id| short(id)).unwrap_or_default(),
        row.build.as_deref().map_or(EXPECTED.to_owned(), short),
        row.begins.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_gits() {
        assert_eq!(ends("v6.1..v6.2"), Some(("v6.1", "v6.2")));
        assert_eq!(ends("v6.1.."), Some(("v6.1", "HEAD")));
        assert_eq!(ends("..topic"), Some(("HEAD", "topic")));
        assert_eq!(ends("HEAD..HEAD"), Some(("HEAD", "HEAD")), "which is empty");
        for none in ["v6.1", "..", "v6.1...v6.2", ""] {
            assert_eq!(ends(none), None, "{none}");
        }
    }
}
