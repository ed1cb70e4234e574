//! `kiln serve`: the store over HTTP.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::common::{Context, answer, answer_json};
use crate::service;
use crate::terminal::exit::Exit;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5456")]
    listen: SocketAddr,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open().await?;
    let listener = tokio::net::TcpListener::bind(args.listen).await.with_context(|| {
        format!("can't listen on {}; choose another address with --listen", args.listen)
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    if context.json {
        answer_json(&serde_json::json!({ "url": url }))?;
    } else {
        answer(format_args!("serving {} at {url}", context.location()?));
    }
    axum::serve(listener, service::router(store)).await?;
    Ok(Exit::Done)
}
