//! Table and footer of a stored blob: where each frame lies, and the proof that it belongs there.
//! The format is described in [`super::frames`].

use std::ops::Range;

use crate::digest::Digest;

use super::merge::{hash_frame, merge};

/// Bytes of the footer.
pub(crate) const FOOTER: usize = 40;
/// Bytes of one table entry.
const ENTRY: usize = 40;
/// Footer bytes that its own hash covers.
const COVERED: usize = 16;
const MAGIC: &[u8; 7] = b"KILNFRM";
const VERSION: u8 = 1;
/// Frame sizes that a reader accepts: what it may have to hold in memory is bounded.
const LOG2: std::ops::RangeInclusive<u8> = 10..=24;

/// How a frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Plain,
    /// One zstd frame.
    Zstd,
}

/// One frame, as the table describes it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Stored length in bytes.
    pub(crate) stored: u32,
    /// How it is stored.
    pub(crate) encoding: Encoding,
    /// Hash of its plain bytes.
    pub(crate) hash: [u8; 32],
}

/// Why stored bytes are not the blob they are named after.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Defect {
    #[error("its {0} stored bytes are too few for a footer")]
    Short(u64),
    #[error("its footer does not begin or end as one")]
    Footer,
    #[error("it has version {0} of the stored form, and this Kiln knows version {VERSION}")]
    Version(u8),
    #[error("its sizes contradict each other")]
    Sizes,
    #[error("its table does not match the checksum")]
    Checksum,
    #[error("its table proves another content")]
    OtherContent,
    #[error("frame {0} can't be unpacked")]
    Unpack(usize),
    #[error("frame {0} does not match its hash")]
    Frame(usize),
}

/// A footer that was read, and not yet proven.
#[derive(Clone, Debug)]
pub(crate) struct Footer {
    plain_size: u64,
    log2: u8,
    bytes: [u8; FOOTER],
    /// Where the table lies in the stored form.
    pub(crate) table: Range<u64>,
}

impl Footer {
    /// Reads the last [`FOOTER`] bytes of a stored form of `stored` bytes.
    pub(crate) fn parse(bytes: &[u8], stored: u64) -> Result<Self, Defect> {
        let bytes: [u8; FOOTER] = bytes.try_into().map_err(|_| Defect::Short(stored))?;
        if &bytes[32..39] != MAGIC || bytes[13..16] != [0; 3] {
            return Err(Defect::Footer);
        }
        if bytes[39] != VERSION {
            return Err(Defect::Version(bytes[39]));
        }
        let plain_size = u64::from_le_bytes(array(&bytes[..8]));
        let table_len = u64::from(u32::from_le_bytes(array(&bytes[8..12])));
        let log2 = bytes[12];
        if !LOG2.contains(&log2) {
            return Err(Defect::Sizes);
        }
        let frames = plain_size.div_ceil(1 << log2);
        let table_end = stored.checked_sub(FOOTER as u64).ok_or(Defect::Short(stored))?;
        let table_start = table_end.checked_sub(table_len).ok_or(Defect::Sizes)?;
        if frames.checked_mul(ENTRY as u64) != Some(table_len) {
            return Err(Defect::Sizes);
        }
        Ok(Self { plain_size, log2, bytes, table: table_start..table_end })
    }
}

/// A table that merges to the digest it was asked for.
#[derive(Debug)]
pub(crate) struct Table {
    plain_size: u64,
    log2: u8,
    entries: Vec<Entry>,
    /// Where each frame begins in the stored form.
    starts: Vec<u64>,
}

impl Table {
    /// Reads the table's bytes and proves that they describe the blob called `digest`.
    pub(crate) fn parse(bytes: &[u8], footer: &Footer, digest: &Digest) -> Result<Self, Defect> {
        if bytes.len() as u64 != footer.table.end - footer.table.start {
            return Err(Defect::Sizes);
        }
        if checksum(bytes, &footer.bytes[..COVERED]) != footer.bytes[COVERED..32] {
            return Err(Defect::Checksum);
        }
        let entries = bytes.chunks_exact(ENTRY).map(entry).collect::<Result<Vec<_>, _>>()?;
        let mut starts = Vec::with_capacity(entries.len());
        let mut end = 0_u64;
        for entry in &entries {
            starts.push(end);
            end += u64::from(entry.stored);
        }
        if end != footer.table.start {
            return Err(Defect::Sizes);
        }
        let parts: Vec<_> = entries.iter().map(|entry| entry.hash).collect();
        let proven = match parts.as_slice() {
            [] => Digest::of(b""),
            [whole] => Digest::from(*whole),
            // `merge` answers for two frames and more.
            _ => merge(&parts).ok_or(Defect::Sizes)?,
        };
        if proven != *digest {
            return Err(Defect::OtherContent);
        }
        Ok(Self { plain_size: footer.plain_size, log2: footer.log2, entries, starts })
    }

    /// Plain size of the blob in bytes.
    pub(crate) fn plain_size(&self) -> u64 {
        self.plain_size
    }

    /// The frames that hold a range of plain bytes, which must lie within the blob.
    pub(crate) fn frames(&self, range: &Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        // Frame numbers are below the number of entries, which are in memory.
        (range.start >> self.log2) as usize..((range.end - 1) >> self.log2) as usize + 1
    }

    /// The plain bytes that a frame holds, as a range of the blob.
    pub(crate) fn plain_range(&self, frame: usize) -> Range<u64> {
        let start = (frame as u64) << self.log2;
        start..(start + (1 << self.log2)).min(self.plain_size)
    }

    /// Where a frame lies in the stored form.
    pub(crate) fn stored_range(&self, frame: usize) -> Range<u64> {
        let start = self.starts[frame];
        start..start + u64::from(self.entries[frame].stored)
    }

    /// Unpacks a frame and proves it. The plain bytes are right, or there are none.
    pub(crate) fn open(&self, frame: usize, stored: &[u8]) -> Result<Option<Vec<u8>>, Defect> {
        let entry = &self.entries[frame];
        let range = self.plain_range(frame);
        let len = (range.end - range.start) as usize;
        let unpacked = match entry.encoding {
            Encoding::Plain => None,
            Encoding::Zstd => {
                Some(zstd::bulk::decompress(stored, len).map_err(|_| Defect::Unpack(frame))?)
            }
        };
        let plain = unpacked.as_deref().unwrap_or(stored);
        if plain.len() != len {
            return Err(Defect::Unpack(frame));
        }
        let hash = hash_frame(range.start, plain);
        let right = match hash.whole {
            Some(whole) if self.entries.len() == 1 => *whole.as_bytes() == entry.hash,
            _ => hash.part == entry.hash,
        };
        if right { Ok(unpacked) } else { Err(Defect::Frame(frame)) }
    }
}

/// Table and footer of these frames.
pub(crate) fn encode_tail(entries: &[Entry], plain_size: u64, log2: u8) -> Vec<u8> {
    let mut tail = Vec::with_capacity(entries.len() * ENTRY + FOOTER);
    for entry in entries {
        tail.extend(entry.stored.to_le_bytes());
        tail.push(match entry.encoding {
            Encoding::Plain => 0,
            Encoding::Zstd => 1,
        });
        tail.extend([0; 3]);
        tail.extend(entry.hash);
    }
    let table_len = tail.len();
    tail.extend(plain_size.to_le_bytes());
    // A table of 4 GiB would describe a blob of 100 TiB.
    tail.extend((table_len as u32).to_le_bytes());
    tail.push(log2);
    tail.extend([0; 3]);
    let sum = checksum(&tail[..table_len], &tail[table_len..]);
    tail.extend(sum);
    tail.extend(MAGIC);
    tail.push(VERSION);
    tail
}

fn entry(bytes: &[u8]) -> Result<Entry, Defect> {
    let encoding = match bytes[4..8] {
        [0, 0, 0, 0] => Encoding::Plain,
        [1, 0, 0, 0] => Encoding::Zstd,
        _ => return Err(Defect::Sizes),
    };
    let stored = u32::from_le_bytes(array(&bytes[..4]));
    if stored == 0 {
        return Err(Defect::Sizes);
    }
    Ok(Entry { stored, encoding, hash: array(&bytes[8..]) })
}

fn checksum(table: &[u8], footer: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table);
    hasher.update(footer);
    array(&hasher.finalize().as_bytes()[..16])
}

/// The first `N` bytes of a slice that has at least as many.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
