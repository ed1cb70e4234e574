//! `kiln serve`: the store over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use kiln_cache::pack::PackOptions;
use kiln_cache::retention::GcReport;
use kiln_cache::{Store, StoreError};

use super::common::{Context, answer, answer_json, told_to_stop};
use super::gc::refusal;
use super::retention::PolicyFile;
use crate::service;
use crate::terminal::exit::Exit;

/// The end of the help; `service/mod.rs` says more of each.
const ROUTES: &str = "\
Routes (NAME of a build: input key, commit, signature or build id):
  GET  /                              the bisections, as pages
  GET  /v1/builds/NAME                a build, as JSON
  GET  /v1/builds/NAME/artifacts/FILE a file of it
  GET  /v1/blobs/DIGEST               any file; with Range, ETag
  GET  /v1/bisections                 the bisections; /ID: one; /ID/log: its log
  GET  /v1/stats                      what the store holds
  GET  /metrics, /healthz             for Prometheus, and whether it answers
  PUT  /v1/blobs/DIGEST               takes a file
  POST /v1/builds                     makes a build of files that were taken
A token is sent as 'Authorization: Bearer TOKEN'; kiln takes it from KILN_TOKEN.";

#[derive(Debug, clap::Args)]
#[command(after_help = ROUTES)]
pub(crate) struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5456")]
    listen: SocketAddr,
    /// Take uploads (`kiln push --remote`) from whoever can connect, without a token [default: only
    /// when nobody but this machine can]
    #[arg(long)]
    uploads: bool,
    /// Pack the store every so many minutes; 0 for never
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    pack_every: u64,
    /// Leave files larger than this many MiB to `kiln pack`: packing takes five times their size,
    /// which the server must have beside all it serves
    #[arg(long, value_name = "MIB", default_value_t = 100)]
    pack_largest: u64,
    /// Collect garbage by the policy's file every so many hours, as `kiln gc` does; 0 for never. No
    /// build goes for a quota that more than half of them would go for, unless the file says
    /// most-may-go = true
    #[arg(long, value_name = "HOURS", default_value_t = 0)]
    gc_every: u64,
    #[command(flatten)]
    policy: PolicyFile,
    /// Reading needs a token, too; without this, only adding does
    #[arg(long)]
    private: bool,
    /// Never send clients to the bucket itself, even where it has addresses for them
    #[arg(long)]
    no_redirects: bool,
}

/// Packs what came in, now and then. Readers do not wait for it; somebody else who packs or
/// collects garbage goes first.
async fn pack_now_and_then(store: Store, every: Duration, options: PackOptions) {
    loop {
        tokio::time::sleep(every).await;
        match store.pack(options, &|_| {}).await {
            Ok(report) if report.packed > 0 => tracing::info!(?report, "packed"),
            Ok(_) | Err(StoreError::Busy) => {}
            // No later try ends otherwise.
            Err(error @ StoreError::NotShared(_)) => return tracing::warn!(%error, "never packed"),
            Err(error) => tracing::warn!(%error, "packing failed"),
        }
    }
}

/// Collects garbage now and then, by what the file says at that time.
async fn collect_now_and_then(store: Store, every: Duration, file: PolicyFile) {
    loop {
        tokio::time::sleep(every).await;
        match collect(&store, &file).await {
            Ok(report) => {
                tracing::info!(
                    builds = report.gone.len(),
                    debug_info = report.let_go.len(),
                    freed = report.freed_bytes,
                    above_quota = report.above_quota,
                    "collected garbage"
                );
                if let Some(most) = &report.refused {
                    tracing::warn!("the store stays above its quota: {}", refusal(most));
                }
            }
            Err(error) => tracing::warn!("collecting garbage failed: {error:#}"),
        }
    }
}

async fn collect(store: &Store, file: &PolicyFile) -> anyhow::Result<GcReport> {
    Ok(store.gc(&file.read()?.policy(store).await?).await?)
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.gc_every > 0 {
        // A mistake in it is for whoever starts the server.
        args.policy.read()?;
    }
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
    if args.pack_every > 0 {
        context.progress().line(format!(
            "files above {} MiB are stored as they come, until somebody runs `kiln pack`",
            args.pack_largest
        ));
    }
    if (args.pack_every > 0 || args.gc_every > 0)
        && let Err(error) = store.may_be_collected().await
    {
        tracing::warn!(%error, "it will not be packed");
    }
    let packing = (args.pack_every > 0).then(|| {
        let every = Duration::from_secs(args.pack_every.saturating_mul(60));
        let largest = args.pack_largest.saturating_mul(1 << 20);
        let options = PackOptions { largest, ..PackOptions::default() };
        tokio::spawn(pack_now_and_then(store.clone(), every, options))
    });
    let collecting = (args.gc_every > 0).then(|| {
        let every = Duration::from_secs(args.gc_every.saturating_mul(3600));
        tokio::spawn(collect_now_and_then(store.clone(), every, args.policy.clone()))
    });
    let metrics = service::metrics::begin().context("can't count what happens")?;
    let options = service::Options {
        private: args.private,
        uploads: args.uploads || (!args.private && args.listen.ip().is_loopback()),
        redirects: !args.no_redirects,
    };
    let router = service::router(store.clone(), &options, metrics);
    service::listen::serve(listener, router, stopped()).await;
    for work in [packing, collecting].into_iter().flatten() {
        work.abort();
    }
    store.close().await;
    Ok(Exit::Done)
}

/// Ends when the service is told to stop: that is how it ends well.
async fn stopped() {
    if told_to_stop().await.is_err() {
        // Then only the terminal can.
        _ = tokio::signal::ctrl_c().await;
    }
}
