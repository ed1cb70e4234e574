//! Table and footer of a stored blob: where each frame lies, and the proof that it belongs there.
//! The format is described in [`super::frames`].

use std::ops::Range;

use crate::digest::Digest;
use crate::pack::parts::Recipe;

use super::merge::{hash_frame, merge};

/// Bytes of the footer.
pub(crate) const FOOTER: usize = 40;
/// Bytes of one table entry.
const ENTRY: usize = 40;
/// Bytes of one hash.
const HASH: usize = 32;
/// Footer bytes that its own hash covers.
const COVERED: usize = 16;
const MAGIC: &[u8; 7] = b"KILNFRM";
/// Frames written fast, whose table is all entries.
const VERSION: u8 = 1;
/// What packing made: the footer has a [`Form`].
const PACKED: u8 = 2;
/// Nothing but the name of a blob that was let go of.
const LET_GO: u8 = 3;
/// A recipe of more parts than two. A Kiln that knows of two only says that this is newer than
/// itself, where it would take a recipe that it can't read for damage.
const MORE_PARTS: u8 = 4;
/// The last of these.
const NEWEST: u8 = MORE_PARTS;
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

/// How a whole blob is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Frames as they were written first.
    Fast,
    /// Frames that have been packed as small as they get.
    Frames,
    /// A delta to another blob.
    Delta,
    /// Parts that are blobs, put together again.
    Parts,
    /// Not at all: it was let go of to make room.
    LetGo,
}

/// Why stored bytes are not the blob they are named after.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Defect {
    #[error("its {0} stored bytes are too few for a footer")]
    Short(u64),
    #[error("its footer does not begin or end as one")]
    Footer,
    #[error("it has version {0} of the stored form, and this Kiln knows versions up to {NEWEST}")]
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
    #[error("its recipe can't be read")]
    Recipe,
    #[error("it is a delta to another content than the blob {0}")]
    OtherBase(Digest),
    #[error("what it rests on does not give it any more")]
    Parts,
    /// No defect: it was let go of.
    #[error("it was let go of to make room")]
    LetGo,
}

impl Defect {
    /// Versions of the stored form: found and known, when a newer Kiln wrote it. Such bytes are
    /// not corrupt.
    pub(crate) fn newer(&self) -> Option<(u64, u64)> {
        match self {
            Self::Version(found) if *found > NEWEST => Some((u64::from(*found), NEWEST.into())),
            _ => None,
        }
    }
}

/// A footer that was read, and not yet proven.
#[derive(Clone, Debug)]
pub(crate) struct Footer {
    plain_size: u64,
    log2: u8,
    bytes: [u8; FOOTER],
    /// How the blob is stored.
    pub(crate) form: Form,
    /// Where the table lies in the stored form.
    pub(crate) table: Range<u64>,
}

impl Footer {
    /// Reads the last [`FOOTER`] bytes of a stored form of `stored` bytes.
    pub(crate) fn parse(bytes: &[u8], stored: u64) -> Result<Self, Defect> {
        let bytes: [u8; FOOTER] = bytes.try_into().map_err(|_| Defect::Short(stored))?;
        if &bytes[32..39] != MAGIC {
            return Err(Defect::Footer);
        }
        let form = match (bytes[39], bytes[13]) {
            (VERSION, 0) => Form::Fast,
            (PACKED, 0) => Form::Frames,
            (PACKED, 1) => Form::Delta,
            (PACKED | MORE_PARTS, 2) => Form::Parts,
            (LET_GO, 0) => Form::LetGo,
            (VERSION | PACKED | LET_GO | MORE_PARTS, _) => return Err(Defect::Footer),
            (version, _) => return Err(Defect::Version(version)),
        };
        if bytes[14..16] != [0; 2] {
            return Err(Defect::Footer);
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
        let fits = match form {
            Form::Fast | Form::Frames => frames.checked_mul(ENTRY as u64) == Some(table_len),
            Form::Delta | Form::Parts => {
                frames.checked_mul(HASH as u64).is_some_and(|hashes| hashes <= table_len)
            }
            Form::LetGo => table_len == HASH as u64 && table_start == 0,
        };
        if !fits {
            return Err(Defect::Sizes);
        }
        Ok(Self { plain_size, log2, bytes, form, table: table_start..table_end })
    }

    /// Checks the table against the footer's checksum.
    fn check(&self, table: &[u8]) -> Result<(), Defect> {
        if table.len() as u64 != self.table.end - self.table.start {
            return Err(Defect::Sizes);
        }
        if checksum(table, &self.bytes[..COVERED]) != self.bytes[COVERED..32] {
            return Err(Defect::Checksum);
        }
        Ok(())
    }
}

/// The hashes of a blob's frames, which merge to its name.
#[derive(Debug)]
pub(crate) struct Proof {
    plain_size: u64,
    log2: u8,
    hashes: Vec<[u8; 32]>,
}

impl Proof {
    fn new(footer: &Footer, hashes: Vec<[u8; 32]>, digest: &Digest) -> Result<Self, Defect> {
        let proven = match hashes.as_slice() {
            [] => Digest::of(b""),
            [whole] => Digest::from(*whole),
            // `merge` answers for two frames and more.
            _ => merge(&hashes).ok_or(Defect::Sizes)?,
        };
        if proven != *digest {
            return Err(Defect::OtherContent);
        }
        Ok(Self { plain_size: footer.plain_size, log2: footer.log2, hashes })
    }

    /// The proof of a packed form, and the recipe before it.
    pub(crate) fn parse<'a>(
        table: &'a [u8],
        footer: &Footer,
        digest: &Digest,
    ) -> Result<(Self, &'a [u8]), Defect> {
        footer.check(table)?;
        let frames = footer.plain_size.div_ceil(1 << footer.log2) as usize;
        let (recipe, hashes) = table
            .split_at_checked(table.len().saturating_sub(frames * HASH))
            .ok_or(Defect::Sizes)?;
        let hashes = hashes.chunks_exact(HASH).map(array).collect();
        Ok((Self::new(footer, hashes, digest)?, recipe))
    }

    /// Plain size of the blob in bytes.
    pub(crate) fn plain_size(&self) -> u64 {
        self.plain_size
    }

    /// log2 of the plain size of a frame.
    pub(crate) fn log2(&self) -> u8 {
        self.log2
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

    /// Proves the plain bytes of a frame.
    pub(crate) fn check(&self, frame: usize, plain: &[u8]) -> Result<(), Defect> {
        let range = self.plain_range(frame);
        if plain.len() as u64 != range.end - range.start {
            return Err(Defect::Unpack(frame));
        }
        let hash = hash_frame(range.start, plain);
        let right = match hash.whole {
            Some(whole) if self.hashes.len() == 1 => *whole.as_bytes() == self.hashes[frame],
            _ => hash.part == self.hashes[frame],
        };
        if right { Ok(()) } else { Err(Defect::Frame(frame)) }
    }
}

/// A table of frames that merges to the digest it was asked for.
#[derive(Debug)]
pub(crate) struct Table {
    proof: Proof,
    encodings: Vec<Encoding>,
    /// Where each frame begins in the stored form, and where the last one ends.
    starts: Vec<u64>,
}

impl Table {
    /// Reads the table's bytes and proves that they describe the blob called `digest`.
    pub(crate) fn parse(bytes: &[u8], footer: &Footer, digest: &Digest) -> Result<Self, Defect> {
        footer.check(bytes)?;
        let entries = bytes.chunks_exact(ENTRY).map(entry).collect::<Result<Vec<_>, _>>()?;
        let mut starts = Vec::with_capacity(entries.len() + 1);
        let mut end = 0_u64;
        for entry in &entries {
            starts.push(end);
            end += u64::from(entry.stored);
        }
        starts.push(end);
        if end != footer.table.start {
            return Err(Defect::Sizes);
        }
        let hashes = entries.iter().map(|entry| entry.hash).collect();
        let encodings = entries.iter().map(|entry| entry.encoding).collect();
        Ok(Self { proof: Proof::new(footer, hashes, digest)?, encodings, starts })
    }

    /// The hashes of the frames.
    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Where a frame lies in the stored form.
    pub(crate) fn stored_range(&self, frame: usize) -> Range<u64> {
        self.starts[frame]..self.starts[frame + 1]
    }

    /// Unpacks a frame and proves it. The plain bytes are right, or there are none.
    pub(crate) fn open(&self, frame: usize, stored: &[u8]) -> Result<Option<Vec<u8>>, Defect> {
        let unpacked = self.unpack(frame, stored)?;
        self.proof.check(frame, unpacked.as_deref().unwrap_or(stored))?;
        Ok(unpacked)
    }

    /// Unpacks a frame without proving it: for whoever proves what is made of it.
    pub(crate) fn unpack(&self, frame: usize, stored: &[u8]) -> Result<Option<Vec<u8>>, Defect> {
        let range = self.proof.plain_range(frame);
        let len = (range.end - range.start) as usize;
        match self.encodings[frame] {
            Encoding::Plain if stored.len() == len => Ok(None),
            Encoding::Plain => Err(Defect::Unpack(frame)),
            Encoding::Zstd => match zstd::bulk::decompress(stored, len) {
                Ok(plain) if plain.len() == len => Ok(Some(plain)),
                _ => Err(Defect::Unpack(frame)),
            },
        }
    }
}

/// Table and footer of these frames.
pub(crate) fn encode_tail(entries: &[Entry], plain_size: u64, log2: u8, form: Form) -> Vec<u8> {
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
    let version = if form == Form::Fast { VERSION } else { PACKED };
    close(tail, plain_size, log2, (version, 0))
}

/// Table and footer of a delta: `recipe` is the digest of its base, and its head.
pub(crate) fn encode_delta(recipe: &[u8], proof: &Proof) -> Vec<u8> {
    prove(recipe.to_vec(), proof, (PACKED, 1))
}

/// Table and footer of a blob in parts.
pub(crate) fn encode_parts(recipe: &Recipe, proof: &Proof) -> Vec<u8> {
    let version = if recipe.relocs.is_some() { MORE_PARTS } else { PACKED };
    prove(recipe.to_bytes(), proof, (version, 2))
}

/// A recipe with the hashes of what comes of it, and the footer.
fn prove(mut tail: Vec<u8>, proof: &Proof, kind: (u8, u8)) -> Vec<u8> {
    tail.extend(proof.hashes.iter().flatten());
    close(tail, proof.plain_size, proof.log2, kind)
}

/// What is left of a blob that is let go of.
pub(crate) fn encode_let_go(digest: &Digest, plain_size: u64) -> Vec<u8> {
    close(digest.as_bytes().to_vec(), plain_size, super::frames::FRAME_LOG2, (LET_GO, 0))
}

/// What is to be said of a blob of which nothing is left: [`Defect::LetGo`], if it is the one.
pub(crate) fn let_go(table: &[u8], footer: &Footer, digest: &Digest) -> Defect {
    match footer.check(table) {
        Err(defect) => defect,
        Ok(()) if table != digest.as_bytes() => Defect::OtherContent,
        Ok(()) => Defect::LetGo,
    }
}

/// A table with its footer behind it, which says the version and what it is in that one.
fn close(mut tail: Vec<u8>, plain_size: u64, log2: u8, kind: (u8, u8)) -> Vec<u8> {
    let table_len = tail.len();
    let (version, number) = kind;
    tail.extend(plain_size.to_le_bytes());
    // A table of 4 GiB would describe a blob of 100 TiB.
    tail.extend((table_len as u32).to_le_bytes());
    tail.extend([log2, number, 0, 0]);
    let sum = checksum(&tail[..table_len], &tail[table_len..]);
    tail.extend(sum);
    tail.extend(MAGIC);
    tail.push(version);
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
