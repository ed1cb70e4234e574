//! What the compressors give is the stored form of boot images: should one of these bytes change, the
//! images of every store that was packed before could not be put together. Their versions are
//! fixed in `Cargo.toml`; these are their bytes.

use super::codec::Codec;
use super::lzma::Xz;
use crate::digest::Digest;

/// Something like code: pieces that come again, with small differences.
fn plain(len: usize) -> Vec<u8> {
    let text = b"\x48\x89\x5c\x24\x08 a kernel's text";
    let mut state = 1_u32;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend([0xe8, (state >> 24) as u8, (bytes.len() >> 12) as u8, 0, 0]);
        bytes.extend_from_slice(&text[..(state >> 28) as usize + 4]);
    }
    bytes.truncate(len);
    bytes
}

/// What tells the stream that `gzip -9n` makes of 4096 bytes from the predicted one.
const GZIP: [u8; 33] = [
    0x00, 0x00, 0x04, 0x0c, 0x00, 0x02, 0x02, 0x01, 0x01, 0x2b, 0x00, 0xff, 0x01, 0x01, 0x04, 0x00,
    0x00, 0x04, 0x8a, 0x04, 0x07, 0x03, 0x00, 0x08, 0x00, 0x07, 0x07, 0xc8, 0xe8, 0x51, 0x44, 0x2a,
    0xe3,
];

/// Codecs, how many bytes they are given, and the digest of what they give.
fn codecs() -> Vec<(Codec, usize, &'static str)> {
    let xz = |preset, check| Codec::Xz(Xz { preset, dictionary: 1 << 25, x86: true, check });
    let head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    vec![
        (Codec::Gzip { head, corrections: GZIP.to_vec() }, 4096, "ae0a729d9e12"),
        (xz(6, 1), 300_000, "22dd18f1643e"),
        (xz(9 | 1 << 31, 4), 300_000, "c2156a306cab"),
        (Codec::Lzma { preset: 9, dictionary: 1 << 26 }, 300_000, "9be4c03850fe"),
        (Codec::Bzip2 { level: 9 }, 300_000, "c20a1f005b3d"),
        (Codec::Lz4 { level: 9 }, 300_000, "8adb1aff45a2"),
        (Codec::Zstd { level: 22 }, 300_000, "113c76377519"),
        (Codec::Zstd { level: 19 }, 300_000, "414aa731dabc"),
    ]
}

#[test]
fn compressors_give_the_bytes_that_they_always_gave() {
    let (mut made, mut known) = (Vec::new(), Vec::new());
    for (codec, len, digest) in codecs() {
        let plain = plain(len);
        let stream = codec.compress(&plain).unwrap();
        made.push(Digest::of(&stream).short());
        known.push(digest.to_owned());
        let (_, back) = Codec::repeat(&stream).unwrap();
        assert!(back == plain, "{codec:?}");
    }
    assert_eq!(made, known);
}
