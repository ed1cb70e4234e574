//! `kiln pack`: make the store smaller.

use kiln_cache::pack::PackOptions;

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::problems::PROBLEM;
use crate::terminal::text::{hanging, size};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How hard zstd tries on what is stored whole
    #[arg(long, value_name = "N", default_value_t = PackOptions::default().level,
          value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    /// Leave files larger than this many MiB alone: packing takes five times their size
    #[arg(long, value_name = "MIB", default_value_t = PackOptions::default().largest >> 20)]
    largest: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let progress = context.progress();
    let options = PackOptions { level: args.level, largest: args.largest.saturating_mul(1 << 20) };
    let packed = store
        .pack(options, &|at| {
            let message = format!("packing, {} saved", size(at.saved));
            progress.counted_status(message, at.done, at.total);
        })
        .await;
    progress.clear();
    let report = packed?;
    let exit = if report.problems.is_empty() { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    for problem in &report.problems {
        answer(hanging(PROBLEM, problem));
    }
    answer(format_args!("blobs      {}, {} packed now", report.blobs, report.packed));
    answer(format_args!("           {} as a difference to a neighbour", report.deltas));
    answer(format_args!("           {} whole, for others to differ from", report.keyframes));
    answer(format_args!("           {} boot images taken apart", report.images));
    if report.whole_images > 0 {
        answer(format_args!("           {} boot images can't be made again", report.whole_images));
    }
    if report.skipped > 0 {
        answer(format_args!("           {} left alone", report.skipped));
    }
    answer(format_args!(
        "bytes      {} before, {} now",
        size(report.bytes_before),
        size(report.bytes_after)
    ));
    Ok(exit)
}
