//! Blobs in parts that were put together a while ago: compressing a kernel again takes seconds, and
//! whoever wants an image once mostly wants it again. Bounded, and trusted no more than a bucket is:
//! what is read here is proven like everything else.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::digest::Digest;

use super::table::Proof;

/// The folder, beside the objects.
pub(crate) const FOLDER: &str = "made";

/// Bytes of all files in it.
pub(crate) const LIMIT: u64 = 256 << 20;

/// The blob, if it is there and right. What is there and wrong goes. Blocks.
pub(crate) fn get(folder: &Path, digest: &Digest, proof: &Proof) -> Option<Vec<u8>> {
    let path = folder.join(digest.to_hex());
    let bytes = std::fs::read(&path).ok()?;
    if !proves(proof, &bytes) {
        tracing::warn!(path = %path.display(), "a copy of a blob is wrong: it is made again");
        let _gone = std::fs::remove_file(&path);
        return None;
    }
    // What was used last goes last; where that can't be noted, by when it was made.
    let opened = std::fs::File::options().append(true).open(&path);
    let _noted = opened.and_then(|file| file.set_modified(SystemTime::now()));
    Some(bytes)
}

/// Lets all of them go, but no mark. Blocks.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            // What others remove is gone, too.
            let copies = entries.flatten().filter(|it| it.path().extension().is_none());
            copies.for_each(|entry| _ = std::fs::remove_file(entry.path()));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The mark of a blob that could not be put together here: its compressors gave other bytes.
fn mark(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{}.unlike", digest.to_hex()))
}

/// Remembers, for all processes here, whether a blob could be put together. Blocks.
pub(crate) fn note(folder: &Path, digest: &Digest, could: bool) -> io::Result<()> {
    if could {
        return std::fs::remove_file(mark(folder, digest));
    }
    std::fs::create_dir_all(folder)?;
    std::fs::File::create(mark(folder, digest)).map(|_| ())
}

/// Whether a blob could not be put together when somebody last tried. Blocks.
pub(crate) fn is_doubtful(folder: &Path, digest: &Digest) -> bool {
    mark(folder, digest).exists()
}

/// Whether all bytes are those of the blob.
pub(crate) fn proves(proof: &Proof, bytes: &[u8]) -> bool {
    let is_long = bytes.len() as u64 == proof.plain_size();
    is_long
        && proof.frames(&(0..proof.plain_size())).all(|frame| {
            let range = proof.plain_range(frame);
            proof.check(frame, &bytes[range.start as usize..range.end as usize]).is_ok()
        })
}

/// Keeps a blob, and lets those go that were used longest ago. Blocks.
pub(crate) fn put(folder: &Path, digest: &Digest, bytes: &[u8], limit: u64) -> io::Result<()> {
    if bytes.len() as u64 > limit / 4 {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(bytes)?;
    staged.persist(folder.join(digest.to_hex()))?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Others remove files, too.
        let Ok(meta) = entry.metadata() else { continue };
        // Marks take no room.
        if meta.len() > 0 {
            files.push((meta.modified()?, meta.len(), entry.path()));
        }
    }
    let mut total: u64 = files.iter().map(|file| file.1).sum();
    files.sort();
    for (_, len, path) in files {
        if total <= limit {
            break;
        }
        let _gone = std::fs::remove_file(path);
        total -= len;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frames::FrameWriter;
    use super::super::table::{Footer, Table};
    use super::*;

    /// A blob of two frames, and what proves it.
    fn proven(seed: u8) -> (Digest, Vec<u8>, Table) {
        let plain = vec![seed; 1500];
        let mut writer = FrameWriter::new(10).unwrap();
        let mut stored = Vec::new();
        for frame in plain.chunks(1024) {
            stored.extend(writer.frame(frame).unwrap().unwrap_or(frame));
        }
        let finished = writer.finish();
        stored.extend(&finished.tail);
        let footer = Footer::parse(&stored[stored.len() - 40..], stored.len() as u64).unwrap();
        let bytes = &stored[footer.table.start as usize..footer.table.end as usize];
        let table = Table::parse(bytes, &footer, &finished.digest).unwrap();
        (finished.digest, plain, table)
    }

    #[test]
    fn only_what_is_right_comes_out_and_the_longest_unused_goes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let blobs: Vec<_> = (0..5).map(proven).collect();
        let get = |n: usize| get(&folder, &blobs[n].0, blobs[n].2.proof());
        assert!(get(0).is_none());
        for (n, (digest, plain, _)) in blobs.iter().enumerate() {
            put(&folder, digest, plain, 6500).unwrap();
            assert_eq!(get(n).as_deref(), Some(plain.as_slice()));
            // Used again after each of the others.
            assert!(get(0).is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(get(1).is_none() && get(4).is_some(), "four have room");
        let path = folder.join(blobs[4].0.to_hex());
        for wrong in [vec![9; 1500], vec![4; 1499], Vec::new()] {
            std::fs::write(&path, wrong).unwrap();
            assert!(get(4).is_none() && !path.exists());
        }
        put(&folder, &blobs[4].0, &[0; 2000], 6500).unwrap();
        assert!(!path.exists(), "too large to be kept");
    }
}
