//! zstd. Its bytes depend on the version of the library: images made by a tool of the version that
//! is linked here come out the same, others do not and stay whole.

use std::io::Write;

use ::zstd::stream::Encoder;

use super::codec::{Codec, first, read_all};

/// Settings of `zstd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zstd {
    pub(super) level: u32,
    /// log2 of the window, 0 for the level's own.
    pub(super) window: u32,
    /// Made by a worker thread, as the tool does.
    pub(super) threaded: bool,
}

/// The levels that Kbuild has used.
const LEVELS: [u32; 2] = [22, 19];

pub(super) fn repeat(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let mut decoder = ::zstd::stream::Decoder::with_buffer(stream).ok()?;
    decoder.window_log_max(30).ok()?;
    let plain = read_all(decoder)?;
    let codec = |level| Codec::Zstd(Zstd { level, window: 0, threaded: false });
    first(LEVELS.map(codec), plain, stream)
}

pub(super) fn compress(plain: &[u8], settings: &Zstd) -> Option<Vec<u8>> {
    // The tool reads a pipe, so the frame has no size, and it adds a checksum.
    let mut encoder = Encoder::new(Vec::new(), i32::try_from(settings.level).ok()?).ok()?;
    encoder.include_checksum(true).ok()?;
    if settings.window > 0 {
        encoder.window_log(settings.window).ok()?;
    }
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
