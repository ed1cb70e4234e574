//! Builds that were made elsewhere.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::blob::table::Form;
use crate::blocking::blocking;
use crate::build_draft::{BuildDraft, VMLINUX};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::input::{BuildInput, InputKey};
use crate::manifest::{Artifact, BuildResult, Manifest, PUSHED};
use crate::objects::Created;

use super::Store;
use super::ingest::{describe, ingest, is_signed, sign};

#[cfg(test)]
mod tests;

/// Files that are looked at together: a bucket answers slowly, but many at a time.
pub(super) const AT_ONCE: usize = 16;

/// The file that says which builds resemble each other.
const CONFIG: &str = ".config";

/// A build that was made elsewhere, as the store keeps it.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its record.
    pub manifest: Manifest,
    /// Its files, and what they take.
    pub files: Vec<PushedFile>,
}

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedFile {
    /// Name within the build.
    pub name: String,
    /// BLAKE3 of its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it takes in the store now, in bytes; `kiln pack` makes it less.
    pub stored: u64,
}

impl Store {
    /// Stores files as one build, each under its name. The store computes digests and signatures;
    /// the build's key is of its content, so the same files pushed again are the same build.
    /// `commit` (hexadecimal) is what it was built from; without one, the build is known by the id
    /// of its content.
    pub async fn push(
        &self,
        files: Vec<(String, PathBuf)>,
        commit: Option<&str>,
    ) -> Result<Pushed, StoreError> {
        // Names are checked before anything is written; the rest of a draft is made of content.
        let nothing = [Artifact { name: String::new(), digest: Digest::of(b""), size: 0 }];
        draft(&nothing, files.clone(), commit).check()?;
        let owner = Uuid::new_v4().to_string();
        let (artifacts, signed) = ingest(&self.inner, &owner, &BuildResult::Built, &files).await?;
        let made = describe(draft(&artifacts, Vec::new(), commit), artifacts, signed);
        let (manifest, _) = self.add_described(&owner, made).await?;
        self.put_back(&manifest, &files).await?;
        self.inner.index.release(&owner).await?;
        let files = self.files(&manifest).await?;
        Ok(Pushed { manifest, files })
    }

    /// The same, of blobs that are here already: uploads of a client far away. Each is read and
    /// proven, unless this process did so lately. [`StoreError::Missing`], [`StoreError::LetGo`],
    /// [`StoreError::NotRepeated`] or [`StoreError::Corrupt`] when one has to be sent again: then there is no build.
    pub async fn push_blobs(
        &self,
        files: &[(String, Digest)],
        commit: Option<&str>,
    ) -> Result<Pushed, StoreError> {
        // Names are checked before anything is read; the rest of a draft is made of content.
        let nothing = [Artifact { name: String::new(), digest: Digest::of(b""), size: 0 }];
        let names = files.iter().map(|(name, _)| (name.clone(), PathBuf::new())).collect();
        draft(&nothing, names, commit).check()?;
        let owner = Uuid::new_v4().to_string();
        let digests: Vec<_> = files.iter().map(|(_, digest)| *digest).collect();
        self.inner.join().await?;
        self.inner.index.reserve(&owner, &digests).await?;
        // What is signed must be a file. Without a kernel nothing is.
        let folder = self.folder();
        let folder = tempfile::tempdir_in(&folder)
            .map_err(|source| StoreError::file("write in", &folder, source))?;
        let has_kernel = files.iter().any(|(name, _)| name == VMLINUX);
        let numbered = files.iter().cloned().enumerate().map(|(n, (name, digest))| {
            let place = (has_kernel && is_signed(&name)).then(|| folder.path().join(n.to_string()));
            (self.clone(), name, digest, place)
        });
        let numbered: Vec<_> = numbered.collect();
        let mut proving = stream::iter(numbered)
            .map(|(store, name, digest, place)| async move {
                let proven = store.prove(&digest, place.as_deref()).await;
                proven.map(|size| (Artifact { name, digest, size }, place))
            })
            .buffered(AT_ONCE)
            .boxed();
        let (mut artifacts, mut places) = (Vec::new(), Vec::new());
        let mut wrong = None;
        while let Some(proven) = proving.next().await {
            match proven {
                Ok((artifact, place)) => {
                    places.extend(place.map(|place| (artifact.name.clone(), place)));
                    artifacts.push(artifact);
                }
                // All are looked at: what is corrupt is gone from its place then, and sent again.
                Err(
                    error @ (StoreError::Missing(_)
                    | StoreError::LetGo(_)
                    | StoreError::NotRepeated(_)
                    | StoreError::Corrupt { .. }),
                ) => _ = wrong.get_or_insert(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        // They were proven on the way to this folder, where nobody else writes: a disk that gives
        // other bytes back at once is not guarded against.
        let signed = blocking(move || sign(&places)).await??;
        let made = describe(draft(&artifacts, Vec::new(), commit), artifacts, signed);
        let uses = self.inner.index.times(&made.input_key).await?;
        let (manifest, created) = self.add_described(&owner, made).await?;
        // One may have been removed before the build named it: by somebody whose clock is so far
        // ahead that the upload seemed to have died. Half a build is none.
        match self.files(&manifest).await {
            Ok(files) => {
                self.inner.index.release(&owner).await?;
                Ok(Pushed { manifest, files })
            }
            // What was here before is somebody else's. Its making was a use.
            Err(error @ (StoreError::Missing(_) | StoreError::Corrupt { .. }))
                if created == Created::New =>
            {
                self.take_back(&owner, &manifest.input_key, uses + 1).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a blob through and proves it, on the way to a file where one is wanted; gives its size.
    async fn prove(&self, digest: &Digest, place: Option<&Path>) -> Result<u64, StoreError> {
        let reader = self.reader(digest).await?;
        match place {
            Some(place) => self.read_to_file(digest, place).await?,
            None => reader.check().await?,
        }
        Ok(reader.size())
    }

    /// The files of a build, and what they take.
    pub async fn files(&self, manifest: &Manifest) -> Result<Vec<PushedFile>, StoreError> {
        stream::iter(manifest.artifacts.clone())
            .map(|Artifact { name, digest, size }| {
                let store = self.clone();
                async move {
                    let stored = store.stored_bytes(&digest).await?;
                    Ok(PushedFile { name, digest, size, stored })
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .boxed()
            .await
    }

    /// What a blob takes, in bytes; of one in parts, with its parts. What it is a difference to
    /// is another blob and not counted.
    pub async fn stored_bytes(&self, digest: &Digest) -> Result<u64, StoreError> {
        let reader = self.reader(digest).await?;
        let mut stored = reader.stored();
        if reader.form() == Form::Parts {
            for part in reader.rests_on() {
                stored += self.reader(&part).await?.stored();
            }
        }
        Ok(stored)
    }
}

/// What is known of a build by its files alone.
fn draft(
    artifacts: &[Artifact],
    places: Vec<(String, PathBuf)>,
    commit: Option<&str>,
) -> BuildDraft {
    let mut content = blake3::Hasher::new_derive_key("kiln pushed build v1");
    for artifact in artifacts {
        content.update(&(artifact.name.len() as u64).to_le_bytes());
        content.update(artifact.name.as_bytes());
        content.update(artifact.digest.as_bytes());
    }
    let content = Digest::from(content.finalize()).to_hex();
    let config = artifacts.iter().find(|it| it.name == CONFIG).map(|it| it.digest);
    let config = config.unwrap_or_else(|| Digest::of(b""));
    let input = BuildInput {
        tree: content[..40].to_owned(),
        config,
        arch: "unknown".into(),
        toolchain: Digest::of(b""),
        recipe: PUSHED.into(),
        targets: artifacts.iter().map(|it| it.name.clone()).collect(),
    };
    let family = BuildInput { tree: String::new(), targets: Vec::new(), ..input.clone() };
    BuildDraft {
        request_key: input.key(),
        family_key: InputKey(family.key().0),
        commit: commit.unwrap_or(&content[..40]).to_owned(),
        input,
        result: BuildResult::Built,
        artifacts: places,
        compiler: "unknown (pushed)".into(),
        seconds: 0.0,
    }
}

/// The files of a folder that are a build: of the folder that `make` was run in, what Kiln keeps
/// of a build too; of any other, every regular file. Gives names and places, sorted. A name that
/// is not UTF-8 is an error: what was left out unsaid would be missed later. Blocks.
pub fn files_of(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let is_kbuild = folder.join("include/generated").is_dir() && folder.join("scripts").is_dir();
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(place) = folders.pop() {
        for entry in std::fs::read_dir(&place)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            // A link to a file is a file; what leads to no file is nothing.
            if !kind.is_file() && !path.is_file() {
                continue;
            }
            let Ok(name) = path.strip_prefix(folder) else { continue };
            let Some(name) = name.to_str() else {
                if is_kbuild && name.extension() != Some("ko".as_ref()) {
                    continue;
                }
                let why = format!("the name of {} is not UTF-8: rename it", path.display());
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
            };
            let name = if is_kbuild { artifact_of(name) } else { Some(name.to_owned()) };
            files.extend(name.map(|name| (name, path.clone())));
        }
    }
    files.sort();
    files.dedup_by(|a, b| a.0 == b.0);
    Ok(files)
}

/// What Kiln calls a file of the folder that `make` was run in; `None` for what it does not keep.
fn artifact_of(name: &str) -> Option<String> {
    const TOP: [&str; 5] = ["vmlinux", "vmlinux.o", "System.map", ".config", "build.log"];
    const IMAGES: [&str; 5] = ["bzImage", "Image", "Image.gz", "zImage", "uImage"];
    if TOP.contains(&name) {
        return Some(name.to_owned());
    }
    if name.ends_with(".ko") {
        return Some(format!("modules/{name}"));
    }
    let boot = name.strip_prefix("arch/")?.split_once("/boot/")?.1;
    IMAGES.contains(&boot).then(|| boot.to_owned())
}
