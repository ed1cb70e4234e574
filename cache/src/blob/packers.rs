//! Packing frames of files on a few threads, whichever files are stored at the moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::blocking::{blocking, threads};
use crate::error::StoreError;

use super::frames::{FRAME, FramePacker, Packed};

/// What packs the frames of all files that a store takes in, so that many uploads at once use no more
/// threads, and little more memory, than one.
#[derive(Debug)]
pub(crate) struct Packers {
    permits: Arc<Semaphore>,
    /// Fresh memory for each frame would cost about as much as hashing it.
    idle: Mutex<Vec<Workspace>>,
}

/// What one thread packs with: 3 MiB or so.
struct Workspace {
    packer: FramePacker,
    plain: Vec<u8>,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workspace")
    }
}

impl Default for Packers {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(threads())), idle: Mutex::default() }
    }
}

impl Packers {
    /// Reads the frame of `len` bytes at `offset` of a file and packs it; gives it with its stored
    /// bytes. `None` when the file ends before the frame does.
    pub(crate) async fn pack(
        self: Arc<Self>,
        file: Arc<File>,
        path: &Path,
        offset: u64,
        len: usize,
    ) -> Result<Option<(Packed, Bytes)>, StoreError> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|closed| StoreError::Stopped(closed.to_string()))?;
        let packed = blocking(move || {
            // It ends with the work, whoever waits for that: one upload must not wait for another's
            // network.
            let _permit = permit;
            self.pack_here(&file, offset, len)
        });
        packed.await?.map_err(|source| StoreError::file("read", path, source))
    }

    fn pack_here(
        &self,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<Option<(Packed, Bytes)>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let mut workspace = waiting.map_or_else(Workspace::new, Ok)?;
        let plain = &mut workspace.plain[..len];
        match file.read_exact_at(plain, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (frame, packed) = workspace.packer.pack(offset, plain)?;
        let bytes = Bytes::copy_from_slice(packed.unwrap_or(plain));
        idle().push(workspace);
        Ok(Some((frame, bytes)))
    }
}

impl Workspace {
    fn new() -> io::Result<Self> {
        Ok(Self { packer: FramePacker::fast()?, plain: vec![0; FRAME] })
    }
}
