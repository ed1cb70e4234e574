//! `kiln reindex`: the index, made again from the manifests.

use super::common::{Context, answer, answer_json};
use crate::terminal::exit::Exit;

pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let progress = context.progress();
    progress.status("reading manifests");
    let builds = store.reindex().await;
    progress.clear();
    let builds = builds?;
    if context.json {
        answer_json(&serde_json::json!({ "builds": builds }))?;
    } else {
        answer(format_args!("{builds} builds indexed"));
    }
    Ok(Exit::Done)
}
