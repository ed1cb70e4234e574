//! `kiln verify`: is everything there, and right?

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::text::size;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every byte, not only names and tables
    #[arg(long)]
    deep: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open().await?;
    let progress = context.progress();
    let report = store
        .verify(args.deep, &|at| {
            progress.counted_status(
                format!("verifying, {} read", size(at.bytes)),
                at.done,
                at.total,
            );
        })
        .await;
    progress.clear();
    let report = report?;
    let exit = if report.problems.is_empty() { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    for problem in &report.problems {
        answer(format_args!("problem    {problem}"));
    }
    answer(format_args!("builds     {}", report.builds));
    answer(format_args!("blobs      {}, {} read", report.blobs, size(report.bytes)));
    answer(format_args!("orphans    {}", report.orphans));
    answer(match report.problems.len() {
        0 => "nothing wrong".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    });
    Ok(exit)
}
