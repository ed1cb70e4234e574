//! `kiln pull`: a file of a build, verified.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_builder::Repository;
use kiln_cache::{Artifact, Manifest, Query, Remote, Store};

use super::common::{Context, answer, answer_json};
use kiln_cache::remote::Timeouts;

use crate::terminal::exit::{Exit, Fault};
use crate::terminal::text::size;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A revision, input key, signature or build id; of the latter 8 digits are enough when no
    /// other build has them
    build: String,
    /// The file: bzImage, vmlinux, System.map, .config, build.log, modules/…
    name: String,
    /// Where to put it [default: its name, in this folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Pull from a Kiln that serves, not from this store
    #[arg(long, value_name = "URL", env = "KILN_REMOTE")]
    remote: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let output = match args.output {
        Some(output) => output,
        None => {
            // An artifact's name may hold folders; the default output never leaves this one.
            let name = args.name.rsplit('/').next().unwrap_or_default();
            anyhow::ensure!(!name.is_empty(), "'{}' names no file", args.name);
            PathBuf::from(name)
        }
    };
    let progress = context.progress();
    let selector = selector(&args.build, &args.repo)?;
    let artifact = match &args.remote {
        Some(url) => {
            let remote = Remote::new(url, Timeouts::default())?;
            let manifest = remote.build(&selector).await?.ok_or_else(|| missing(&selector))?;
            let artifact = choose(&manifest, &args.name)?.clone();
            let name = artifact.name.clone();
            let pulled = remote
                .download(&artifact.digest, artifact.size, &output, &|done| {
                    progress.counted_status(format!("pulling {name}"), done, artifact.size);
                })
                .await;
            progress.clear();
            pulled?;
            artifact
        }
        None => {
            let store = context.open().await?;
            let manifest = find(&store, &selector).await?;
            let artifact = choose(&manifest, &args.name)?.clone();
            progress.status(format!("pulling {}", artifact.name));
            let pulled = store.read_to_file(&artifact.digest, &output).await;
            progress.clear();
            pulled?;
            artifact
        }
    };
    if context.json {
        answer_json(&serde_json::json!({
            "file": output,
            "name": artifact.name,
            "digest": artifact.digest,
            "size": artifact.size,
        }))?;
    } else {
        answer(format_args!(
            "{}  {}  blake3 {}",
            output.display(),
            size(artifact.size),
            artifact.digest
        ));
    }
    Ok(Exit::Done)
}

/// What the store knows a build by: digits as they are, anything else as a revision of `repo`.
pub(crate) fn selector(build: &str, repo: &Path) -> anyhow::Result<String> {
    match (Query::parse(build), Repository::open(repo)) {
        (Ok(_), _) => Ok(build.to_owned()),
        (Err(_), Ok(repository)) => Ok(repository.resolve(build)?.commit),
        (Err(error), Err(_)) => Err(error.into()),
    }
}

/// The one build that a selector names.
pub(crate) async fn find(store: &Store, selector: &str) -> anyhow::Result<Manifest> {
    let query = Query::parse(selector)?;
    let mut builds = store.find_builds(&query).await?;
    match builds.len() {
        0 => Err(missing(selector).into()),
        1 => builds.pop().context("one build"),
        _ => {
            let keys: Vec<String> = builds
                .iter()
                .map(|build| format!("\n  {} of commit {}", build.input_key, build.commit))
                .collect();
            anyhow::bail!(
                "'{selector}' names {} builds; give the input key of one:{}",
                builds.len(),
                keys.concat()
            )
        }
    }
}

fn missing(selector: &str) -> Fault {
    Fault::new(
        Exit::NotFound,
        format!(
            "no build is known by '{selector}'; `kiln build` makes one, `kiln stats` says what is here"
        ),
    )
}

fn choose<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Artifact, Fault> {
    manifest.artifact(name).ok_or_else(|| {
        let names: Vec<&str> = manifest.artifacts.iter().map(|a| a.name.as_str()).collect();
        Fault::new(
            Exit::NotFound,
            format!("that build has no '{name}'; it has: {}", names.join(", ")),
        )
    })
}
