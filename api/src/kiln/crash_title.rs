//! `kiln crash-title`: name the crash that a console tells of.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_bisect::console::{Crash, Patterns, first_crash};
use serde_json::json;

use super::common::{Context, answer, answer_json};
use super::title_patterns::TitlePatterns;
use crate::terminal::exit::Exit;
use crate::terminal::table::is_shown;
use crate::terminal::text::labelled;

/// Name the first crash that a kernel's console tells of
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The console, of any length; `-` for standard input
    console: PathBuf,
    #[command(flatten)]
    patterns: TitlePatterns,
}

const HELP: &str = "\
Exit codes:
  0  the console was read; without a crash the title is empty
  1  it could not be read, or the patterns can't
  2  wrong command line

A file of patterns (--title-patterns, or titles.toml in kiln's configuration
directory) adds kinds of crashes and lines that tell of none:

  ignore = ['WARNING: .* harmless']
  [[title]]
  line = 'widget: fatal error (\\w+)'   # a regular expression
  title = 'widget error {1} in {f}'     # {1}: captured; {f}: the function
                                        # that the report's stack blames";

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let patterns = args.patterns.read()?;
    let path = args.console;
    let crash = tokio::task::spawn_blocking(move || crash_of(&path, &patterns)).await??;
    if context.json {
        let crash = crash.as_ref();
        answer_json(&json!({
            "title": crash.map_or("", |crash| crash.title.as_str()),
            "alternatives": crash.map_or(&[][..], |crash| &crash.alternatives),
            "type": crash.map_or("", |crash| crash.kind.as_str()),
            "corrupted": crash.is_some_and(|crash| crash.corrupted),
            "start": crash.map(|crash| crash.start),
            "end": crash.map(|crash| crash.end),
        }))?;
        return Ok(Exit::Done);
    }
    let Some(crash) = crash else {
        answer("no crash");
        return Ok(Exit::Done);
    };
    answer(title_line("title", &crash.title));
    for (place, other) in crash.alternatives.iter().enumerate() {
        answer(title_line(if place == 0 { "or" } else { "" }, other));
    }
    if !crash.kind.as_str().is_empty() {
        answer(labelled("type", crash.kind.as_str()));
    }
    if crash.corrupted {
        answer(labelled(
            "corrupted",
            "the report is torn, mixed or cut off: the title may be wrong",
        ));
    }
    answer(labelled("where", &format!("bytes {} to {}", crash.start, crash.end)));
    Ok(Exit::Done)
}

/// A title stays in one line where it is not shown: it is searched for.
fn title_line(label: &str, title: &str) -> String {
    if is_shown() { labelled(label, title) } else { format!("{label:<13}{title}") }
}

fn crash_of(path: &Path, patterns: &Patterns) -> anyhow::Result<Option<Crash>> {
    let name = path.display();
    let mut input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(path).with_context(|| format!("can't open '{name}'"))?),
    };
    first_crash(&mut input, patterns).with_context(|| format!("can't read '{name}'"))
}
