//! From a finished build's files to a manifest: every digest, size and signature computed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::blob::upload::hash_file;
use crate::blocking::{blocking, threads};
use crate::build_draft::{BuildDraft, VMLINUX, VMLINUX_O, content_signature};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::{Artifact, BuildResult, FORMAT, Manifest};
use crate::signature::{self, ElfError, Signature, SignatureError, SignatureKind, Signatures};
use crate::time::now;

use super::Inner;
use super::push::AT_ONCE;

/// Signs the files of a build that came about so, stores them, and holds them for the upload `owner`.
///
/// What is signed is hashed before, and must be the same when it is read again to be stored: a file
/// that is written to meanwhile ends with [`StoreError::Changed`], and there is no build. (Who writes
/// other bytes and then the old ones again, just while it is signed, is not seen; nobody should write
/// to a build at all, and who cuts the file off ends the process.)
pub(super) async fn ingest(
    inner: &Inner,
    owner: &str,
    result: &BuildResult,
    files: &[(String, PathBuf)],
) -> Result<(Vec<Artifact>, Signed), StoreError> {
    let mut hashed = BTreeMap::new();
    let mut signed = Signed::default();
    let parts: Vec<_> = files.iter().filter(|(name, _)| is_signed(name)).cloned().collect();
    if *result == BuildResult::Built && parts.iter().any(|(name, _)| name == VMLINUX) {
        hashed = hash(&parts).await?;
        signed = blocking(move || sign(&parts)).await??;
    }
    let mut artifacts = Vec::with_capacity(files.len());
    for (name, path) in files {
        let (digest, size) = match hashed.get(path) {
            Some(known) => {
                inner.blobs.put_hashed(path, *known).await?;
                *known
            }
            None => inner.blobs.put_file(path).await?,
        };
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
    Ok((artifacts, signed))
}

/// Digests and sizes of files.
async fn hash(files: &[(String, PathBuf)]) -> Result<BTreeMap<PathBuf, (Digest, u64)>, StoreError> {
    let look = |(_, path): (String, PathBuf)| async move {
        Ok::<_, StoreError>((path.clone(), hash_file(&path).await?))
    };
    stream::iter(files.to_vec()).map(look).buffered(threads()).boxed().try_collect().await
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

/// What the files of a kernel say of it.
#[derive(Default)]
pub(super) struct Signed {
    signatures: Signatures,
    build_id: Option<String>,
}

/// Whether an artifact is one that a kernel is signed by.
pub(super) fn is_signed(name: &str) -> bool {
    name == VMLINUX_O || signature::is_named_by_image(name)
}

/// Signs a kernel by all of its files that [`is_signed`] names: by some of them it would be another
/// kernel. Without a `vmlinux` that is an ELF file (a fake's is none) there is nothing to sign. Nobody
/// may write to them meanwhile. Blocks.
pub(super) fn sign(files: &[(String, PathBuf)]) -> Result<Signed, StoreError> {
    let place = |wanted: &str| files.iter().find(|(name, _)| name == wanted).map(|(_, path)| path);
    let Some(vmlinux) = place(VMLINUX) else { return Ok(Signed::default()) };
    let fail = |source| StoreError::Signature { path: vmlinux.clone(), source };
    if !signature::is_elf(vmlinux).map_err(fail)? {
        return Ok(Signed::default());
    }
    let mut signatures = signature::sign_build(files).map_err(fail)?;
    let build_id = signature::build_id(vmlinux).map_err(fail)?;
    if let Some(object) = place(VMLINUX_O)
        && let Some(code) = sign_object(object)?
    {
        signatures.0.insert(SignatureKind::Code, code);
    }
    Ok(Signed { signatures, build_id })
}

/// The `code` signature of a file; `None` when it is no ELF file, or one of a machine that this
/// signature does not know.
fn sign_object(path: &Path) -> Result<Option<Signature>, StoreError> {
    let fail = |source| StoreError::Signature { path: path.to_owned(), source };
    if !signature::is_elf(path).map_err(fail)? {
        return Ok(None);
    }
    match signature::sign_kind(path, SignatureKind::Code) {
        Ok(signature) => Ok(Some(signature)),
        Err(SignatureError::Elf { source: ElfError::Machine(_), .. }) => Ok(None),
        Err(source) => Err(fail(source)),
    }
}

/// The manifest of a build whose files have been stored as these artifacts, and signed so.
pub(super) fn describe(draft: BuildDraft, artifacts: Vec<Artifact>, signed: Signed) -> Manifest {
    let Signed { mut signatures, build_id } = signed;
    if draft.result == BuildResult::Built {
        let content = content_signature(&artifacts, signatures.get(SignatureKind::Image));
        signatures.0.insert(SignatureKind::Content, content);
    }
    Manifest {
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
    }
}
