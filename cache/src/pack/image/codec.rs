//! Compressors that give the same bytes again.

use crate::pack::delta::wire::{Cut, Reader, put};

use super::{deflate, lz4, lzma, zstd};

/// A kernel longer than this stays in its image: bounds memory.
pub(super) const LONGEST: usize = 512 << 20;

/// A compressor with its settings. The numbers are part of the stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Any DEFLATE in a gzip stream: the head, and what tells this stream from the one that is
    /// predicted.
    Gzip { head: Vec<u8>, corrections: Vec<u8> },
    /// `xz` with the filters that Kbuild uses.
    Xz(lzma::Xz),
    /// `lzma`, the older format.
    Lzma { preset: u32, dictionary: u32 },
    /// `bzip2` at a level.
    Bzip2 { level: u32 },
    /// `lz4 -l` at a level.
    Lz4 { level: u32 },
    /// `zstd` at a level.
    Zstd { level: u32 },
}

impl Codec {
    /// Finds what made a stream: the compressor, and what it compressed.
    pub(crate) fn repeat(stream: &[u8]) -> Option<(Self, Vec<u8>)> {
        match stream {
            [0x1f, 0x8b, ..] => deflate::repeat(stream),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => lzma::repeat_xz(stream),
            [0x5d, 0, 0, ..] => lzma::repeat_lzma(stream),
            [b'B', b'Z', b'h', level @ b'1'..=b'9', ..] => bzip2(stream, u32::from(level - b'0')),
            [0x02, 0x21, 0x4c, 0x18, ..] => lz4::repeat(stream),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::repeat(stream),
            _ => None,
        }
    }

    /// Compresses. `None` when the compressor refuses.
    pub(crate) fn compress(&self, plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gzip { head, corrections } => deflate::compress(plain, head, corrections),
            Self::Xz(settings) => lzma::compress_xz(plain, settings),
            Self::Lzma { preset, dictionary } => lzma::compress_lzma(plain, *preset, *dictionary),
            Self::Bzip2 { level } => compress_bzip2(plain, *level),
            Self::Lz4 { level } => lz4::compress(plain, *level),
            Self::Zstd { level } => zstd::compress(plain, *level),
        }
    }

    /// Appends the codec's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let numbers: &[u32] = match self {
            Self::Gzip { head, corrections } => {
                put(out, 1);
                for block in [head, corrections] {
                    put(out, block.len() as u64);
                    out.extend(block);
                }
                return;
            }
            Self::Xz(it) => &[2, it.preset, it.dictionary, u32::from(it.x86), it.check],
            Self::Lzma { preset, dictionary } => &[3, *preset, *dictionary],
            Self::Bzip2 { level } => &[4, *level],
            Self::Lz4 { level } => &[5, *level],
            // Two settings that no compressor was ever given.
            Self::Zstd { level } => &[6, *level, 0, 0],
        };
        numbers.iter().for_each(|number| put(out, u64::from(*number)));
    }

    /// Reads a codec.
    pub(crate) fn read(bytes: &mut Reader<'_>) -> Result<Self, Cut> {
        let kind = bytes.number()?;
        if kind == 1 {
            let (head, corrections) = (bytes.block()?.to_vec(), bytes.block()?.to_vec());
            return Ok(Self::Gzip { head, corrections });
        }
        let mut number = || u32::try_from(bytes.number()?).map_err(|_| Cut);
        Ok(match kind {
            2 => Self::Xz(lzma::Xz {
                preset: number()?,
                dictionary: number()?,
                x86: number()? == 1,
                check: number()?,
            }),
            3 => Self::Lzma { preset: number()?, dictionary: number()? },
            4 => Self::Bzip2 { level: number()? },
            5 => Self::Lz4 { level: number()? },
            6 => match (number()?, number()?, number()?) {
                (level, 0, 0) => Self::Zstd { level },
                _ => return Err(Cut),
            },
            _ => return Err(Cut),
        })
    }
}

/// The first of some codecs that gives the stream again.
pub(super) fn first(
    codecs: impl IntoIterator<Item = Codec>,
    plain: Vec<u8>,
    stream: &[u8],
) -> Option<(Codec, Vec<u8>)> {
    let same = |codec: &Codec| codec.compress(&plain).is_some_and(|made| made == stream);
    codecs.into_iter().find(same).map(|codec| (codec, plain))
}

fn bzip2(stream: &[u8], level: u32) -> Option<(Codec, Vec<u8>)> {
    let plain = read_all(bzip2::bufread::BzDecoder::new(stream))?;
    first([Codec::Bzip2 { level }], plain, stream)
}

fn compress_bzip2(plain: &[u8], level: u32) -> Option<Vec<u8>> {
    if !(1..=9).contains(&level) {
        return None;
    }
    read_all(bzip2::bufread::BzEncoder::new(plain, bzip2::Compression::new(level)))
}

/// All that a reader gives, if it is not too much.
pub(super) fn read_all(reader: impl std::io::Read) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = std::io::Read::take(reader, LONGEST as u64 + 1);
    let read = std::io::Read::read_to_end(&mut { read }, &mut out).ok()?;
    (read <= LONGEST).then_some(out)
}
