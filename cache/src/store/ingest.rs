//! From a finished build's files to a manifest: every digest, size and signature computed here.

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

/// The manifest of a build whose files have been stored as these artifacts.
pub(super) async fn describe(
    draft: BuildDraft,
    artifacts: Vec<Artifact>,
) -> Result<Manifest, StoreError> {
    let (signatures, build_id) = match draft.result {
        BuildResult::Built => sign(&draft, &artifacts).await?,
        BuildResult::Failed { .. } => (Signatures::default(), None),
    };
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

/// A kernel is signed by its `vmlinux` and `vmlinux.o`, and everything by its content.
async fn sign(
    draft: &BuildDraft,
    artifacts: &[Artifact],
) -> Result<(Signatures, Option<String>), StoreError> {
    let (mut signatures, build_id) = sign_kernel(draft, artifacts).await?;
    let content = content_signature(artifacts, signatures.get(SignatureKind::Image));
    signatures.0.insert(SignatureKind::Content, content);
    Ok((signatures, build_id))
}

/// Signatures and build id of the kernel of a build; none without a `vmlinux`. With one, each
/// artifact that is signed must have its place in the draft: a kernel named by some of its files
/// would be another kernel.
async fn sign_kernel(
    draft: &BuildDraft,
    artifacts: &[Artifact],
) -> Result<(Signatures, Option<String>), StoreError> {
    let stored = |name: &str| {
        let (_, path) = draft.artifacts.iter().find(|(it, _)| it == name)?;
        let artifact = artifacts.iter().find(|it| it.name == name)?;
        Some((path.clone(), artifact.digest))
    };
    if !artifacts.iter().any(|it| it.name == VMLINUX) {
        return Ok((Signatures::default(), None));
    }
    let must_have = |name: &str| {
        let missing = std::io::ErrorKind::NotFound.into();
        stored(name).ok_or_else(|| StoreError::file("sign", Path::new(name), missing))
    };
    let mut parts = Vec::new();
    for part in artifacts.iter().filter(|it| signature::is_named_by_image(&it.name)) {
        parts.push((part.name.clone(), must_have(&part.name)?));
    }
    let object = match artifacts.iter().any(|it| it.name == VMLINUX_O) {
        true => Some(must_have(VMLINUX_O)?),
        false => None,
    };
    let signed = blocking(move || {
        let Some((mut signatures, build_id)) = sign_parts(&parts)? else {
            return Ok::<_, StoreError>(None);
        };
        if let Some((path, digest)) = object
            && let Some(code) = sign_object(&path, &digest)?
        {
            signatures.0.insert(SignatureKind::Code, code);
        }
        Ok(Some((signatures, build_id)))
    });
    let signed = signed.await??;
    Ok(signed.unwrap_or_default())
}

/// Signs the files that were stored under these names with these digests; `None` when the
/// `vmlinux` is no ELF file (a fake's).
fn sign_parts(
    parts: &[(String, (PathBuf, Digest))],
) -> Result<Option<(Signatures, Option<String>)>, StoreError> {
    let files: Vec<(String, PathBuf)> =
        parts.iter().map(|(name, (path, _))| (name.clone(), path.clone())).collect();
    let Some((_, vmlinux)) = files.iter().find(|(name, _)| name == VMLINUX) else {
        return Ok(None);
    };
    if !is_elf(vmlinux)? {
        return Ok(None);
    }
    let fail = |source| StoreError::Signature { path: vmlinux.clone(), source };
    let signatures = signature::sign_build(&files).map_err(fail)?;
    let build_id = signature::build_id(vmlinux).map_err(fail)?;
    for (_, (path, digest)) in parts {
        must_be(path, digest)?;
    }
    Ok(Some((signatures, build_id)))
}

/// The `code` signature of the file that was stored as `digest`; `None` when it is no ELF file, or
/// one of a machine that this signature does not know.
fn sign_object(path: &Path, digest: &Digest) -> Result<Option<Signature>, StoreError> {
    if !is_elf(path)? {
        return Ok(None);
    }
    let signature = match signature::sign_kind(path, SignatureKind::Code) {
        Ok(signature) => signature,
        Err(SignatureError::Elf { source: ElfError::Machine(_), .. }) => return Ok(None),
        Err(source) => return Err(StoreError::Signature { path: path.to_owned(), source }),
    };
    must_be(path, digest)?;
    Ok(Some(signature))
}

/// Signatures are of the bytes that the store holds, so those that were read must be the same.
fn must_be(path: &Path, digest: &Digest) -> Result<(), StoreError> {
    let found = Digest::of_file(path).map_err(|source| StoreError::file("read", path, source))?;
    if found == *digest { Ok(()) } else { Err(StoreError::Changed(path.to_owned())) }
}

fn is_elf(path: &Path) -> Result<bool, StoreError> {
    let mut magic = Vec::with_capacity(4);
    let read = std::fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic));
    read.map_err(|source| StoreError::file("read", path, source))?;
    Ok(magic == b"\x7fELF")
}
