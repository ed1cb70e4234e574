//! zstd. Its bytes depend on the version of the library: images made by a tool of the version that
//! is linked here come out the same, others do not and stay whole.

use std::io::Write;

use ::zstd::stream::Encoder;

use super::codec::{Codec, first, read_all};

/// The levels that Kbuild has used.
const LEVELS: [u32; 2] = [22, 19];

pub(super) fn repeat(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let mut decoder = ::zstd::stream::Decoder::with_buffer(stream).ok()?;
    decoder.window_log_max(30).ok()?;
    let plain = read_all(decoder)?;
    first(LEVELS.map(|level| Codec::Zstd { level }), plain, stream)
}

pub(super) fn compress(plain: &[u8], level: u32) -> Option<Vec<u8>> {
    // The tool reads a pipe, so the frame has no size, and it adds a checksum.
    let mut encoder = Encoder::new(Vec::new(), i32::try_from(level).ok()?).ok()?;
    encoder.include_checksum(true).ok()?;
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
