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
    /// Reading needs a token, too; without this, only adding does
    #[arg(long)]
    private: bool,
    /// Never send clients to the bucket itself, even where it has addresses for them
    #[arg(long)]
    no_redirects: bool,
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
    let metrics = service::metrics::begin().context("can't count what happens")?;
    let options = service::Options { private: args.private, redirects: !args.no_redirects };
    let router = service::router(store.clone(), &options, metrics);
    service::listen::serve(listener, router, stopped()).await;
    store.close().await;
    Ok(Exit::Done)
}

/// Ends when the service is told to stop: that is how it ends well.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => (),
            _ = terminate.recv() => (),
        },
        Err(_) => _ = tokio::signal::ctrl_c().await,
    }
}
