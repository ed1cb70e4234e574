//! Are the stored signatures of a kernel those of its stored bytes?

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;

use crate::blocking::blocking;
use crate::build_draft::VMLINUX;
use crate::error::StoreError;
use crate::manifest::{Artifact, Manifest};
use crate::signature::{
    Kernel, Signature, SignatureError, SignatureKind, is_named_by_image, name_of,
};
use crate::store::Store;

/// Signs a build's kernel anew and compares; says what is wrong. `None` for builds without a
/// kernel. The files are unpacked on the store's disk one after the other, so memory stays flat.
pub(super) async fn check(
    store: &Store,
    manifest: &Manifest,
) -> Result<Option<String>, StoreError> {
    let kinds = [SignatureKind::Image, SignatureKind::Syzkaller];
    let wanted: Vec<(SignatureKind, Signature)> =
        kinds.iter().filter_map(|kind| Some((*kind, *manifest.signatures.get(*kind)?))).collect();
    let Some(vmlinux) = manifest.artifact(VMLINUX).filter(|_| !wanted.is_empty()) else {
        return Ok(None);
    };
    let vmlinux = unpacked(store, vmlinux).await?;
    let place = place(&vmlinux);
    let opened = blocking(move || {
        let kernel = Kernel::open(&place)?;
        let parts = kernel.parts()?;
        let syzkaller = kernel.sign(SignatureKind::Syzkaller)?;
        Ok::<_, SignatureError>((kernel, parts, syzkaller))
    });
    let (kernel, mut parts, syzkaller) = match opened.await? {
        Ok(opened) => opened,
        Err(error) => return Ok(Some(format!("its vmlinux can't be signed: {error}"))),
    };
    let kernel = std::sync::Arc::new(kernel);
    let others = manifest.artifacts.iter().filter(|it| it.name != VMLINUX);
    for artifact in others.filter(|it| is_named_by_image(&it.name)) {
        let file = unpacked(store, artifact).await?;
        let (kernel, name) = (kernel.clone(), artifact.name.clone());
        let part = blocking(move || {
            let part = kernel.part(&name, &self::place(&file));
            drop(file);
            part
        });
        match part.await? {
            Ok(part) => _ = parts.insert(artifact.name.clone(), part),
            Err(error) => {
                return Ok(Some(format!("its {} can't be signed: {error}", artifact.name)));
            }
        }
    }
    let image = name_of(&parts);
    let wrong = wanted.iter().find(|(kind, stored)| {
        let now = if *kind == SignatureKind::Image { image } else { syzkaller };
        // Another version of a definition can't be compared.
        now.version == stored.version && now != *stored
    });
    Ok(wrong.map(|(kind, _)| {
        format!(
            "its {kind} signature is not that of its files: remove its manifest, and build it again"
        )
    }))
}

/// An artifact as a file without a name: nothing stays behind, whenever this ends.
async fn unpacked(store: &Store, artifact: &Artifact) -> Result<File, StoreError> {
    let folder = store.folder();
    let fail = |source| StoreError::file("write in", &folder, source);
    let file = tempfile::tempfile_in(&folder).map_err(fail)?;
    let mut copy = tokio::fs::File::from_std(file.try_clone().map_err(fail)?);
    let reader = store.reader(&artifact.digest).await?;
    let mut pieces = reader.stream(0..reader.size());
    while let Some(piece) = pieces.try_next().await? {
        copy.write_all(&piece).await.map_err(fail)?;
    }
    copy.flush().await.map_err(fail)?;
    Ok(file)
}

/// The path that an open file without a name can be opened by.
fn place(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
