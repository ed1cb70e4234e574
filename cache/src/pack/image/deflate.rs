//! gzip. Its DEFLATE depends on the compressor and its version, so the stream is not repeated but
//! predicted, token by token, and what differs from the prediction is stored (preflate).
//!
//! What preflate predicts is part of the stored form: its version is fixed in `Cargo.toml`.

use preflate_rs::{PreflateConfig, preflate_whole_deflate_stream, recreate_whole_deflate_stream};

use super::codec::{Codec, LONGEST};

/// Bytes of a gzip head without optional fields: Kbuild calls `gzip -n`, which writes none.
const HEAD: usize = 10;
/// CRC and length.
const TRAILER: usize = 8;

/// Takes a gzip stream apart.
pub(super) fn repeat(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let head = stream.get(..HEAD)?;
    if head[2] != 8 || head[3] != 0 || stream.len() < HEAD + TRAILER {
        return None;
    }
    let deflated = &stream[HEAD..stream.len() - TRAILER];
    let config = PreflateConfig {
        plain_text_limit: LONGEST,
        // All of it is compared below.
        verify_compression: false,
        ..PreflateConfig::default()
    };
    let (found, plain) = preflate_whole_deflate_stream(deflated, &config).ok()?;
    let (plain, corrections) = (plain.text().to_vec(), found.corrections);
    let codec = Codec::Gzip { head: head.to_vec(), corrections };
    (codec.compress(&plain)? == stream).then_some((codec, plain))
}

/// Makes the stream again.
pub(super) fn compress(plain: &[u8], head: &[u8], corrections: &[u8]) -> Option<Vec<u8>> {
    let deflated = recreate_whole_deflate_stream(plain, corrections).ok()?;
    let mut out = head.to_vec();
    out.extend(deflated);
    out.extend(crc32fast::hash(plain).to_le_bytes());
    out.extend((plain.len() as u32).to_le_bytes());
    Some(out)
}
