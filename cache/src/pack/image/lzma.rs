//! xz and lzma, through the library that the tools are made of.

use liblzma::bufread::{XzDecoder, XzEncoder};
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

use super::codec::{Codec, first, read_all};

/// Set for the slower variant of a preset.
const EXTREME: u32 = 1 << 31;
/// The presets that are tried: `xz`'s own (Kbuild's for the kernel), and the largest, each also
/// extreme.
const PRESETS: [u32; 4] = [6, 9, 6 | EXTREME, 9 | EXTREME];
/// Bytes that decoding may take.
const MEMORY: u64 = 512 << 20;

/// Settings of `xz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Xz {
    pub(super) preset: u32,
    pub(super) dictionary: u32,
    /// With the filter for x86 code.
    pub(super) x86: bool,
    /// The check's number in the format.
    pub(super) check: u32,
}

pub(super) fn repeat_xz(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let decoder = Stream::new_stream_decoder(MEMORY, 0).ok()?;
    let plain = read_all(XzDecoder::new_stream(stream, decoder))?;
    // Flags of the stream, then the head of the first block: size, flags, filters.
    let check = u32::from(*stream.get(7)? & 15);
    let count = stream.get(13)? & 3;
    let mut filters = stream.get(14..30)?.iter();
    let (mut x86, mut dictionary) = (false, None);
    for _ in 0..=count {
        match (filters.next()?, filters.next()?) {
            (0x04, 0) => x86 = true,
            (0x21, 1) => dictionary = filters.next().map(|bits| u32::from(*bits)),
            _ => return None,
        }
    }
    let bits = dictionary?;
    // 4.2 of the format: 2 or 3, shifted.
    let dictionary = (bits < 40).then(|| (2 | (bits & 1)) << (bits / 2 + 11))?;
    let xz = |preset| Codec::Xz(Xz { preset, dictionary, x86, check });
    first(PRESETS.map(xz), plain, stream)
}

pub(super) fn compress_xz(plain: &[u8], settings: &Xz) -> Option<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(settings.preset).ok()?;
    options.dict_size(settings.dictionary);
    let mut filters = Filters::new();
    if settings.x86 {
        filters.x86();
    }
    filters.lzma2(&options);
    let check = match settings.check {
        0 => Check::None,
        1 => Check::Crc32,
        4 => Check::Crc64,
        _ => return None,
    };
    let encoder = Stream::new_stream_encoder(&filters, check).ok()?;
    read_all(XzEncoder::new_stream(plain, encoder))
}

pub(super) fn repeat_lzma(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let decoder = Stream::new_lzma_decoder(MEMORY).ok()?;
    let plain = read_all(XzDecoder::new_stream(stream, decoder))?;
    let dictionary = u32::from_le_bytes(*stream.get(1..5)?.first_chunk()?);
    let lzma = |preset| Codec::Lzma { preset, dictionary };
    first([9, 6, 9 | EXTREME, 6 | EXTREME].map(lzma), plain, stream)
}

pub(super) fn compress_lzma(plain: &[u8], preset: u32, dictionary: u32) -> Option<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(preset).ok()?;
    options.dict_size(dictionary);
    let encoder = Stream::new_lzma_encoder(&options).ok()?;
    read_all(XzEncoder::new_stream(plain, encoder))
}
