//! `lz4 -l`: blocks of 8 MiB, each behind its length, without an end mark.

use ::lz4::block::{CompressionMode, compress as block, decompress};

use super::codec::{Codec, LONGEST, first};

const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// Plain bytes of a block; the last is shorter.
const BLOCK: usize = 8 << 20;

/// The levels that are tried: Kbuild's, and the tool's own choice and best.
const LEVELS: [u32; 4] = [9, 1, 12, 3];

pub(super) fn repeat(stream: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let mut rest = &stream[MAGIC.len()..];
    let mut plain = Vec::new();
    while let Some((len, more)) = rest.split_first_chunk() {
        let (packed, more) = more.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        plain.extend(decompress(packed, Some(BLOCK as i32)).ok()?);
        rest = more;
        if plain.len() > LONGEST {
            return None;
        }
    }
    first(LEVELS.map(|level| Codec::Lz4 { level }), plain, stream)
}

pub(super) fn compress(plain: &[u8], level: u32) -> Option<Vec<u8>> {
    let mode = match level {
        0..3 => CompressionMode::DEFAULT,
        level => CompressionMode::HIGHCOMPRESSION(i32::try_from(level).ok()?),
    };
    let mut out = MAGIC.to_vec();
    for plain in plain.chunks(BLOCK) {
        let packed = block(plain, Some(mode), false).ok()?;
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend(packed);
    }
    Some(out)
}
