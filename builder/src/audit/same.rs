//! Whether what an audit compiled is what is stored.

use std::path::{Path, PathBuf};

use kiln_cache::Digest;
use kiln_cache::build_draft::{BUILD_LOG, CLOSURE, PROVENANCE, UNITS, VMLINUX_O};
use kiln_cache::manifest::Manifest;
use kiln_cache::signature::{Signature, SignatureKind, is_named_by_image, sign_build};

use crate::builder::Builder;
use crate::error::{BuildError, Doing};
use crate::kbuild::Made;
use crate::work::{Compiled, Job};

/// What is in a build beside what a test can run.
const NOTES: [&str; 7] =
    [BUILD_LOG, CLOSURE, UNITS, PROVENANCE, VMLINUX_O, "System.map", ".config"];

/// What of a compiled kernel is compared.
struct Seen {
    image: Signature,
    /// The other files that a test can run.
    others: Vec<(String, Digest)>,
}

impl Builder {
    /// Whether what was compiled is what is stored: the same image, which names the kernel with its boot
    /// code and modules, and byte for byte everything else that a test can run; or both do not build.
    pub(super) async fn is_same(
        &self,
        job: &Job,
        compiled: &Compiled,
        stored: &Manifest,
    ) -> Result<bool, BuildError> {
        match &compiled.made {
            Made::Badly { .. } => return Ok(!stored.is_built()),
            Made::Well { .. } if !stored.is_built() => return Ok(false),
            Made::Well { .. } => {}
        }
        let runs = |name: &str| !NOTES.contains(&name);
        let made: Vec<_> = compiled.artifacts.iter().filter(|(name, _)| runs(name)).collect();
        let kept = stored.artifacts.iter().filter(|artifact| runs(&artifact.name)).count();
        if made.len() != kept || made.iter().any(|(name, _)| stored.artifact(name).is_none()) {
            tracing::error!("an audited build has other files");
            return Ok(false);
        }
        let made: Vec<(String, PathBuf)> = made.into_iter().cloned().collect();
        let Seen { image, others } = job.on_thread(move |_| seen(made)).await?;
        if self.image_of(job, stored, image.version).await? != Some(image) {
            tracing::error!("an audited build has another image");
            return Ok(false);
        }
        for (name, digest) in others {
            if Some(digest) != stored.artifact(&name).map(|artifact| artifact.digest) {
                tracing::error!(name, "an audited build differs here");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The image of a stored build by a version of its definition: as it was stored with, or signed anew
    /// where that is of another version, with which it can't be compared.
    async fn image_of(
        &self,
        job: &Job,
        stored: &Manifest,
        version: u32,
    ) -> Result<Option<Signature>, BuildError> {
        let known = stored.signatures.get(SignatureKind::Image);
        if known.is_none_or(|known| known.version == version) {
            return Ok(known.copied());
        }
        let folder = tempfile::tempdir().doing("making", &std::env::temp_dir())?;
        let mut files = Vec::new();
        for (number, artifact) in stored.artifacts.iter().enumerate() {
            if is_named_by_image(&artifact.name) {
                let path = folder.path().join(number.to_string());
                self.store.read_to_file(&artifact.digest, &path).await?;
                files.push((artifact.name.clone(), path));
            }
        }
        job.on_thread(move |_| image(&files)).await.map(Some)
    }
}

fn seen(made: Vec<(String, PathBuf)>) -> Result<Seen, BuildError> {
    let (named, others): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|(name, _)| is_named_by_image(name));
    let others = others.into_iter().map(|(name, path)| Ok((name, digest(&path)?)));
    Ok(Seen { image: image(&named)?, others: others.collect::<Result<_, BuildError>>()? })
}

fn image(files: &[(String, PathBuf)]) -> Result<Signature, BuildError> {
    let fail = |reason: String| BuildError::Infra { reason };
    let signatures = sign_build(files).map_err(|error| fail(error.to_string()))?;
    let image = signatures.get(SignatureKind::Image).copied();
    image.ok_or_else(|| fail("a kernel that was compiled has no image".to_owned()))
}

fn digest(path: &Path) -> Result<Digest, BuildError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).doing("reading", path)?;
    Ok(hasher.finalize().into())
}
