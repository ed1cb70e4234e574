//! The digest of a file's content, read piece by piece.

use std::fs::File;
use std::io;
use std::path::Path;

use kiln_cache::Digest;

/// BLAKE3 of the content of a file of any size. Blocks while it reads.
///
/// # Errors
/// When the file can't be read.
pub(crate) fn file_digest(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_contents() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let content = vec![7; 300_000];
        std::fs::write(file.path(), &content).unwrap();
        assert_eq!(file_digest(file.path()).unwrap(), Digest::of(&content));
        assert!(file_digest(Path::new("/no/such")).is_err());
    }
}
