//! Are the stored signatures of a kernel those of its stored bytes?

use std::os::fd::AsRawFd;
use std::path::Path;

use futures::TryStreamExt;
use tokio::io::AsyncWriteExt;

use crate::build_draft::VMLINUX;
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::signature::{SignatureKind, sign_file};
use crate::store::Store;

/// Signs a build's `vmlinux` anew and compares; says what is wrong. `None` for builds without a
/// kernel. The file is unpacked on the store's disk, so memory stays flat.
pub(super) async fn check(
    store: &Store,
    manifest: &Manifest,
) -> Result<Option<String>, StoreError> {
    let kinds = [SignatureKind::Image, SignatureKind::Syzkaller];
    let wanted: Vec<_> =
        kinds.iter().filter_map(|kind| Some((kind, manifest.signatures.get(*kind)?))).collect();
    let Some(vmlinux) = manifest.artifact(VMLINUX).filter(|_| !wanted.is_empty()) else {
        return Ok(None);
    };
    let folder = store.folder();
    let fail = |source| StoreError::file("write in", &folder, source);
    // Without a name: nothing stays behind, whenever this ends.
    let file = tempfile::tempfile_in(&folder).map_err(fail)?;
    let mut copy = tokio::fs::File::from_std(file.try_clone().map_err(fail)?);
    let reader = store.reader(&vmlinux.digest).await?;
    let mut pieces = reader.stream(0..reader.size());
    while let Some(piece) = pieces.try_next().await? {
        copy.write_all(&piece).await.map_err(fail)?;
    }
    copy.flush().await.map_err(fail)?;
    let signed = tokio::task::spawn_blocking(move || {
        sign_file(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
    });
    let signed = match signed.await.map_err(|error| StoreError::stopped(&error))? {
        Ok(signed) => signed,
        Err(error) => return Ok(Some(format!("its vmlinux can't be signed: {error}"))),
    };
    let wrong = wanted.iter().find(|(kind, stored)| {
        // Another version of a definition can't be compared.
        signed.get(**kind).is_some_and(|now| now.version == stored.version && now != *stored)
    });
    Ok(wrong.map(|(kind, _)| {
        format!("its {kind} signature is not that of its vmlinux: remove its manifest, and build it again")
    }))
}
