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
    /// A revision, input key, signature or build id; of these 8 digits are enough when no other
    /// build has them. Or, without NAME, the digest of any file, or 8 digits of it or more
    build: String,
    /// The file: bzImage, vmlinux, System.map, .config, build.log, modules/…; without it, the files
    /// of the build are listed
    name: Option<String>,
    /// Where to put it: a file, which is replaced; a folder; or "-" for standard output [default:
    /// its name or digest, in this folder, unless there is another file of that name]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// All files of the build, into the folder of --output [default: this folder]
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// The git repository in which names of revisions are looked up
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,
    /// Pull from a Kiln that serves; from this store only when that is down
    /// [default: KILN_REMOTE, unless --store is given]
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.all {
        return all(context, &args).await;
    }
    let what = match &args.name {
        Some(name) => What::File(selector(&args.build, &args.repo)?, name.clone()),
        None => What::Blob(unnamed(context, &args).await?),
    };
    let own_name = match &what {
        What::Blob(digest) => digest.to_hex(),
        // An artifact's name may hold folders; the default output never leaves this one.
        What::File(_, name) => name.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    anyhow::ensure!(!own_name.is_empty(), "'{}' names no file", args.name.unwrap_or_default());
    let into = args.output.as_ref().filter(|output| output.is_dir());
    let into = into.map(|folder| folder.join(&own_name));
    // Who named a folder named no file in it.
    let may_replace = args.output.is_some() && into.is_none();
    let output = into.or(args.output).unwrap_or_else(|| own_name.into());
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
    let remote = context.remote(args.remote.as_deref());
    let pulled = wanted.pull(context, remote.as_deref(), &progress).await;
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
        answer_json(&json(&output, &artifact))?;
    } else {
        said(&output, &artifact);
    }
    Ok(Exit::Done)
}

/// Pulls all files of a build, each to its place below a folder. What is gone is told and left out.
async fn all(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let remote = context.remote(args.remote.as_deref());
    let build = match &remote {
        Some(url) => {
            let selector = selector(&args.build, &args.repo)?;
            let build = super::common::remote(url, Timeouts::default())?.build(&selector).await?;
            build.ok_or_else(|| missing(&format!("'{selector}'")))?
        }
        None => find_named(&context.open_existing().await?, &args.build, &args.repo).await?.1,
    };
    let (progress, folder) = (context.progress(), args.output.as_deref().unwrap_or(Path::new(".")));
    let (mut files, mut exit) = (Vec::new(), Exit::Done);
    for file in &build.artifacts {
        let is_inside = Path::new(&file.name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        anyhow::ensure!(is_inside, "'{}' would leave the folder: pull it by itself", file.name);
        let output = folder.join(&file.name);
        let place = output.parent().unwrap_or(folder);
        std::fs::create_dir_all(place)
            .with_context(|| format!("can't make the folder {}", place.display()))?;
        let wanted = Wanted { what: What::Blob(file.digest), output, may_replace: false };
        match wanted.pull(context, remote.as_deref(), &progress).await {
            Ok(_) => files.push((wanted.output, file)),
            Err(error) if exit_of(&error) == Exit::NotFound => {
                progress.line(format!("{}: {error:#}", file.name));
                exit = Exit::NotFound;
            }
            Err(error) => return Err(error.context(file.name.clone())),
        }
    }
    progress.clear();
    if context.json {
        let file = |(place, file): &(PathBuf, &Artifact)| json(place, file);
        answer_json(&files.iter().map(file).collect::<Vec<_>>())?;
    } else {
        files.iter().for_each(|(place, file)| said(place, file));
    }
    Ok(exit)
}

/// A file that was pulled, for programs.
fn json(place: &Path, file: &Artifact) -> serde_json::Value {
    serde_json::json!({
        "file": place,
        "name": file.name,
        "digest": file.digest,
        "size": file.size,
    })
}

/// The same for people.
fn said(place: &Path, file: &Artifact) {
    answer(format_args!("{}  {}  blake3 {}", place.display(), size(file.size), file.digest));
}

/// The file that is meant by what stands alone on the command line: its digest, or the beginning of
/// one. A build is none: the error then says which files it has.
async fn unnamed(context: &Context, args: &Args) -> anyhow::Result<Digest> {
    let build = match context.remote(args.remote.as_deref()) {
        Some(url) => unnamed_remote(&url, args).await?,
        None => unnamed_local(&context.open_existing().await?, args).await?,
    };
    match build {
        Meant::File(digest) => Ok(digest),
        Meant::Build(manifest) => {
            Err(Fault::new(Exit::Failed, files_of(&args.build, &manifest)).into())
        }
    }
}

/// What stands alone on the command line.
enum Meant {
    File(Digest),
    Build(Box<Manifest>),
}

/// The 64 digits of an input key look like those of a file: what is here says which they are, and a
/// file goes first.
async fn unnamed_local(store: &Store, args: &Args) -> anyhow::Result<Meant> {
    let whole = args.build.parse::<Digest>().ok();
    if let Some(digest) = whole
        && store.contains(&digest).await?
    {
        return Ok(Meant::File(digest));
    }
    if let Ok(query) = Query::parse(&args.build) {
        if let Some(digest) = store.find_digest(&query).await? {
            return Ok(Meant::File(digest));
        }
        if let Some(digest) = whole
            && store.find_builds(&query).await?.is_empty()
        {
            // Pulling says what is wrong.
            return Ok(Meant::File(digest));
        }
    }
    Ok(Meant::Build(Box::new(find_named(store, &args.build, &args.repo).await?.1)))
}

/// The same of a remote Kiln, which knows files by whole digests only.
async fn unnamed_remote(url: &str, args: &Args) -> anyhow::Result<Meant> {
    let (remote, whole) = (remote(url, Timeouts::default())?, args.build.parse::<Digest>().ok());
    if let Some(digest) = whole {
        match remote.size(&digest).await {
            Err(RemoteError::Missing { .. }) => {}
            // Where there is another error, pulling says it, or does without the remote.
            _ => return Ok(Meant::File(digest)),
        }
    }
    let selector = selector(&args.build, &args.repo)?;
    match (remote.build(&selector).await?, whole) {
        (Some(build), _) => Ok(Meant::Build(Box::new(build))),
        (None, Some(digest)) => Ok(Meant::File(digest)),
        (None, None) => {
            let way_out = "of a file that a Kiln serves, all 64 digits of its digest are needed";
            let why = format!("no build is known by '{selector}'; {way_out}");
            Err(Fault::new(Exit::NotFound, why).into())
        }
    }
}

/// What files a build has, for who named none of them.
fn files_of(build: &str, manifest: &Manifest) -> String {
    let files = &manifest.artifacts;
    let mut lines = vec![format!("which file of '{build}'? It has {}:", files.len())];
    let row = |file: &Artifact| format!("  {:>9}  {}", size(file.size), file.name);
    lines.extend(files.iter().take(LISTED).map(row));
    if files.len() > LISTED {
        lines.push(format!("  and {} more: kiln show {build}", files.len() - LISTED));
    }
    let name = files.first().map_or("NAME", |file| &file.name);
    lines.push(format!("one of them: kiln pull {build} {name}"));
    lines.push(format!("all of them: kiln pull {build} --all --output FOLDER"));
    lines.join("\n")
}

/// Files of a build that an error lists.
const LISTED: usize = 20;

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
    /// Gets the file from a remote Kiln, if there is one, else from this store.
    async fn pull(
        &self,
        context: &Context,
        remote: Option<&str>,
        progress: &Progress,
    ) -> anyhow::Result<Artifact> {
        let Some(url) = remote else { return self.pull_local(context, progress).await };
        match self.pull_remote(url, progress).await {
            // A cache that is down must not stop whoever has the file at home.
            Err(error) if is_outage(&error) => {
                progress.line(format!("{error}; looking in this store instead"));
                // What this store has not got is the remote's failure; what it has broken is not.
                let local = self.pull_local(context, progress).await;
                local.map_err(|local| if exit_of(&local) == Exit::NotFound { error } else { local })
            }
            pulled => pulled,
        }
    }

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
            What::File(selector, name) => file(&store, selector, name).await?,
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
    let Some(build) = build else {
        let known = match selector == name {
            true => format!("'{name}'"),
            false => format!("'{name}' (commit {selector:.12})"),
        };
        let is_file = is_a_file(store, &selector).await?;
        return Err(is_file.unwrap_or_else(|| missing(&known)).into());
    };
    Ok((selector, build))
}

/// The error for digits that are those of a file, and of no build.
async fn is_a_file(store: &Store, selector: &str) -> anyhow::Result<Option<Fault>> {
    let Some(digest) = store.find_digest(&Query::parse(selector)?).await? else { return Ok(None) };
    let Some(build) = store.build_with(&digest).await? else { return Ok(None) };
    let name = build.artifacts.iter().find(|file| file.digest == digest);
    let why = format!(
        "'{selector}' is no build, but a file of one: '{}' of {:.12}. `kiln pull {selector}` gives \
         it, `kiln show {:.12}` shows the build",
        name.map_or("", |file| &file.name),
        build.input_key.to_string(),
        build.input_key.to_string()
    );
    Ok(Some(Fault::new(Exit::NotFound, why)))
}

/// The file of a name, of the one build that a selector names; or of any of several, when all that
/// have one of this name have the same.
async fn file(store: &Store, selector: &str, name: &str) -> anyhow::Result<Artifact> {
    let builds = store.find_builds(&Query::parse(selector)?).await?;
    let mut found = builds.iter().filter_map(|build| build.artifact(name));
    if let Some(first) = found.next()
        && found.all(|other| other.digest == first.digest)
    {
        return Ok(first.clone());
    }
    Ok(choose(&find(store, selector).await?, name)?.clone())
}

/// The one build that a selector names.
async fn find(store: &Store, selector: &str) -> anyhow::Result<Manifest> {
    let build = store.find_build(&Query::parse(selector)?).await?;
    build.ok_or_else(|| missing(&format!("'{selector}'")).into())
}

fn missing(name: &str) -> Fault {
    let way_out = "`kiln build --config FILE` makes one, `kiln ls` says what is here";
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
