//! Whose folder is it? The mark of a store, and the lock that opening takes.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};

use crate::blob;
use crate::error::{StoreError, is_full};
use crate::manifests;
use crate::objects::Objects;

/// The format of the whole store that this version reads and writes.
const FORMAT: u64 = 1;

/// The file that says so.
const MARK: &str = "format.json";

/// The file that is locked while a store is opened. Its content means nothing.
const LOCK: &str = ".lock";

/// The folders that a store in a folder has from the beginning.
const FOLDERS: [&str; 2] = [blob::store::PREFIX, manifests::PREFIX];

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u64,
}

/// Makes sure that `folder` is a store of a format this version knows, creating one in a new or
/// empty folder. Returns the lock on the store's layout: until it is dropped, no other process
/// opens the same store. Blocks.
pub(crate) fn claim(folder: &Path) -> Result<File, StoreError> {
    let fail = |doing, path: &Path, source: io::Error| {
        if is_full(&source) {
            let doing = format!("creating {}", path.display());
            StoreError::Full { place: folder.display().to_string(), doing }
        } else if doing != "read" && is_forbidden(&source) {
            let why = format!("can't {doing} {}: {source}", path.display());
            StoreError::NotWritable { place: folder.to_owned(), why }
        } else {
            StoreError::file(doing, path, source)
        }
    };
    std::fs::create_dir_all(folder).map_err(|source| fail("create", folder, source))?;
    // Before anything is written: a folder of somebody else stays as it is.
    let mark = folder.join(MARK);
    // Looked for twice: somebody else may create the store between the first look and the listing,
    // and whoever creates one writes the mark before there is any file of it.
    if !mark.exists()
        && !is_empty(folder).map_err(|source| fail("read", folder, source))?
        && !mark.exists()
    {
        return Err(StoreError::NotAStore(folder.to_owned()));
    }
    let path = folder.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|source| fail("create", &path, source))?;
    lock.lock().map_err(|source| fail("lock", &path, source))?;
    match std::fs::read(&mark) {
        Ok(bytes) => check(&folder.display(), &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            lay_out(folder).map_err(|source| fail("create", folder, source))?;
            write(folder, &mark).map_err(|source| fail("create", &mark, source))?;
        }
        Err(source) => return Err(fail("read", &mark, source)),
    }
    Ok(lock)
}

/// The same for a bucket, or its part below the store's prefix. There is no lock: whatever several
/// machines do to a new store at once, each does whole.
pub(crate) async fn claim_bucket(objects: &Objects) -> Result<(), StoreError> {
    let mark = ObjectPath::from(MARK);
    if let Some(found) = read(objects, &mark).await? {
        return check(objects.name(), &found);
    }
    let fail = |source| objects.fail(format!("opening {}", objects.name()), source);
    // A bucket that does not exist, for one, can't be listed.
    let somebody = objects.list("").next().await.transpose().map_err(fail)?;
    if somebody.is_some() {
        // Somebody may have created the store between the two looks.
        return match read(objects, &mark).await? {
            Some(found) => check(objects.name(), &found),
            None => Err(StoreError::NotAStore(objects.name().into())),
        };
    }
    let bytes = serde_json::to_vec(&Mark { format: FORMAT });
    let bytes = bytes.map_err(|error| StoreError::Stopped(error.to_string()))?;
    objects.create(&mark, bytes.into()).await?;
    Ok(())
}

async fn read(objects: &Objects, mark: &ObjectPath) -> Result<Option<Bytes>, StoreError> {
    match objects.get(mark, None, None).await {
        Ok(found) => Ok(found.map(|found| found.bytes)),
        Err(source) => Err(objects.fail(format!("opening {}", objects.name()), source)),
    }
}

/// Whether a folder holds nothing but what an interrupted first opening leaves.
fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_left = name == LOCK || name == staged_name().as_str() || name == "lost+found";
        let is_ours = || FOLDERS.iter().any(|ours| name == *ours);
        if is_left || is_ours() && holds_no_file(&folder.join(&name), 2)? {
            continue;
        }
        return Ok(false);
    }
    Ok(true)
}

/// Whether a folder holds nothing but folders without files, so many levels deep.
fn holds_no_file(folder: &Path, levels: u32) -> io::Result<bool> {
    if levels == 0 || !folder.is_dir() {
        return Ok(false);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if levels == 1 || !holds_no_file(&path, levels - 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check(store: &(impl std::fmt::Display + ?Sized), bytes: &[u8]) -> Result<(), StoreError> {
    let what = format!("the store {store}");
    match serde_json::from_slice::<Mark>(bytes) {
        Ok(Mark { format }) if (1..=FORMAT).contains(&format) => Ok(()),
        Ok(Mark { format }) if format > FORMAT => {
            Err(StoreError::NewerFormat { what, found: format, known: FORMAT })
        }
        Ok(Mark { format }) => Err(damaged(store, format!("no Kiln ever had format {format}"))),
        Err(error) => Err(damaged(store, error.to_string())),
    }
}

fn damaged(store: &(impl std::fmt::Display + ?Sized), why: String) -> StoreError {
    StoreError::Damaged { what: format!("{store}/{MARK}"), why }
}

fn staged_name() -> String {
    format!("{MARK}.new")
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Under the lock, so one staged name is enough.
fn write(folder: &Path, mark: &Path) -> io::Result<()> {
    let staged = folder.join(staged_name());
    let file = File::create(&staged)?;
    serde_json::to_writer(&file, &Mark { format: FORMAT })?;
    file.sync_all()?;
    std::fs::rename(&staged, mark)?;
    File::open(folder)?.sync_all()
}

/// Makes the folders of blobs and builds, by the first two digits of their names. A folder made when
/// its first object comes costs that object two syncs. All are durable before there is a mark, so
/// nobody relies on one that a power cut may take.
fn lay_out(folder: &Path) -> io::Result<()> {
    for name in FOLDERS {
        let all = folder.join(name);
        for n in 0..=u8::MAX {
            std::fs::create_dir_all(all.join(format!("{n:02x}")))?;
        }
        File::open(all)?.sync_all()?;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(folder: &Path, text: &str) {
        std::fs::write(folder.join(MARK), text).unwrap();
    }

    #[test]
    fn creates_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a/b");
        drop(claim(&store).unwrap());
        assert_eq!(std::fs::read_to_string(store.join(MARK)).unwrap(), r#"{"format":1}"#);
        drop(claim(&store).unwrap());
        for folder in ["blobs/00", "blobs/ff", "builds/a0"] {
            assert!(store.join(folder).is_dir(), "{folder}");
        }
    }

    #[test]
    fn an_interrupted_creation_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK), "").unwrap();
        std::fs::write(folder.path().join("format.json.new"), "{\"for").unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/07")).unwrap();
        claim(folder.path()).unwrap();
    }

    #[test]
    fn folders_of_the_same_names_with_files_are_somebody_elses() {
        for file in ["builds/README", "blobs/00/x", "blobs/00/deep/x"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "x").unwrap();
            let error = claim(folder.path()).unwrap_err();
            assert!(matches!(error, StoreError::NotAStore(_)), "{error}");
        }
    }

    #[test]
    fn refuses_other_folders_and_leaves_them_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
        let error = claim(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::NotAStore(_)), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn says_the_way_out_of_a_folder_that_nobody_may_write_to() {
        // Not even root makes a folder there.
        let error = claim(Path::new("/sys/kiln")).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("/sys/kiln") && said.contains("--remote"), "{said}");
    }

    #[test]
    fn refuses_a_newer_store_naming_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        mark(folder.path(), r#"{"format":7,"added later":true}"#);
        let error = claim(folder.path()).unwrap_err().to_string();
        assert!(error.contains("format 7") && error.contains("up to 1"), "{error}");
        assert!(error.contains("newer Kiln") && error.contains("--store"), "{error}");
    }

    #[test]
    fn refuses_a_mark_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"format\":-1}", "{\"format\":0}", "\0\0"] {
            mark(folder.path(), text);
            let error = claim(folder.path()).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{text:?}: {error}");
        }
    }
}
