//! `kiln push`: files that were built elsewhere enter the store.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_builder::Repository;
use kiln_cache::remote::Timeouts;
use kiln_cache::{InputKey, PushedFile, files_of};

use super::common::{self, Context, answer, answer_json};
use crate::terminal::exit::Exit;
use crate::terminal::text::size;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders, each of which is a build (of one that `make` was run in, what belongs to a kernel
    /// is taken; of any other, everything); and files, which are one build together
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// The commit that it was built from: all its digits, or a name of it in --repo
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// The git repository in which names of commits are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Push to a Kiln that serves, instead of a store here
    /// [default: KILN_REMOTE, unless --store is given]
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
}

/// A file as it is reported.
#[derive(serde::Serialize)]
struct Line {
    /// The build's key.
    build: InputKey,
    #[serde(flatten)]
    file: PushedFile,
}

type Files = Vec<(String, PathBuf)>;

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let builds = builds(&args.paths)?;
    anyhow::ensure!(
        builds.len() == 1 || args.commit.is_none(),
        "these are {} builds (each folder is one, and all single files together are one), and \
         --commit names the commit of one: push each by itself, with its own --commit",
        builds.len()
    );
    let progress = context.progress();
    let commit = args.commit.as_deref().map(|name| commit(name, &args.repo)).transpose()?;
    let commit = commit.as_deref();
    let remote = context.remote(args.remote.as_deref());
    let remote = remote.map(|url| common::remote(&url, Timeouts::default())).transpose()?;
    let total: u64 = builds.iter().map(bytes_of).sum();
    let mut done = 0;
    let mut lines = Vec::new();
    let store = match &remote {
        None => Some(context.open().await?),
        Some(_) => None,
    };
    for files in builds {
        let own = bytes_of(&files);
        progress.status(format!("pushing {}, {} of {} done", size(own), size(done), size(total)));
        done += own;
        let (build, files) = match (&store, &remote) {
            (Some(store), _) => {
                let pushed = store.push(files, commit).await?;
                (pushed.manifest.input_key, pushed.files)
            }
            (None, Some(remote)) => {
                let ticking = |name: &str| progress.status(format!("pushing {name}"));
                remote.push(&files, commit, &ticking).await?
            }
            (None, None) => continue,
        };
        lines.extend(files.into_iter().map(|file| Line { build, file }));
    }
    progress.clear();
    if context.json {
        answer_json(&lines)?;
        return Ok(Exit::Done);
    }
    let mut last = None;
    for Line { build, file } in &lines {
        if last != Some(build) {
            answer(format_args!("build {build}"));
            last = Some(build);
        }
        answer(format_args!(
            "{:<24} {:>9}  stored in {:>9}  {}",
            file.name,
            size(file.size),
            size(file.stored),
            file.digest.short()
        ));
    }
    Ok(Exit::Done)
}

/// What files take, in bytes, as far as anybody can tell before they are read.
fn bytes_of(files: &Files) -> u64 {
    files.iter().filter_map(|(_, path)| path.metadata().ok()).map(|it| it.len()).sum()
}

/// The commit that a name means: all digits of one (of SHA-1 or SHA-256) as they are, anything else as
/// the repository says. A part of the digits would be a commit that nobody finds.
fn commit(name: &str, repo: &Path) -> anyhow::Result<String> {
    if matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(name.to_owned());
    }
    let repository = Repository::open(repo).with_context(|| {
        format!("looking for the commit '{name}': give all 40 digits, or --repo with a repository")
    })?;
    Ok(repository.resolve(name)?.commit)
}

/// The builds that paths mean: each folder is one; files are one together, so two of one name are an
/// error.
fn builds(paths: &[PathBuf]) -> anyhow::Result<Vec<Files>> {
    let mut builds = Vec::new();
    let mut loose: Files = Vec::new();
    let mut names: HashMap<String, &Path> = HashMap::new();
    for path in paths {
        if path.is_dir() {
            let files = files_of(path).with_context(|| format!("can't read {}", path.display()))?;
            anyhow::ensure!(!files.is_empty(), "there is nothing to push in {}", path.display());
            builds.push(files);
            continue;
        }
        let name = name_of(path)?;
        if let Some(other) = names.insert(name.clone(), path) {
            anyhow::bail!(
                "{} and {} have one name, and single files are one build together: push them one \
                 after the other",
                other.display(),
                path.display()
            );
        }
        loose.push((name, path.clone()));
    }
    if !loose.is_empty() {
        builds.push(loose);
    }
    Ok(builds)
}

fn name_of(path: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(path.is_file(), "{} is no file and no folder", path.display());
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("the name of {} is not UTF-8", path.display()))?.to_owned())
}
