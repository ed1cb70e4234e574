//! The stored form, tried on every kind of damage.

use std::ops::Range;

use proptest::prelude::*;

use super::frames::{FRAME, FRAME_LOG2, FrameWriter};
use super::table::{Defect, FOOTER, Footer, Table};
use crate::digest::Digest;

/// Frames as small as they may be, so that small blobs have many borders.
const SMALL: u8 = 10;

fn store(content: &[u8], log2: u8) -> (Digest, Vec<u8>) {
    let mut writer = FrameWriter::new(log2).unwrap();
    let mut stored = Vec::new();
    for plain in content.chunks(1 << log2) {
        match writer.frame(plain).unwrap() {
            Some(packed) => stored.extend(packed),
            None => stored.extend(plain),
        }
    }
    let finished = writer.finish();
    stored.extend(finished.tail);
    (finished.digest, stored)
}

fn read(digest: &Digest, stored: &[u8], range: Option<Range<u64>>) -> Result<Vec<u8>, Defect> {
    let len = stored.len() as u64;
    let footer = Footer::parse(&stored[stored.len().saturating_sub(FOOTER)..], len)?;
    let table = &stored[footer.table.start as usize..footer.table.end as usize];
    let table = Table::parse(table, &footer, digest)?;
    let range = range.unwrap_or(0..table.proof().plain_size());
    let mut out = Vec::new();
    for frame in table.proof().frames(&range) {
        let at = table.stored_range(frame);
        let bytes = &stored[at.start as usize..at.end as usize];
        let unpacked = table.open(frame, bytes)?;
        let plain = unpacked.as_deref().unwrap_or(bytes);
        let holds = table.proof().plain_range(frame);
        let from = range.start.saturating_sub(holds.start) as usize;
        let to = (range.end.min(holds.end) - holds.start) as usize;
        out.extend(&plain[from..to]);
    }
    Ok(out)
}

/// Half of it compresses, half of it does not.
fn content(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut noise = blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof();
    noise.fill(&mut bytes);
    for block in bytes.chunks_mut(3000).step_by(2) {
        block.fill(seed);
    }
    bytes
}

#[test]
fn round_trips_around_the_borders_of_real_frames() {
    for len in [0, 1, 1023, 1024, 1025, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 7] {
        let content = content(len, 3);
        let (digest, stored) = store(&content, FRAME_LOG2);
        assert_eq!(digest, Digest::of(&content), "{len} bytes");
        assert_eq!(read(&digest, &stored, None).unwrap(), content, "{len} bytes");
    }
}

#[test]
fn what_compresses_takes_less_and_what_does_not_takes_hardly_more() {
    let (_, stored) = store(&vec![7; 3 * FRAME], FRAME_LOG2);
    assert!(stored.len() < 4096, "{}", stored.len());
    let mut noise = vec![0; 2 * FRAME];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let (_, stored) = store(&noise, FRAME_LOG2);
    assert_eq!(stored.len(), noise.len() + 3 * 40);
}

#[test]
fn the_format_stays_as_it_is_written_down() {
    let (digest, stored) = store(b"kiln", FRAME_LOG2);
    assert_eq!(&stored[..4], b"kiln");
    assert_eq!(stored[4..12], [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&stored[12..44], digest.as_bytes());
    assert_eq!(stored[44..60], [4, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 20, 0, 0, 0]);
    assert_eq!(stored[60..76], blake3::hash(&stored[4..60]).as_bytes()[..16]);
    assert_eq!(&stored[76..], b"KILNFRM\x01");
}

#[test]
fn a_blob_under_another_blobs_name_is_refused() {
    for len in [0, 5, 1024, 5000] {
        let (_, stored) = store(&content(len, 1), SMALL);
        let other = Digest::of(b"something else");
        assert_eq!(read(&other, &stored, None), Err(Defect::OtherContent), "{len} bytes");
    }
}

/// Someone who can make a matching checksum still can't make wrong bytes pass.
#[test]
fn a_forged_table_is_refused() {
    let (digest, stored) = store(&content(5000, 1), SMALL);
    let (_, other) = store(&content(5000, 2), SMALL);
    assert_eq!(read(&digest, &other, None), Err(Defect::OtherContent));
    // The right tail behind the wrong frames.
    let footer = Footer::parse(&stored[stored.len() - FOOTER..], stored.len() as u64).unwrap();
    let mut mixed = other[..footer.table.start as usize].to_vec();
    mixed.extend(&stored[footer.table.start as usize..]);
    assert!(read(&digest, &mixed, None).is_err());
}

#[test]
fn every_single_flipped_bit_is_found() {
    for len in [0, 1, 700, 1024, 1025, 2600] {
        let content = content(len, 9);
        let (digest, stored) = store(&content, SMALL);
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut damaged = stored.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(bytes) = read(&digest, &damaged, None) {
                    assert_eq!(bytes, content, "byte {at} bit {bit} of {len}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_range_equals_the_slice(len in 0_usize..9000, seed: u8, a in 0.0..=1.0, b in 0.0..=1.0) {
        let content = content(len, seed);
        let (digest, stored) = store(&content, SMALL);
        prop_assert_eq!(digest, Digest::of(&content));
        let (a, b) = ((a * len as f64) as usize, (b * len as f64) as usize);
        let range = a.min(b)..a.max(b);
        let bytes = read(&digest, &stored, Some(range.start as u64..range.end as u64));
        prop_assert_eq!(bytes.unwrap(), &content[range]);
    }

    #[test]
    fn sizes_around_borders(frames in 0_usize..40, around in -2_i64..=2, seed: u8) {
        let len = usize::try_from(frames as i64 * 1024 + around).unwrap_or(0);
        let content = content(len, seed);
        let (digest, stored) = store(&content, SMALL);
        prop_assert_eq!(digest, Digest::of(&content));
        prop_assert_eq!(read(&digest, &stored, None).unwrap(), content);
    }

    #[test]
    fn damage_is_found_or_harmless(
        len in 0_usize..6000, seed: u8, at in 0.0..1.0, xor in 1_u8..=255,
        from in 0.0..=1.0,
    ) {
        let content = content(len, seed);
        let (digest, mut stored) = store(&content, SMALL);
        let at = (at * stored.len() as f64) as usize;
        stored[at] ^= xor;
        let from = (from * len as f64) as usize;
        if let Ok(bytes) = read(&digest, &stored, Some(from as u64..len as u64)) {
            prop_assert_eq!(bytes, &content[from..]);
        }
    }

    #[test]
    fn truncation_is_found(len in 0_usize..6000, seed: u8, keep in 0.0..1.0) {
        let content = content(len, seed);
        let (digest, stored) = store(&content, SMALL);
        let keep = (keep * stored.len() as f64) as usize;
        prop_assert!(read(&digest, &stored[..keep], None).is_err());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&Digest::of(b"x"), &bytes, None).is_err());
    }
}
