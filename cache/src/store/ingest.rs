//! From a finished build's files to a manifest: every digest, size and signature computed here.

use std::io::Read;
use std::path::Path;

use crate::blob::store::Blobs;
use crate::build_draft::{BuildDraft, VMLINUX, content_signature};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::{Artifact, BuildResult, FORMAT, Manifest};
use crate::signature::{self, SignatureKind, Signatures};
use crate::time::now;

/// Stores the files of a build; gives the manifest that describes them.
pub(super) async fn ingest(blobs: &Blobs, draft: BuildDraft) -> Result<Manifest, StoreError> {
    draft.check()?;
    let mut artifacts = Vec::with_capacity(draft.artifacts.len());
    for (name, path) in &draft.artifacts {
        let (digest, size) = blobs.put_file(path).await?;
        artifacts.push(Artifact { name: name.clone(), digest, size });
    }
    artifacts.sort_by(|a, b| a.name.cmp(&b.name));
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

/// A kernel is signed by its `vmlinux`, and everything by its content.
async fn sign(
    draft: &BuildDraft,
    artifacts: &[Artifact],
) -> Result<(Signatures, Option<String>), StoreError> {
    let (mut signatures, build_id) = sign_kernel(draft, artifacts).await?;
    let content = content_signature(artifacts, signatures.get(SignatureKind::Image));
    signatures.0.insert(SignatureKind::Content, content);
    Ok((signatures, build_id))
}

/// Signatures and build id of the `vmlinux` of a build; none without one.
async fn sign_kernel(
    draft: &BuildDraft,
    artifacts: &[Artifact],
) -> Result<(Signatures, Option<String>), StoreError> {
    let vmlinux = draft.artifacts.iter().find(|(name, _)| name == VMLINUX);
    let stored = artifacts.iter().find(|artifact| artifact.name == VMLINUX);
    let (Some((_, path)), Some(stored)) = (vmlinux, stored) else {
        return Ok((Signatures::default(), None));
    };
    let (path, digest) = (path.clone(), stored.digest);
    let signed = tokio::task::spawn_blocking(move || sign_vmlinux(&path, &digest));
    let signed = signed.await.map_err(|error| StoreError::stopped(&error))??;
    Ok(signed.unwrap_or_default())
}

/// Signs the file that was stored as `digest`; `None` when it is no ELF file (a fake's).
fn sign_vmlinux(
    path: &Path,
    digest: &Digest,
) -> Result<Option<(Signatures, Option<String>)>, StoreError> {
    if !is_elf(path).map_err(|source| StoreError::file("read", path, source))? {
        return Ok(None);
    }
    let fail = |source| StoreError::Signature { path: path.to_owned(), source };
    let signatures = signature::sign_file(path).map_err(fail)?;
    let build_id = signature::build_id(path).map_err(fail)?;
    // Signatures are of the bytes that the store holds, so these must have been the same bytes.
    let mut hasher = blake3::Hasher::new();
    let hashed = std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ()));
    hashed.map_err(|source| StoreError::file("read", path, source))?;
    if Digest::from(hasher.finalize()) != *digest {
        return Err(StoreError::Changed(path.to_owned()));
    }
    Ok(Some((signatures, build_id)))
}

fn is_elf(path: &Path) -> std::io::Result<bool> {
    let mut magic = Vec::with_capacity(4);
    std::fs::File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"\x7fELF")
}
