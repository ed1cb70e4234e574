//! Blobs back to files.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures::TryStreamExt;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::digest::Digest;
use crate::error::StoreError;

use super::Store;

impl Store {
    /// Writes a blob to a file, replacing one that is there. The file appears whole and proven,
    /// or not at all; nothing else is left when this is dropped halfway. It is not synced: it can be
    /// had again from the store.
    pub async fn read_to_file(&self, digest: &Digest, path: &Path) -> Result<(), StoreError> {
        self.write_file(digest, path, false, true).await
    }

    /// As [`Store::read_to_file`], for a file that is the user's: after a power cut, too, all of it is
    /// there, or what was there before. Where `replace` is false, a file that is there by then is an
    /// error, and stays.
    pub async fn export_file(
        &self,
        digest: &Digest,
        path: &Path,
        replace: bool,
    ) -> Result<(), StoreError> {
        self.write_file(digest, path, true, replace).await
    }

    async fn write_file(
        &self,
        digest: &Digest,
        path: &Path,
        whole: bool,
        replace: bool,
    ) -> Result<(), StoreError> {
        let reader = self.reader(digest).await?;
        let fail = |source| StoreError::file("write", path, source);
        let (mut file, staged) = stage(path).map_err(fail)?;
        let mut pieces = reader.stream(0..reader.size());
        while let Some(piece) = pieces.try_next().await? {
            file.write_all(&piece).await.map_err(fail)?;
        }
        file.flush().await.map_err(fail)?;
        if whole {
            // The content before the name; when that becomes durable, nobody waits for.
            file.sync_data().await.map_err(fail)?;
        }
        let placed = if replace { staged.persist(path) } else { staged.persist_noclobber(path) };
        placed.map_err(|error| fail(error.error))
    }
}

/// An empty file beside `path`, which goes away unless it is put in its place.
fn stage(path: &Path) -> io::Result<(File, TempPath)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (file, staged) = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        // As any new file: for whom the umask lets.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))?
        .into_parts();
    Ok((File::from_std(file), staged))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
