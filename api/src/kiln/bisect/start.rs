//! A new bisection, or one that goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kiln_bisect::belief::Find;
use kiln_bisect::bisection::{Bisection, Surroundings};
use kiln_bisect::console::Patterns;
use kiln_bisect::record::{Commit, Header, Limits, Record, TestSpec};
use kiln_builder::{Config, Repository};
use kiln_cache::{Digest, Store};

use super::{Start, find, report};
use crate::kiln::build::cores;
use crate::kiln::common::Context;
use crate::kiln::title_patterns::TitlePatterns;
use crate::terminal::exit::Exit;
use crate::terminal::observe::{BisectProgress, BuildProgress};
use crate::terminal::progress::Progress;

pub(super) async fn start(context: &Context, new: Start) -> anyhow::Result<Exit> {
    let patterns = new.patterns.read()?;
    let header = header(new)?;
    let progress = context.progress();
    let store = context.open().await?;
    let around = surroundings(context, &store, &progress, patterns)?;
    let bisection = Bisection::start(around, header).await;
    finish(context, &progress, bisection?).await
}

pub(super) async fn resume(
    context: &Context,
    id: &str,
    patterns: &TitlePatterns,
) -> anyhow::Result<Exit> {
    let patterns = patterns.read()?;
    let progress = context.progress();
    let store = context.open().await?;
    let record = find(&store, id).await?;
    if record.finish().is_some() {
        progress.line(format!("bisection {} is finished; this is its answer", record.id));
        return report::print(context, &record);
    }
    let around = surroundings(context, &store, &progress, patterns)?;
    let bisection = Bisection::resume(around, record).await;
    finish(context, &progress, bisection?).await
}

fn surroundings(
    context: &Context,
    store: &Store,
    progress: &Progress,
    patterns: Patterns,
) -> anyhow::Result<Surroundings> {
    Ok(Surroundings {
        store: store.clone(),
        work: context.work()?,
        builds: Arc::new(BuildProgress::new(progress.clone())),
        watch: Arc::new(BisectProgress::new(progress.clone())),
        patterns: Arc::new(patterns),
    })
}

async fn finish(
    context: &Context,
    progress: &Progress,
    bisection: Bisection,
) -> anyhow::Result<Exit> {
    let id = bisection.id().to_owned();
    progress.line(format!("bisection {id}"));
    let record: Result<Record, _> = bisection.run().await;
    progress.clear();
    let record = record.with_context(|| {
        format!("bisection {id} stopped; `kiln bisect resume {id}` goes on with it")
    })?;
    report::print(context, &record)
}

/// Turns the command line into what the record begins with: absolute paths and full commit ids,
/// so that it means the same from any folder.
fn header(new: Start) -> anyhow::Result<Header> {
    let repo = absolute(&new.repo)?;
    let repository = Repository::open(&repo)?;
    let commit = |rev: Option<&str>| -> anyhow::Result<Commit> {
        let rev = rev.context("give both ends: --good REV --bad REV")?;
        let revision = repository.resolve(rev)?;
        Ok(Commit { id: revision.commit, subject: revision.subject })
    };
    let test = match (new.reproducer, new.command) {
        (Some(path), _) => {
            let path = absolute(&path)?;
            let content = std::fs::read(&path)
                .with_context(|| format!("can't read the reproducer {}", path.display()))?;
            TestSpec::Reproducer { digest: Digest::of(&content), path }
        }
        (None, Some(command)) => TestSpec::Command { command, folder: std::env::current_dir()? },
        (None, None) => anyhow::bail!("give --reproducer FILE or --command COMMAND"),
    };
    let config = new.config.as_deref().map(absolute).transpose()?;
    let config_digest = config
        .as_deref()
        .map(|path| Config::read(path).map(|config| config.digest()))
        .transpose()?;
    Ok(Header {
        find: match new.find {
            super::Find::Cause => Find::Cause,
            super::Find::Fix => Find::Fix,
        },
        good: commit(new.good.as_deref())?,
        bad: commit(new.bad.as_deref())?,
        config,
        config_digest,
        build_command: new.how.build_command.clone(),
        strict_config: new.how.strict_config,
        audit: new.how.audit,
        title: new.title,
        limits: Limits {
            machines: machines(new.machines, &test),
            jobs: new.how.jobs(),
            boot_timeout: new.boot_timeout,
            run_timeout: new.run_timeout,
            memory_mb: new.memory,
            cpus: new.cpus,
            confidence: new.confidence,
            max_builds: new.max_builds,
            max_runs: new.max_runs,
        },
        repository: repo,
        test,
    })
}

/// Machines side by side, unless said: one a core; for a command one, as `git bisect run` has it,
/// since such commands may write to the folder they all share.
fn machines(wanted: Option<u16>, test: &TestSpec) -> usize {
    match (wanted, test) {
        (Some(wanted), _) => usize::from(wanted),
        (None, TestSpec::Command { .. }) => 1,
        (None, TestSpec::Reproducer { .. }) => cores(),
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("'{}' is no path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_run_one_after_the_other_unless_told_otherwise() {
        let command = TestSpec::Command { command: "make check".into(), folder: "/".into() };
        assert_eq!(machines(None, &command), 1);
        assert_eq!(machines(Some(3), &command), 3);
        let path = "/r.c".into();
        let reproducer = TestSpec::Reproducer { path, digest: Digest::of(b"") };
        assert_eq!(machines(None, &reproducer), cores());
    }
}
