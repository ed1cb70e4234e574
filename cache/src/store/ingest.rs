//! From a finished build's files to a manifest: every digest, size and signature computed here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::blocking::blocking;
use crate::build_draft::{BuildDraft, VMLINUX, VMLINUX_O, content_signature};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::{Artifact, BuildResult, FORMAT, Manifest};
use crate::signature::{self, ElfError, Signature, SignatureError, SignatureKind, Signatures};
use crate::time::now;

use super::Inner;
use super::push::AT_ONCE;

/// Stores the files of a build, and holds them for the upload `owner`.
pub(super) async fn ingest(
    inner: &Inner,
    owner: &str,
    files: &[(String, PathBuf)],
) -> Result<Vec<Artifact>, StoreError> {
    let mut artifacts = Vec::with_capacity(files.len());
    for (name, path) in files {
        let (digest, size) = inner.blobs.put_file(path).await?;
        artifacts.push(Artifact { name: name.clone(), digest, size });
    }
    let digests: Vec<_> = artifacts.iter().map(|artifact| artifact.digest).collect();
    inner.join().await?;
    inner.index.reserve(owner, &digests).await?;
    // What was found here, and not written, may have been removed before it was held. Now it
    // stays.
    let places = artifacts.iter().zip(files).map(|(it, (_, path))| (it.digest, path.clone()));
    for (digest, path) in missing(inner, places.collect()).await? {
        if inner.blobs.put_file(&path).await?.0 != digest {
            return Err(StoreError::Changed(path));
        }
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(artifacts)
}

/// Stores the files of a build as [`ingest`] does, while they are signed.
pub(super) async fn ingest_signed(
    inner: &Inner,
    owner: &str,
    draft: &BuildDraft,
) -> Result<(Vec<Artifact>, Signed), StoreError> {
    let (stored, signed) = futures::join!(
        ingest(inner, owner, &draft.artifacts),
        sign(&draft.result, &draft.artifacts)
    );
    Ok((stored?, signed?))
}

/// Those of some blobs, each with its file, that are not here with all that they rest on.
pub(super) async fn missing(
    inner: &Inner,
    files: Vec<(Digest, PathBuf)>,
) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
    let blobs = inner.blobs.clone();
    let look = move |(digest, path): (Digest, PathBuf)| {
        let blobs = blobs.clone();
        async move { Ok::<_, StoreError>((blobs.is_here(&digest).await?, digest, path)) }
    };
    let mut looking = stream::iter(files).map(look).buffered(AT_ONCE).boxed();
    let mut missing = Vec::new();
    while let Some((is_here, digest, path)) = looking.try_next().await? {
        if !is_here {
            missing.push((digest, path));
        }
    }
    Ok(missing)
}

/// What is said of a kernel by its files alone.
#[derive(Default)]
pub(super) struct Signed {
    signatures: Signatures,
    build_id: Option<String>,
    /// What was read for it, by name: where it was, and what it was.
    read: BTreeMap<String, (PathBuf, Digest)>,
}

/// Signs the kernel of a build by its `vmlinux`, `vmlinux.o` and what else is named by `image`;
/// nothing without a `vmlinux` that is an ELF file (a fake's is none).
pub(super) async fn sign(
    result: &BuildResult,
    files: &[(String, PathBuf)],
) -> Result<Signed, StoreError> {
    let parts: Vec<_> = files.iter().filter(|(name, _)| is_signed(name)).cloned().collect();
    if matches!(result, BuildResult::Failed { .. }) {
        return Ok(Signed::default());
    }
    blocking(move || sign_files(&parts)).await?
}

fn is_signed(name: &str) -> bool {
    name == VMLINUX_O || signature::is_named_by_image(name)
}

fn sign_files(files: &[(String, PathBuf)]) -> Result<Signed, StoreError> {
    let Some((_, vmlinux)) = files.iter().find(|(name, _)| name == VMLINUX) else {
        return Ok(Signed::default());
    };
    if !is_elf(vmlinux)? {
        return Ok(Signed::default());
    }
    let fail = |source| StoreError::Signature { path: vmlinux.clone(), source };
    let mut signatures = signature::sign_build(files).map_err(fail)?;
    let build_id = signature::build_id(vmlinux).map_err(fail)?;
    if let Some((_, object)) = files.iter().find(|(name, _)| name == VMLINUX_O)
        && let Some(code) = sign_object(object)?
    {
        signatures.0.insert(SignatureKind::Code, code);
    }
    // Last, so that it is of what was read above, as long as nobody writes.
    let read = files.iter().map(|(name, path)| {
        let found = Digest::of_file(path).map_err(|source| StoreError::file("read", path, source));
        Ok((name.clone(), (path.clone(), found?)))
    });
    let read = read.collect::<Result<_, StoreError>>()?;
    Ok(Signed { signatures, build_id, read })
}

/// The `code` signature of a file; `None` when it is no ELF file, or one of a machine that this
/// signature does not know.
fn sign_object(path: &Path) -> Result<Option<Signature>, StoreError> {
    if !is_elf(path)? {
        return Ok(None);
    }
    match signature::sign_kind(path, SignatureKind::Code) {
        Ok(signature) => Ok(Some(signature)),
        Err(SignatureError::Elf { source: ElfError::Machine(_), .. }) => Ok(None),
        Err(source) => Err(StoreError::Signature { path: path.to_owned(), source }),
    }
}

/// The manifest of a build whose files have been stored as these artifacts. What was signed must be
/// what was stored, and all of it: a kernel named by some of its files would be another kernel.
pub(super) fn describe(
    draft: BuildDraft,
    artifacts: Vec<Artifact>,
    signed: Signed,
) -> Result<Manifest, StoreError> {
    let Signed { mut signatures, build_id, read } = signed;
    if !signatures.0.is_empty() {
        for stored in artifacts.iter().filter(|it| is_signed(&it.name)) {
            match read.get(&stored.name) {
                Some((_, digest)) if *digest == stored.digest => {}
                Some((path, _)) => return Err(StoreError::Changed(path.clone())),
                None => {
                    let missing = std::io::ErrorKind::NotFound.into();
                    return Err(StoreError::file("sign", Path::new(&stored.name), missing));
                }
            }
        }
    }
    if draft.result == BuildResult::Built {
        let content = content_signature(&artifacts, signatures.get(SignatureKind::Image));
        signatures.0.insert(SignatureKind::Content, content);
    }
    Ok(Manifest {
        format: FORMAT,
        input_key: draft.input.key(),
        input: draft.input,
        request_key: draft.request_key,
        family_key: draft.family_key,
        commit: draft.commit.to_ascii_lowercase(),
        result: draft.result,
        signatures,
        build_id,
        artifacts,
        compiler: draft.compiler,
        seconds: draft.seconds,
        created: now(),
    })
}

fn is_elf(path: &Path) -> Result<bool, StoreError> {
    let mut magic = Vec::with_capacity(4);
    let read = std::fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic));
    read.map_err(|source| StoreError::file("read", path, source))?;
    Ok(magic == b"\x7fELF")
}
