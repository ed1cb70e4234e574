//! `kiln stats`: what the store holds.

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::text::{hanging, size};

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
    answer(format_args!("blobs        {}", stats.blobs));
    answer(format_args!(
        "  consoles   {}, stored in {}",
        stats.consoles,
        size(stats.console_stored_bytes)
    ));
    let others = stats.other_blobs.saturating_sub(stats.consoles);
    let bytes = stats.other_stored_bytes.saturating_sub(stats.console_stored_bytes);
    answer(hanging(
        "  others     ",
        &format!("{others}, stored in {}: parts of boot images, files of no build", size(bytes)),
    ));
    answer(format_args!("runs         {}", stats.runs));
    answer(format_args!("bisections   {}", stats.journals));
    Ok(Exit::Done)
}
