//! Bytes of a file without holding them in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memchr::memmem;
use memmap2::{Mmap, UncheckedAdvice};

use super::SignatureError;

/// How much is read before its pages are given back, in bytes.
const WINDOW: usize = 16 << 20;

/// Bytes that are read once, from start to end of each piece.
pub(crate) trait ByteSource: Sync {
    /// All bytes.
    fn bytes(&self) -> &[u8];

    /// Says that a range was read and need not stay in memory. It stays readable.
    fn done(&self, range: Range<usize>);
}

/// Bytes in memory, as tests have them.
#[cfg(test)]
impl ByteSource for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn done(&self, _range: Range<usize>) {}
}

/// Feeds a range to `take` in windows, giving each back when it is read, so that resident memory
/// stays flat however large the range is. The range must lie inside the source.
pub(crate) fn stream(source: &dyn ByteSource, range: Range<usize>, mut take: impl FnMut(&[u8])) {
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start.saturating_add(WINDOW));
        take(&source.bytes()[start..end]);
        source.done(start..end);
        start = end;
    }
}

/// Where a pattern occurs in a range, in bytes from the start of the source; in windows like
/// [`stream`]. At most `limit` places, not overlapping each other inside a window.
pub(crate) fn find(
    source: &dyn ByteSource,
    range: Range<usize>,
    pattern: &[u8],
    limit: usize,
) -> Vec<usize> {
    let mut found = Vec::new();
    let mut start = range.start;
    while start < range.end && found.len() < limit {
        let end = range.end.min(start.saturating_add(WINDOW));
        // What starts in this window may end in the next.
        let reach = range.end.min(end.saturating_add(pattern.len().saturating_sub(1)));
        let places = memmem::find_iter(&source.bytes()[start..reach], pattern);
        found.extend(places.map(|at| start + at).take(limit - found.len()));
        source.done(start..reach);
        start = end;
    }
    found
}

/// A file mapped for reading.
///
/// Nobody may write to or truncate the file while it is mapped: the signature would be of neither
/// state, and reading past a new end kills the process (SIGBUS).
pub(crate) struct Mapping {
    map: Mmap,
}

impl Mapping {
    /// Maps a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, SignatureError> {
        let failed = |source: io::Error| SignatureError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(SignatureError::NotAFile(path.to_owned()));
        }
        // SAFETY: the map is read-only and private to this value; see the type for what is asked
        // of whoever owns the file.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { map })
    }
}

impl ByteSource for Mapping {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn done(&self, range: Range<usize>) {
        if range.is_empty() || range.end > self.map.len() {
            return;
        }
        // SAFETY: dropping pages of a read-only map of a file loses nothing: the next read brings
        // the same bytes back. A failure only means that they stay in memory, so it is ignored.
        let _ = unsafe {
            self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_gives_every_byte_once_in_order() {
        let data: Vec<u8> = (0..WINDOW * 2 + 77).map(|i| (i % 251) as u8).collect();
        let mut seen = Vec::new();
        stream(&&data[..], 5..data.len() - 3, |piece| seen.extend_from_slice(piece));
        assert!(seen == data[5..data.len() - 3]);
        stream(&&data[..], 9..9, |_| panic!("an empty range has no piece"));
    }

    #[test]
    fn finds_what_lies_across_windows_once() {
        let mut data = vec![0; WINDOW * 2 + 100];
        let places = [3, WINDOW - 2, WINDOW + 2, WINDOW * 2 - 4, WINDOW * 2 + 96];
        for at in places {
            data[at..at + 4].copy_from_slice(b"kiln");
        }
        let source = &&data[..];
        assert_eq!(find(source, 0..data.len(), b"kiln", 9), places);
        assert_eq!(find(source, 0..data.len(), b"kiln", 3), places[..3]);
        assert_eq!(find(source, 4..data.len() - 1, b"kiln", 9), places[1..4]);
        assert!(find(source, 0..data.len(), b"oven", 9).is_empty());
    }

    #[test]
    fn pages_given_back_read_the_same_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data: Vec<u8> = (0..100_000_u32).map(|i| (i % 249) as u8).collect();
        std::fs::write(file.path(), &data).unwrap();
        let mapping = Mapping::open(file.path()).unwrap();
        for range in [0..data.len(), 4097..9000, 99_999..100_000, 0..0, 99_000..200_000] {
            mapping.done(range);
        }
        assert!(mapping.bytes() == data);
    }

    #[test]
    fn refuses_what_is_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Mapping::open(folder.path()), Err(SignatureError::NotAFile(_))));
        let missing = folder.path().join("vmlinux");
        let message = Mapping::open(&missing).err().unwrap().to_string();
        assert!(message.contains("vmlinux"), "{message}");
    }
}
