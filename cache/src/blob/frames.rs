//! The stored form of a blob: independently compressed frames that can be read, and proven, one
//! by one.
//!
//! ```text
//! stored form = frame* table footer                         all integers little-endian
//!
//! frame  = the stored bytes of 2^L plain bytes (fewer in the last frame, never none)
//! table  = one entry of 40 bytes a frame:
//!            u32       stored length of the frame
//!            u8        encoding: 0 plain, 1 one zstd frame
//!            u8[3]     zero
//!            u8[32]    BLAKE3 of the frame's plain bytes: the chaining value of that subtree at
//!                      its offset; for a blob of one frame, the digest of the blob itself
//! footer = 40 bytes:
//!            u64       plain size of the blob
//!            u32       length of the table
//!            u8        L, log2 of the frame size: 20 as written, 10 to 24 as read
//!            u8[3]     zero
//!            u8[16]    first half of the BLAKE3 of the table and the 16 footer bytes before this
//!            u8[8]     "KILNFRM" and the format's version, 1
//! ```
//!
//! A blob is named by the BLAKE3 digest of its plain bytes. BLAKE3 is a tree, and a frame is a
//! whole subtree of it, so the hashes of the table merge to exactly the digest. A reader fetches
//! footer and table, checks that they merge to the name it asked for, and from then on can prove
//! any single frame: what does not hash to its entry is corrupt, and no range of a blob is ever
//! served that the name does not vouch for. The footer's own hash adds nothing to that proof; it
//! catches accidents in sizes and lengths before a frame is read.
//!
//! Packing (`crate::pack`) replaces the stored form by a smaller one of the same blob. Its footer
//! has version 2 and, in the first of the three zeros, the kind of it:
//!
//! ```text
//! 0  frames  as above, only that zstd tried harder
//! 1  delta   groups, then the table: u8[32] the base's digest, the head of a delta (see
//!            `crate::pack::delta`), one hash a frame
//! 2  parts   nothing but the table: a recipe (see `super::parts`), one hash a frame
//! ```
//!
//! Each of these has the hashes of all frames, so each is proven alike.
//!
//! Version 3 is what stays of a blob that was let go of to make room (`crate::retention`): no frames,
//! the digest as table, and the footer.
//!
//! Version 4 is kind 2 of version 2 with a recipe of three parts, of which older Kilns know nothing:
//! they say that it is newer than they are, and leave it alone.

use std::io;

use zstd::bulk::Compressor;

use crate::digest::Digest;

use super::merge::{hash_frame, merge};
use super::table::{Encoding, Entry, Form, encode_tail};

/// log2 of the plain size of a frame: 1 MiB. Small enough to read a range of a large file
/// quickly, large enough that zstd loses nothing worth having.
pub(crate) const FRAME_LOG2: u8 = 20;

/// Plain size of a frame in bytes.
pub(crate) const FRAME: usize = 1 << FRAME_LOG2;

/// zstd's fastest regular level: storing must not slow a build down. A later pass packs better.
const LEVEL: i32 = 1;

/// Makes the stored form, frame by frame, with the memory of one frame.
pub(crate) struct FrameWriter {
    frames: Frames,
    packer: FramePacker,
}

/// Makes frames, in any order.
pub(crate) struct FramePacker {
    compressor: Compressor<'static>,
    /// The last frame that was made.
    packed: Vec<u8>,
}

/// The frames of a stored form that were made so far.
pub(crate) struct Frames {
    log2: u8,
    form: Form,
    entries: Vec<Entry>,
    /// Digest of the first frame by itself: the answer when no other follows.
    first: Option<Digest>,
    plain_size: u64,
}

/// A frame that was made, without its bytes.
pub(crate) struct Packed {
    entry: Entry,
    whole: Option<Digest>,
    plain_size: u64,
}

/// What the end of a stored form gives.
pub(crate) struct Finished {
    /// Digest of all plain bytes that went through.
    pub(crate) digest: Digest,
    /// Table and footer: the end of the stored form.
    pub(crate) tail: Vec<u8>,
}

impl FrameWriter {
    /// A writer of frames of `2^log2` bytes.
    pub(crate) fn new(log2: u8) -> io::Result<Self> {
        Ok(Self { frames: Frames::new(log2, Form::Fast), packer: FramePacker::fast()? })
    }

    /// A writer that takes its time.
    pub(crate) fn hard(log2: u8, level: i32) -> io::Result<Self> {
        Ok(Self { frames: Frames::new(log2, Form::Frames), packer: FramePacker::new(level)? })
    }

    /// Takes the next frame (all but the last must be full, none may be empty) and returns its
    /// stored bytes, or `None` when they are the plain bytes themselves.
    pub(crate) fn frame(&mut self, plain: &[u8]) -> io::Result<Option<&[u8]>> {
        let (packed, bytes) = self.packer.pack(self.frames.plain_size, plain)?;
        self.frames.add(packed);
        Ok(bytes)
    }

    /// Ends the stored form.
    pub(crate) fn finish(self) -> Finished {
        self.frames.finish()
    }
}

impl FramePacker {
    /// One that packs as [`FrameWriter::new`] does.
    pub(crate) fn fast() -> io::Result<Self> {
        Self::new(LEVEL)
    }

    fn new(level: i32) -> io::Result<Self> {
        Ok(Self { compressor: Compressor::new(level)?, packed: Vec::new() })
    }

    /// Makes the frame of the plain bytes that begin at `offset` of a blob; gives it with its stored
    /// bytes, `None` when they are the plain bytes themselves.
    pub(crate) fn pack(
        &mut self,
        offset: u64,
        plain: &[u8],
    ) -> io::Result<(Packed, Option<&[u8]>)> {
        debug_assert!(!plain.is_empty());
        let hash = hash_frame(offset, plain);
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.compressor.compress_to_buffer(plain, &mut self.packed)?;
        let smaller = self.packed.len() < plain.len();
        let entry = Entry {
            // A frame has at most 2^24 bytes.
            stored: if smaller { self.packed.len() } else { plain.len() } as u32,
            encoding: if smaller { Encoding::Zstd } else { Encoding::Plain },
            hash: hash.part,
        };
        let made = Packed { entry, whole: hash.whole, plain_size: plain.len() as u64 };
        Ok((made, smaller.then_some(self.packed.as_slice())))
    }
}

impl Frames {
    /// Frames of `2^log2` bytes.
    pub(crate) fn new(log2: u8, form: Form) -> Self {
        Self { log2, form, entries: Vec::new(), first: None, plain_size: 0 }
    }

    /// Takes the next frame: they come in order, and all but the last are full.
    pub(crate) fn add(&mut self, packed: Packed) {
        debug_assert!(packed.plain_size <= 1 << self.log2);
        debug_assert_eq!(self.plain_size, (self.entries.len() as u64) << self.log2);
        self.first = self.first.or(packed.whole);
        self.entries.push(packed.entry);
        self.plain_size += packed.plain_size;
    }

    /// Ends the stored form.
    pub(crate) fn finish(mut self) -> Finished {
        let parts: Vec<_> = self.entries.iter().map(|entry| entry.hash).collect();
        let digest = merge(&parts).or(self.first).unwrap_or_else(|| Digest::of(b""));
        if let [only] = self.entries.as_mut_slice() {
            only.hash = *digest.as_bytes();
        }
        let tail = encode_tail(&self.entries, self.plain_size, self.log2, self.form);
        Finished { digest, tail }
    }
}
