//! `kiln explain`: why two builds differ.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_cache::build_draft::VMLINUX;
use kiln_cache::signature::explain::{Cause, Difference, Explanation, explain};

use super::common::{Context, answer, answer_json};
use super::kernels::{Kernel, explains, without_foreign_object};
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::table::{WIDTH, cut_for_answer, render_for_answer};
use crate::terminal::text::wrapped;

/// How many symbols a line of the table names.
const NAMED: usize = 2;
/// Width of the column that says where, on a terminal.
const PLACE: usize = 24;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A build: a folder that make was run in, a vmlinux, or a revision, input key, signature or
    /// build id of a build in the store
    before: String,
    /// The build to compare it with
    after: String,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let progress = context.progress();
    let folder = tempfile::tempdir().context("no folder for temporary files")?;
    let mut sides = Vec::with_capacity(2);
    let mut inputs = Vec::with_capacity(2);
    for (side, name) in [("before", &args.before), ("after", &args.after)] {
        progress.status(format!("getting {name}"));
        let place = folder.path().join(side);
        let found = async {
            let kernel = Kernel::find(context, name, &args.repo, VMLINUX).await?;
            let files = kernel.files(&place, |it| explains(&it.name)).await?;
            anyhow::Ok((kernel.input().cloned(), files))
        };
        let (input, mut files) = found.await.inspect_err(|_| progress.clear())?;
        if !files.contains_key(VMLINUX) {
            progress.clear();
            let is_folder = Path::new(name).is_dir();
            let exit = if is_folder { Exit::Failed } else { Exit::NotFound };
            return Err(Fault::new(exit, format!("there is no vmlinux in '{name}'")).into());
        }
        without_foreign_object(&mut files).inspect_err(|_| progress.clear())?;
        sides.push(files);
        inputs.extend(input);
    }
    progress.status("comparing");
    let explained = tokio::task::spawn_blocking(move || {
        let inputs = inputs.first_chunk().map(|[before, after]| [before, after]);
        explain(&sides[0], &sides[1], inputs)
    });
    let explained = explained.await;
    progress.clear();
    let explanation = explained.context("comparing stopped")??;
    if context.json {
        answer_json(&explanation)?;
    } else {
        print(&explanation);
    }
    Ok(Exit::Done)
}

fn print(explanation: &Explanation) {
    let equal = |equal: bool| if equal { "equal" } else { "different" };
    answer(format_args!("image  {}", equal(explanation.image_equal)));
    answer(format_args!("code   {}", explanation.code_equal.map_or("not known", equal)));
    if explanation.differences.is_empty() {
        let told = match explanation.image_equal {
            true => "no byte that is compared differs",
            false => {
                "all sections are the same: the headers of the files differ, or one has no symbol table \
                 (stripped), so that what the image leaves out can't be found in it"
            }
        };
        answer(wrapped(told, WIDTH));
        return;
    }
    answer("");
    // One table, so that the columns stand below each other in all its parts.
    let parts: Vec<(&Cause, Vec<&Difference>)> = by_cause(explanation);
    let rows: Vec<Vec<String>> =
        parts.iter().flat_map(|(cause, part)| part.iter().map(|it| row(it, cause))).collect();
    let table = render_for_answer(&["  file", "where", "bytes", "hidden", "what"], &rows, &[2]);
    let mut lines = table.lines();
    answer(lines.next().unwrap_or_default());
    for (cause, part) in parts {
        answer(wrapped(&cause.text(), WIDTH));
        for line in lines.by_ref().take(part.len()) {
            answer(line);
        }
    }
}

/// The causes, each with the differences that have it for their first.
fn by_cause(explanation: &Explanation) -> Vec<(&Cause, Vec<&Difference>)> {
    let of = |cause: &Cause| {
        let is_of = |it: &&Difference| it.causes.iter().min() == Some(cause);
        explanation.differences.iter().filter(is_of).collect()
    };
    explanation.causes.iter().map(|cause| (cause, of(cause))).collect()
}

fn row(difference: &Difference, cause: &Cause) -> Vec<String> {
    let mut what = difference.symbols.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = difference.symbol_count.saturating_sub(NAMED as u64);
    if more > 0 {
        what = format!("{what} and {more} more");
    }
    for other in difference.causes.iter().filter(|it| *it != cause) {
        let also = if what.is_empty() { "" } else { "; " };
        what = format!("{what}{also}also: {}", other.kind.text());
    }
    vec![
        format!("  {}", difference.file),
        cut_for_answer(&difference.place, PLACE),
        difference.bytes.to_string(),
        if difference.masked { "yes" } else { "no" }.to_owned(),
        what,
    ]
}
