//! Everything that a report on a bisection rests on, gathered from the record, the store, the
//! history and the reproducer's file.

use kiln_bisect::console::Patterns;
use kiln_bisect::record::{Bill, Commit, Record, Step, TestSpec};
use kiln_bisect::verdict::Verdict;
use kiln_builder::recipients::{Recipients, recipients};
use kiln_builder::{Repository, image_of};
use kiln_cache::signature::SignatureKind;
use kiln_cache::{Digest, Manifest, Store};
use serde::Serialize;

use crate::kiln::diff::{self, Row};
use crate::kiln::logs::crash_text;

/// Longest reproducer that is quoted, and most lines of an oops.
const LONGEST: usize = 24 << 10;
const OOPS_LINES: usize = 60;

/// What a report says.
#[derive(Debug, Serialize)]
pub(crate) struct Dossier {
    /// The bisection's id.
    pub(crate) id: String,
    /// The title that was hunted.
    pub(crate) target: Option<String>,
    /// The answer.
    pub(crate) answer: Option<Verdict>,
    /// The crash, as a console showed it.
    pub(crate) crash: Option<String>,
    /// What the named commit changed in the kernel that was tested.
    #[serde(flatten)]
    pub(crate) changes: Option<Changes>,
    /// The kernels that matter: the named commit, its parents, the ends.
    pub(crate) kernels: Vec<Kernel>,
    /// The reproducer.
    pub(crate) reproducer: Reproducer,
    /// Whom the mail should go to.
    pub(crate) recipients: Option<Recipients>,
    /// Why something is missing.
    pub(crate) missing: Vec<String>,
    /// What was spent and saved.
    pub(crate) bill: Bill,
}

/// What differs between a commit's kernel and its parent's, modules included.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    /// Functions and data.
    #[serde(rename = "changed")]
    pub(crate) rows: Vec<Row>,
    /// Modules that only the parent has, and only the commit.
    pub(crate) modules_removed: Vec<String>,
    pub(crate) modules_added: Vec<String>,
    /// What was not compared, a sentence each.
    pub(crate) not_compared: Vec<String>,
}

impl Changes {
    /// Whether nothing was found that differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.modules_removed.is_empty() && self.modules_added.is_empty()
    }

    /// Modules that only one kernel has, and what they are.
    pub(crate) fn lone_modules(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let removed = self.modules_removed.iter().map(|name| (name.as_str(), "no longer a module"));
        removed.chain(self.modules_added.iter().map(|name| (name.as_str(), "a new module")))
    }
}

/// A kernel that can be had.
#[derive(Debug, Serialize)]
pub(crate) struct Kernel {
    /// What it is to the bisection.
    pub(crate) role: &'static str,
    pub(crate) commit: Commit,
    /// `kiln pull KEY FILE` gets it.
    pub(crate) input_key: String,
    /// What compiled it.
    pub(crate) compiler: String,
    /// Digest of its configuration, as `make olddefconfig` left it.
    pub(crate) config: Option<Digest>,
    /// The file to boot, with its digest.
    pub(crate) image: Option<(String, Digest)>,
    /// syzkaller's signature of it.
    pub(crate) syzkaller: Option<String>,
}

/// What provokes the crash.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Reproducer {
    /// A command on the host.
    Command { command: String },
    /// A file.
    File { name: String, digest: Digest, text: Option<String> },
}

/// Gathers it. What can't be had is said in `missing`. `patterns`: what the user says of crashes.
pub(crate) async fn gather(
    store: &Store,
    record: &Record,
    patterns: &Patterns,
) -> anyhow::Result<Dossier> {
    let mut missing = Vec::new();
    let answer = record.finish().map(|(verdict, _)| verdict.clone());
    let crash = crash_text(store, record, patterns).await.unwrap_or_else(|error| {
        missing.push(format!("the crash's console: {error:#}"));
        None
    });
    let (mut changes, mut to) = (None, None);
    if let Some(Verdict::Culprit { commit, parents, .. }) = &answer {
        let before = parents.first().and_then(|parent| step_of(record, &parent.id));
        match (before, step_of(record, &commit.id)) {
            (Some(before), Some(after)) => match between(store, before, after).await {
                Ok(found) => changes = Some(found),
                Err(error) => missing.push(format!("changed functions: {error:#}")),
            },
            _ => missing.push("changed functions: no parent was built".to_owned()),
        }
        let (folder, commit) = (record.header.repository.clone(), commit.id.clone());
        let asked = tokio::task::spawn_blocking(move || -> anyhow::Result<Recipients> {
            Ok(recipients(&Repository::open(&folder)?, &commit)?)
        });
        match asked.await? {
            Ok(found) => to = Some(found),
            Err(error) => missing.push(format!("recipients: {error:#}")),
        }
    }
    Ok(Dossier {
        id: record.id.clone(),
        target: record.header.title.clone().or(record.learned_title().map(str::to_owned)),
        crash: crash.map(|(_, text)| shortened(&text)),
        changes,
        kernels: kernels(store, record, answer.as_ref()).await?,
        reproducer: reproducer(&record.header.test, &mut missing).await,
        recipients: to,
        bill: Bill::of(record),
        answer,
        missing,
    })
}

fn step_of<'a>(record: &'a Record, commit: &str) -> Option<&'a Step> {
    record.steps().find(|step| step.commit.id == commit && step.build.errors.is_empty())
}

async fn manifest_of(store: &Store, step: &Step) -> anyhow::Result<Option<Manifest>> {
    Ok(store.build_by_input(&step.build.input_key).await?)
}

async fn between(store: &Store, before: &Step, after: &Step) -> anyhow::Result<Changes> {
    let names = [before.commit.short(), after.commit.short()];
    let (before, after) = (manifest_of(store, before).await?, manifest_of(store, after).await?);
    let (Some(before), Some(after)) = (before, after) else {
        anyhow::bail!("the store no longer has the builds");
    };
    let found = diff::between(store, (names[0], before), (names[1], after)).await?;
    let not_compared = found.not_compared();
    let (added, removed): (Vec<_>, Vec<_>) =
        found.lone.into_iter().partition(|(_, is_new)| *is_new);
    let names = |lone: Vec<(String, bool)>| lone.into_iter().map(|(name, _)| name).collect();
    Ok(Changes {
        rows: found.rows,
        modules_removed: names(removed),
        modules_added: names(added),
        not_compared,
    })
}

async fn kernels(
    store: &Store,
    record: &Record,
    answer: Option<&Verdict>,
) -> anyhow::Result<Vec<Kernel>> {
    let mut wanted: Vec<(&'static str, &Commit)> = Vec::new();
    if let Some(Verdict::Culprit { commit, parents, .. }) = answer {
        wanted.push((record.header.sought(), commit));
        wanted.extend(parents.iter().map(|parent| ("parent", parent)));
    }
    wanted.push(("bad end", &record.header.bad));
    wanted.extend(record.good().map(|good| ("good end", good)));
    let mut kernels: Vec<Kernel> = Vec::new();
    for (role, commit) in wanted {
        if kernels.iter().any(|kernel| kernel.commit.id == commit.id) {
            continue;
        }
        let Some(step) = step_of(record, &commit.id) else { continue };
        let Some(manifest) = manifest_of(store, step).await? else { continue };
        let (name, _) = image_of(kiln_builder::host_arch());
        kernels.push(Kernel {
            role,
            commit: commit.clone(),
            input_key: manifest.input_key.to_string(),
            compiler: manifest.compiler.clone(),
            config: manifest.artifact(".config").map(|it| it.digest),
            image: manifest.artifact(name).map(|it| (it.name.clone(), it.digest)),
            syzkaller: manifest
                .signatures
                .get(SignatureKind::Syzkaller)
                .map(|signature| signature.hash.to_hex()),
        });
    }
    Ok(kernels)
}

async fn reproducer(test: &TestSpec, missing: &mut Vec<String>) -> Reproducer {
    match test {
        TestSpec::Command { command, .. } => Reproducer::Command { command: command.clone() },
        TestSpec::Reproducer { path, digest } => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = match tokio::fs::read(path).await {
                Ok(bytes) if Digest::of(&bytes) != *digest => {
                    missing.push("the reproducer's text: the file has changed since".to_owned());
                    None
                }
                Ok(bytes) if bytes.len() > LONGEST => {
                    missing.push(format!("the reproducer's text: {} bytes", bytes.len()));
                    None
                }
                Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => {
                    missing.push(format!("the reproducer's text: {error}"));
                    None
                }
            };
            Reproducer::File { name, digest: *digest, text }
        }
    }
}

fn shortened(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(OOPS_LINES).collect();
    if text.lines().count() > OOPS_LINES {
        lines.push("[...]");
    }
    lines.join("\n")
}
