//! A blob's plain bytes in one piece, without holding large ones in memory for good.

use std::io::Write;
use std::path::Path;

use futures::TryStreamExt;

use crate::blob::reader::BlobReader;
use crate::error::{StoreError, is_full};

/// Longer blobs go to a file without a name, which the system may push out of memory.
const IN_MEMORY: u64 = 32 << 20;

/// The bytes.
#[derive(Debug)]
pub(super) enum Spool {
    Memory(Vec<u8>),
    File(memmap2::Mmap),
}

impl Spool {
    /// Reads all of a blob, proven.
    pub(super) async fn read(reader: &BlobReader, folder: &Path) -> Result<Self, StoreError> {
        if reader.size() <= IN_MEMORY {
            return Ok(Self::Memory(reader.read(0..reader.size()).await?));
        }
        let fail = |source: std::io::Error| match is_full(&source) {
            true => StoreError::Full {
                place: folder.display().to_string(),
                doing: "unpacking a blob".into(),
            },
            false => StoreError::file("write in", folder, source),
        };
        let mut file = tempfile::tempfile_in(folder).map_err(fail)?;
        let mut pieces = reader.stream(0..reader.size());
        while let Some(piece) = pieces.try_next().await? {
            file.write_all(&piece).map_err(fail)?;
        }
        // SAFETY: the file has no name, and nobody else has it open: nothing writes to it again.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
        Ok(Self::File(map))
    }
}

impl std::ops::Deref for Spool {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File(map) => map,
        }
    }
}
