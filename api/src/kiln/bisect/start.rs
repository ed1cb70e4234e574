//! A new bisection, or one that goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use kiln_bisect::belief::Find;
use kiln_bisect::bisection::{Bisection, Surroundings};
use kiln_bisect::boot::COMMAND_FAILED;
use kiln_bisect::console::Patterns;
use kiln_bisect::record::{Commit, Header, Limits, Record, TestSpec};
use kiln_bisect::title::Target;
use kiln_builder::{Config, Repository, Revision};
use kiln_cache::{Digest, Remote, Store};

use super::releases::releases;
use super::{Start, TestArgs, find, report};
use crate::kiln::build::{ShortcutArgs, cores, for_this_machine};
use crate::kiln::common::Context;
use crate::kiln::title_patterns::TitlePatterns;
use crate::terminal::exit::{Exit, Fault};
use crate::terminal::observe::{BisectProgress, BuildProgress};
use crate::terminal::progress::Progress;

/// The bisection that this process makes, once its record has begun.
static UNDER_WAY: OnceLock<String> = OnceLock::new();

/// What goes on with what was interrupted.
pub(crate) fn way_on() -> String {
    match UNDER_WAY.get() {
        Some(id) => format!("`kiln bisect resume {id}` goes on with the bisection"),
        None => "the same command goes on from there".to_owned(),
    }
}

pub(super) async fn start(context: &Context, new: Start) -> anyhow::Result<Exit> {
    let patterns = new.test.patterns.read()?;
    let shared = Shared::new(context, &new.how.shortcuts, patterns)?;
    let header = header(new)?;
    let progress = context.progress();
    let store = context.open().await?;
    let around = shared.around(&store, &progress, named(&header));
    let bisection = Bisection::start(around, header).await;
    finish(context, &progress, bisection?).await
}

pub(super) async fn resume(
    context: &Context,
    id: &str,
    patterns: &TitlePatterns,
    shortcuts: &ShortcutArgs,
) -> anyhow::Result<Exit> {
    let shared = Shared::new(context, shortcuts, patterns.read()?)?;
    let progress = context.progress();
    let store = context.open_existing().await?;
    let record = find(&store, id).await?;
    if record.finish().is_some() {
        progress.line(format!("bisection {} is finished; this is its answer", record.id));
        return report::print(context, &record);
    }
    let hunted = record.learned_title().unwrap_or_else(|| named(&record.header)).to_owned();
    let around = shared.around(&store, &progress, &hunted);
    let bisection = Bisection::resume(around, record).await;
    finish(context, &progress, bisection?).await
}

/// What the command line says about a search beside the question. Wrong options are told before
/// anything is opened or built.
pub(super) struct Shared {
    work: PathBuf,
    patterns: Arc<Patterns>,
    upstream: Option<Remote>,
    ccache: bool,
    proofs: bool,
}

impl Shared {
    pub(super) fn new(
        context: &Context,
        shortcuts: &ShortcutArgs,
        patterns: Patterns,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            work: context.work()?,
            patterns: Arc::new(patterns),
            upstream: shortcuts.upstream()?,
            ccache: shortcuts.ccache(),
            proofs: shortcuts.proofs(),
        })
    }

    /// With the store at hand and progress told of, in a hunt for `target`.
    pub(super) fn around(self, store: &Store, progress: &Progress, target: &str) -> Surroundings {
        Surroundings {
            store: store.clone(),
            work: self.work,
            builds: Arc::new(BuildProgress::new(progress.clone())),
            watch: Arc::new(BisectProgress::new(progress.clone()).hunting(target)),
            patterns: self.patterns,
            upstream: self.upstream,
            ccache: self.ccache,
            proofs: self.proofs,
        }
    }
}

/// The target, as far as the question itself names it.
fn named(header: &Header) -> &str {
    match (&header.title, &header.test) {
        (Some(title), _) => title,
        (None, TestSpec::Command { .. }) => "the command fails",
        (None, TestSpec::Reproducer { .. }) => "what the bad end shows most",
    }
}

async fn finish(
    context: &Context,
    progress: &Progress,
    bisection: Bisection,
) -> anyhow::Result<Exit> {
    let id = bisection.id().to_owned();
    _ = UNDER_WAY.set(id.clone());
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
    let bad = repository.resolve(new.bad.as_deref().context("give --bad REV")?)?;
    let good = new.good.as_deref().map(|good| repository.resolve(good)).transpose()?;
    let commit = |revision: Revision| Commit { id: revision.commit, subject: revision.subject };
    let test = new.test.spec()?;
    // One toolchain for the whole range: the one for its newer end would be wrong for no commit that
    // the older end's is right for, unless the range crosses a row of the table.
    let newest = repository.resolve(newer_end(&new).context("give --good REV and --bad REV")?)?;
    let toolchain = new.how.toolchain(&repository, &newest)?;
    let releases = match &good {
        Some(_) => None,
        None => Some(releases(&new, &repository, &bad, &toolchain)?),
    };
    let config = new.config.as_deref().map(absolute).transpose()?;
    let config_digest = config
        .as_deref()
        .map(|path| -> anyhow::Result<Digest> {
            let config = Config::read(path)?;
            match new.how.build_command {
                None => Ok(for_this_machine(config)?.digest()),
                Some(_) => Ok(config.digest()),
            }
        })
        .transpose()?;
    Ok(Header {
        find: match new.find {
            super::Find::Cause => Find::Cause,
            super::Find::Fix => Find::Fix,
        },
        good: good.map(commit),
        bad: commit(bad),
        releases,
        config,
        config_digest,
        build_command: new.how.build_command.clone(),
        toolchain: Some(toolchain),
        strict_config: new.how.strict_config,
        audit: new.how.audit,
        confirm_revert: new.confirm == Some(super::Confirm::Revert),
        title: new.test.title.clone(),
        limits: Limits {
            builders: usize::from(new.builders),
            ..new.test.limits(&test, new.how.jobs(), new.confidence)
        },
        repository: repo,
        test,
    })
}

/// The revision that the other end is an ancestor of.
fn newer_end(new: &Start) -> Option<&str> {
    match new.find {
        super::Find::Cause => new.bad.as_deref(),
        super::Find::Fix => new.good.as_deref(),
    }
}

impl TestArgs {
    /// What runs on each image.
    pub(super) fn spec(&self) -> anyhow::Result<TestSpec> {
        if let Some(Err(error)) = self.title.as_deref().map(Target::pattern) {
            return Err(Fault::new(Exit::Usage, error.to_string()).into());
        }
        match (&self.reproducer, &self.command) {
            (Some(path), _) => {
                let path = absolute(path)?;
                let content = std::fs::read(&path)
                    .with_context(|| format!("can't read the reproducer {}", path.display()))?;
                anyhow::ensure!(!content.is_empty(), "the reproducer {} is empty", path.display());
                Ok(TestSpec::Reproducer { digest: Digest::of(&content), path })
            }
            (None, Some(command)) if command.trim().is_empty() => {
                Err(Fault::new(Exit::Usage, "--command is empty: each run would be good").into())
            }
            (None, Some(command)) => {
                self.can_match()?;
                let folder = std::env::current_dir()?;
                Ok(TestSpec::Command { command: command.clone(), folder })
            }
            (None, None) => anyhow::bail!("give --reproducer FILE or --command COMMAND"),
        }
    }

    /// Refuses a title that no crash of a command can have: all that it showed would count for nothing.
    fn can_match(&self) -> anyhow::Result<()> {
        let Some(title) = &self.title else { return Ok(()) };
        if Target::pattern(title)?.is(COMMAND_FAILED) {
            return Ok(());
        }
        let message = format!(
            "--title '{title}' can't match with --command: a command knows one way to fail, and its \
             crashes all have the title \"{COMMAND_FAILED}\"; leave --title out, and let the command \
             exit with 125 where it sees another crash"
        );
        Err(Fault::new(Exit::Usage, message).into())
    }

    /// Limits and shares of the machine.
    pub(super) fn limits(&self, test: &TestSpec, jobs: usize, confidence: f64) -> Limits {
        Limits {
            machines: machines(self.machines, test),
            jobs,
            builders: 0,
            boot_timeout: self.boot_timeout,
            run_timeout: self.run_timeout,
            memory_mb: self.memory,
            cpus: self.cpus,
            confidence,
            max_builds: self.max_builds,
            max_runs: self.max_runs,
            budget_seconds: self.budget,
        }
    }
}

/// Machines side by side, unless said: one a core; for a command one, as `git bisect run` has it,
/// since such commands may write to the folder they all share.
pub(super) fn machines(wanted: Option<u16>, test: &TestSpec) -> usize {
    match (wanted, test) {
        (Some(wanted), _) => usize::from(wanted),
        (None, TestSpec::Command { .. }) => 1,
        (None, TestSpec::Reproducer { .. }) => cores(),
    }
}

pub(super) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("'{}' is no path", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    #[test]
    fn the_compiler_is_chosen_for_the_newer_end() {
        for (find, newer) in [("cause", "b"), ("fix", "g")] {
            let line = ["kiln", "--find", find, "--good", "g", "--bad", "b"];
            let more = ["--build-command", "make", "--command", "true"];
            let Line { start } = Line::parse_from(line.iter().chain(&more));
            assert_eq!(newer_end(&start), Some(newer), "{find}");
        }
    }

    #[test]
    fn a_title_that_no_command_can_show_is_refused() {
        let asked = |title: &str| {
            let line = ["kiln", "--bad", "b", "--build-command", "make", "--command", "true"];
            let Line { start } = Line::parse_from(line.iter().chain(&["--title", title]));
            start.test.spec()
        };
        let error = asked("KASAN").unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>().unwrap().exit, Exit::Usage);
        assert!(error.to_string().contains("\"command failed\"; leave --title out"), "{error}");
        assert!(asked("(").unwrap_err().to_string().contains("not a regular expression"));
        assert!(asked("failed").is_ok(), "it matches, and changes nothing");
    }

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
