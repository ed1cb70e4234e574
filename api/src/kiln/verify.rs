//! `kiln verify`: is everything there, and right?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kiln_builder::{Builder, Config, How, Repository, Request};
use kiln_cache::remote::Timeouts;
use kiln_cache::verify::{Phase, VerifyReport};
use kiln_cache::{Digest, Manifest, Store, StoreError};

use super::build::{cores, for_this_machine};
use super::common::{Context, answer, answer_json, remote};
use super::toolchains::ToolchainArgs;
use crate::terminal::exit::Exit;
use crate::terminal::observe::BuildProgress;
use crate::terminal::problems::problems;
use crate::terminal::progress::Progress;
use crate::terminal::text::{count, size};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every byte, not only names and tables
    #[arg(long)]
    deep: bool,
    /// Fetch what is lost from a Kiln that serves, and check again
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// Build anew what is lost, of the kernel's sources in this git repository, and check again
    #[arg(long, value_name = "DIR")]
    rebuild: Option<PathBuf>,
    #[command(flatten)]
    toolchain: ToolchainArgs,
}

/// Fetches what somebody needs and is not here; gives how many came.
async fn fetch(store: &Store, url: &str, lost: &[Digest], progress: &Progress) -> usize {
    let mut fetched = 0;
    for digest in lost {
        progress.status(format!("fetching {}", digest.short()));
        match fetch_one(store, url, digest).await {
            Ok(()) => fetched += 1,
            Err(error) => progress.line(format!("{}: {error:#}", digest.short())),
        }
    }
    fetched
}

async fn fetch_one(store: &Store, url: &str, digest: &Digest) -> anyhow::Result<()> {
    let remote = remote(url, Timeouts::default())?;
    let size = remote.size(digest).await?;
    let folder = tempfile::tempdir_in(store.folder())?;
    let place = folder.path().join("blob");
    remote.download(digest, size, &place, true, &|_| {}).await?;
    store.put_file_as(&place, digest).await?;
    Ok(())
}

/// Builds anew what lost files; gives how many builds are whole again.
async fn rebuild(
    context: &Context,
    store: &Store,
    args: &Args,
    sources: &Path,
    lost: &[Digest],
    progress: &Progress,
) -> anyhow::Result<usize> {
    let repository = Repository::open(sources)?;
    let mut builds = BTreeMap::new();
    for digest in lost {
        if store.set_aside(digest).await? {
            let with = store.builds_with(digest).await?;
            builds.extend(with.into_iter().map(|build| (build.input_key, build)));
        }
    }
    let observer = Arc::new(BuildProgress::new(progress.clone()));
    let work = context.work()?;
    let mut whole = 0;
    for build in builds.values() {
        let builder = Builder::new(store.clone(), work.clone(), observer.clone());
        match rebuild_one(store, builder, &args.toolchain, &repository, build).await {
            Ok(()) => whole += 1,
            Err(error) => {
                progress.line(format!("build {}: {error:#}", &build.input_key.to_string()[..12]));
            }
        }
    }
    Ok(whole)
}

async fn rebuild_one(
    store: &Store,
    builder: Builder,
    toolchain: &ToolchainArgs,
    repository: &Repository,
    build: &Manifest,
) -> anyhow::Result<()> {
    let again = "the same files have to be pushed again";
    let config = build.artifact(".config").with_context(|| format!("no kernel: {again}"))?;
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("config");
    store.read_to_file(&config.digest, &place).await.context("its configuration is lost, too")?;
    let revision = repository.resolve(&build.commit)?;
    anyhow::ensure!(revision.tree == build.input.tree, "not made from sources alone: {again}");
    let toolchain = toolchain.choose(repository, &revision)?;
    let request = Request {
        repository: repository.path().to_owned(),
        revision,
        config: Some(for_this_machine(Config::read(&place)?)?),
        how: How::Kbuild,
        jobs: cores(),
        strict_config: false,
    };
    let built = builder.with_toolchain(&toolchain).build(&request).await?;
    let found = &built.manifest;
    anyhow::ensure!(
        found.input_key == build.input_key,
        "it was made by '{}', and this by '{}' ({}): see --toolchain",
        build.compiler,
        found.compiler,
        found.input_key
    );
    anyhow::ensure!(store.is_whole(found).await?, "it lost files again");
    Ok(())
}

async fn check(store: &Store, deep: bool, progress: &Progress) -> Result<VerifyReport, StoreError> {
    store
        .verify(deep, &|at| {
            let message = match at.phase {
                Phase::Builds => "verifying builds".to_owned(),
                Phase::Blobs => format!("verifying blobs, {} read", size(at.bytes)),
                Phase::Signatures => "signing kernels anew".to_owned(),
                Phase::Leftovers => "looking for leftovers".to_owned(),
            };
            progress.counted_status(message, at.items, at.total_items);
        })
        .await
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let store = context.open_existing().await?;
    let progress = context.progress();
    let mut report = check(&store, args.deep, &progress).await;
    let mut fetched = 0;
    if let (Some(url), Ok(found)) = (&args.remote, &report)
        && !found.lost.is_empty()
    {
        fetched = fetch(&store, url, &found.lost, &progress).await;
        report = check(&store, args.deep, &progress).await;
    }
    let mut rebuilt = 0;
    if let (Some(sources), Ok(found)) = (&args.rebuild, &report)
        && !found.lost.is_empty()
    {
        rebuilt = rebuild(context, &store, &args, sources, &found.lost, &progress).await?;
        report = check(&store, args.deep, &progress).await;
    }
    progress.clear();
    let report = report?;
    let exit = if report.is_clean() { Exit::Done } else { Exit::Corrupt };
    if context.json {
        answer_json(&report)?;
        return Ok(exit);
    }
    if fetched > 0 {
        answer(format_args!("fetched    {fetched} lost blobs from elsewhere"));
    }
    if rebuilt > 0 {
        answer(format_args!("rebuilt    {rebuilt} builds that had lost files"));
    }
    for problem in problems(&report.problems) {
        answer(problem);
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
            "orphans    {} blobs that no build names, {}: `kiln gc` removes them",
            report.orphans,
            size(report.orphan_bytes)
        ));
    }
    if report.let_go > 0 {
        answer(format_args!("let go     {} files, to make room", report.let_go));
    }
    if report.staged > 0 {
        answer(format_args!(
            "staged     {} files of writes under way, or broken off today, {}",
            report.staged,
            size(report.staged_bytes)
        ));
    }
    if report.staged_removed > 0 {
        answer(format_args!("removed    {} files of older ones", report.staged_removed));
    }
    if report.quarantined > 0 {
        answer(format_args!(
            "quarantine {}, {}: damaged, never given out; gc removes old ones",
            count(report.quarantined, "object"),
            size(report.quarantined_bytes)
        ));
    }
    answer(match report.problems.len() {
        0 if !report.deep => {
            "nothing wrong in names and tables; --deep reads the contents, too".to_owned()
        }
        0 => "nothing wrong".to_owned(),
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    });
    Ok(exit)
}
