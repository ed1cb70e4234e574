//! `kiln stats`: what the store holds.

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::text::size;

pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let stats = context.open_existing().await?.stats().await?;
    if context.json {
        answer_json(&stats)?;
        return Ok(Exit::Done);
    }
    answer(format_args!("store        {}", context.location()?));
    answer(format_args!("builds       {} ({} do not build)", stats.builds, stats.failed_builds));
    answer(format_args!("images       {}", stats.images));
    answer(format_args!("artifacts    {}, {}", stats.artifacts, size(stats.artifact_bytes)));
    answer(format_args!(
        "distinct     {}, {}, stored in {}",
        stats.distinct_artifacts,
        size(stats.plain_bytes),
        size(stats.stored_bytes)
    ));
    answer(format_args!(
        "blobs        {}, {} of them consoles",
        stats.blobs,
        size(stats.other_stored_bytes)
    ));
    answer(format_args!("runs         {}", stats.runs));
    answer(format_args!("bisections   {}", stats.journals));
    Ok(Exit::Done)
}
