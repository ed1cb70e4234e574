//! `kiln verify`: is everything there, and right?

use kiln_cache::verify::Phase;

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
            let message = match at.phase {
                Phase::Builds => "verifying builds".to_owned(),
                Phase::Blobs => format!("verifying blobs, {} read", size(at.bytes)),
                Phase::Signatures => "signing kernels anew".to_owned(),
                Phase::Leftovers => "looking for leftovers".to_owned(),
            };
            progress.counted_status(message, at.items, at.total_items);
        })
        .await;
    progress.clear();
    let report = report?;
    let exit = if report.is_clean() { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    for problem in &report.problems {
        answer(format_args!("problem    {problem}"));
    }
    answer(format_args!("builds     {}", report.builds));
    answer(format_args!(
        "blobs      {}, {} {}",
        report.blobs,
        size(report.bytes),
        if report.deep { "read" } else { "(tables only; --deep reads all)" }
    ));
    if report.orphans > 0 {
        answer(format_args!(
            "orphans    {} blobs of interrupted writes, {} (harmless)",
            report.orphans,
            size(report.orphan_bytes)
        ));
    }
    if report.quarantined > 0 {
        answer(format_args!("quarantine {} objects", report.quarantined));
    }
    answer(match report.problems.len() {
        0 => "nothing wrong".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    });
    Ok(exit)
}
