//! `kiln pull`: a file of a build, verified.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kiln_builder::Repository;
use kiln_cache::{Artifact, Digest, Manifest, Query, RemoteError, Store};

use super::common::{Context, answer, answer_json, remote};
use super::exit_of;
use kiln_cache::remote::Timeouts;

use crate::terminal::exit::{Exit, Fault};
use crate::terminal::progress::Progress;
use crate::terminal::text::size;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A revision, input key, signature or build id; of the latter 8 digits are enough when no
    /// other build has them. Or, without NAME, the digest of any file
    build: String,
    /// The file: bzImage, vmlinux, System.map, .config, build.log, modules/…
    name: Option<String>,
    /// Where to put it, "-" for standard output; what is there is replaced [default: its name or
    /// digest, in this folder, unless there is another file of that name]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Pull from a Kiln that serves; from this store only when that is down
    /// [default: KILN_REMOTE, unless --store is given]
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let what = match args.name {
        Some(name) => What::File(selector(&args.build, &args.repo)?, name),
        None => {
            let digest = args.build.parse();
            What::Blob(digest.context("without a NAME, give the digest of a file: 64 digits")?)
        }
    };
    let may_replace = args.output.is_some();
    let output = match (args.output, &what) {
        (Some(output), _) => output,
        (None, What::Blob(digest)) => digest.to_hex().into(),
        (None, What::File(_, name)) => {
            // An artifact's name may hold folders; the default output never leaves this one.
            let file = name.rsplit('/').next().unwrap_or_default();
            anyhow::ensure!(!file.is_empty(), "'{name}' names no file");
            PathBuf::from(file)
        }
    };
    // Nothing is printed before it is verified whole.
    let printed = (output.as_os_str() == "-")
        .then(|| tempfile::tempdir().context("no folder for temporary files"))
        .transpose()?;
    anyhow::ensure!(
        printed.is_none() || !context.json,
        "standard output can't hold both the file and --json: give another --output"
    );
    let output = printed.as_ref().map_or(output, |folder| folder.path().join("file"));
    // The file is put in place by its name, which would take a device's.
    anyhow::ensure!(
        !output.exists() || output.is_file(),
        "{} is no regular file: give another --output",
        output.display()
    );
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    anyhow::ensure!(
        folder.is_none_or(Path::is_dir),
        "there is no folder {}: make it, or give another --output",
        folder.unwrap_or(Path::new("")).display()
    );
    let progress = context.progress();
    let wanted = Wanted { what, output, may_replace };
    let pulled = match &context.remote(args.remote.as_deref()) {
        Some(url) => match wanted.pull_remote(url, &progress).await {
            // A cache that is down must not stop whoever has the file at home.
            Err(error) if is_outage(&error) => {
                progress.line(format!("{error}; looking in this store instead"));
                // What this store has not got is the remote's failure; what it has broken is not.
                wanted
                    .pull_local(context, &progress)
                    .await
                    .map_err(|local| if exit_of(&local) == Exit::NotFound { error } else { local })
            }
            pulled => pulled,
        },
        None => wanted.pull_local(context, &progress).await,
    };
    progress.clear();
    let (artifact, output) = (pulled?, wanted.output);
    if printed.is_some() {
        let mut file = File::open(&output).context("reading what was pulled")?;
        match io::copy(&mut file, &mut io::stdout().lock()) {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            copied => {
                copied.context("writing to standard output")?;
            }
        }
    } else if context.json {
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

/// What is pulled.
enum What {
    /// A file of a build, by a name of the build and its own.
    File(String, String),
    /// Any blob.
    Blob(Digest),
}

/// A file, and where it goes.
struct Wanted {
    what: What,
    output: PathBuf,
    /// Whether the user named the place.
    may_replace: bool,
}

impl Wanted {
    async fn pull_remote(&self, url: &str, progress: &Progress) -> anyhow::Result<Artifact> {
        let remote = remote(url, Timeouts::default())?;
        let artifact = match &self.what {
            What::File(selector, name) => {
                let manifest = remote.build(selector).await?;
                choose(&manifest.ok_or_else(|| missing(&format!("'{selector}'")))?, name)?.clone()
            }
            What::Blob(digest) => blob(digest, remote.size(digest).await?),
        };
        if self.is_there(&artifact).await? {
            return Ok(artifact);
        }
        let ticking = |done| {
            progress.counted_status(format!("pulling {}", artifact.name), done, artifact.size);
        };
        let (digest, size) = (&artifact.digest, artifact.size);
        remote.download(digest, size, &self.output, self.may_replace, &ticking).await?;
        Ok(artifact)
    }

    async fn pull_local(&self, context: &Context, progress: &Progress) -> anyhow::Result<Artifact> {
        let store = context.open_existing().await?;
        let artifact = match &self.what {
            What::File(selector, name) => choose(&find(&store, selector).await?, name)?.clone(),
            What::Blob(digest) => blob(digest, store.reader(digest).await?.size()),
        };
        progress.status(format!("pulling {}", artifact.name));
        if !self.is_there(&artifact).await? {
            store.export_file(&artifact.digest, &self.output, self.may_replace).await?;
        }
        if matches!(self.what, What::Blob(_)) {
            store.used_file(&artifact.digest).await;
        }
        Ok(artifact)
    }

    /// Whether the file lies there already, at a place that nobody named. Another one of that name,
    /// perhaps the user's own `.config`, is an error.
    async fn is_there(&self, artifact: &Artifact) -> anyhow::Result<bool> {
        // A link that leads nowhere is somebody's, too.
        if self.may_replace || self.output.symlink_metadata().is_err() {
            return Ok(false);
        }
        let path = self.output.clone();
        let found = tokio::task::spawn_blocking(move || Digest::of_file(&path))
            .await?
            .with_context(|| format!("reading {}", self.output.display()))?;
        let name = self.output.display();
        anyhow::ensure!(
            found == artifact.digest,
            "{name} is here already, and another file: it is left as it is; \
             to replace it, add --output {name}"
        );
        Ok(true)
    }
}

/// A file that is known by its content alone.
fn blob(digest: &Digest, size: u64) -> Artifact {
    Artifact { name: digest.short().to_string(), digest: *digest, size }
}

/// Whether the remote Kiln, not the question, is at fault.
fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RemoteError>().is_some_and(RemoteError::is_outage)
}

/// What the store knows a build by: digits as they are, anything else as a revision of `repo`.
pub(crate) fn selector(build: &str, repo: &Path) -> anyhow::Result<String> {
    match (Query::parse(build), Repository::open(repo)) {
        (Ok(_), _) => Ok(build.to_owned()),
        (Err(_), Ok(repository)) => Ok(repository.resolve(build)?.commit),
        (Err(error), Err(_)) => {
            let repo = repo.display();
            let why =
                format!("{error}; names of revisions are looked up in --repo ({repo} is none)");
            Err(Fault::new(Exit::Failed, why).into())
        }
    }
}

/// The one build of the store that is meant by what stands on the command line, and the selector for it.
pub(crate) async fn find_named(
    store: &Store,
    name: &str,
    repo: &Path,
) -> anyhow::Result<(String, Manifest)> {
    let selector = selector(name, repo)?;
    let build = store.find_build(&Query::parse(&selector)?).await?;
    match build {
        Some(build) => Ok((selector, build)),
        None if selector == name => Err(missing(&format!("'{name}'")).into()),
        None => Err(missing(&format!("'{name}' (commit {selector:.12})")).into()),
    }
}

/// The one build that a selector names.
async fn find(store: &Store, selector: &str) -> anyhow::Result<Manifest> {
    let build = store.find_build(&Query::parse(selector)?).await?;
    build.ok_or_else(|| missing(&format!("'{selector}'")).into())
}

fn missing(name: &str) -> Fault {
    let way_out = "`kiln build --config FILE` makes one, `kiln stats` says what is here";
    Fault::new(Exit::NotFound, format!("no build is known by {name}; {way_out}"))
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
