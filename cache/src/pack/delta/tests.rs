//! Deltas, there and back.

use super::layout::SHT_RELA;
use super::*;
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};
use proptest::prelude::*;

/// Unpacks all of it.
fn apply(base: &[u8], packed: &Packed) -> Result<Vec<u8>, Damaged> {
    let delta = Delta::parse(&packed.head)?;
    let stored: Vec<u8> = packed.groups.concat();
    if delta.base_len() != base.len() as u64 || delta.stored() != stored.len() as u64 {
        return Err(Damaged);
    }
    let mut out = Vec::new();
    for unit in 0..delta.new_len().div_ceil(UNIT) {
        let (group, range) = delta.group_of(unit).ok_or(Damaged)?;
        let group = delta.open_group(group, &stored[range.start as usize..range.end as usize])?;
        let len = UNIT.min(delta.new_len() - unit * UNIT) as usize;
        let mut bytes = vec![0; len];
        for copy in delta.copies(unit) {
            let to = (copy.new - unit * UNIT) as usize;
            let from = copy.base as usize;
            bytes[to..to + copy.len as usize]
                .copy_from_slice(&base[from..from + copy.len as usize]);
        }
        delta.finish(unit, &mut bytes, &group);
        out.extend(bytes);
    }
    Ok(out)
}

fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A symbol table as text, every address behind a third of it moved by `step`.
fn table(step: u64) -> Vec<u8> {
    let lines = (0..3000_u64).map(|n| {
        let address = 0xffff_ffff_8100_0000 + n * 48 + if n > 1000 { step } else { 0 };
        let name = blake3::hash(&n.to_le_bytes()).to_hex();
        format!("{address:016x} T {}\n", &name[..12])
    });
    lines.collect::<String>().into_bytes()
}

#[test]
fn a_table_that_moved_takes_a_few_bytes() {
    let (base, new) = (table(0), table(0x1230));
    let packed = make(&base, &new, 19).unwrap();
    assert_eq!(apply(&base, &packed).unwrap(), new);
    assert!(packed.len() < 250, "{} bytes", packed.len());
}

/// A kernel whose unwind table names these offsets of its code, with the relocations of that table,
/// as `ld --emit-relocs` leaves them.
fn unwinding(offsets: &[u32]) -> Vec<u8> {
    const CODE: u64 = 0xffff_ffff_8100_0000;
    const TABLE: u64 = 0xffff_ffff_8200_0000;
    let slots = || (0_u64..).map(|n| TABLE + 4 * n);
    let distances = offsets.iter().zip(slots());
    let distances = distances.map(|(offset, slot)| (CODE + u64::from(*offset)).wrapping_sub(slot));
    let table: Vec<u8> = distances.flat_map(|it| (it as u32).to_le_bytes()).collect();
    let entry = |(offset, slot)| [slot, 2, CODE + u64::from(offset)].map(u64::to_le_bytes).concat();
    let relocations: Vec<u8> = offsets.iter().copied().zip(slots()).flat_map(entry).collect();
    let mut elf = TestElf::new()
        .section(".text", PROGBITS, ALLOC | 4, noise(200_000, 7))
        .section(".orc_unwind_ip", PROGBITS, ALLOC, table)
        .section(".rela.orc_unwind_ip", SHT_RELA, 0, relocations);
    elf.named(".text").address = CODE;
    elf.named(".orc_unwind_ip").address = TABLE;
    elf.build()
}

#[test]
fn an_entry_more_in_a_table_of_distances_takes_a_few_bytes() {
    let steps = noise(20_000, 5);
    let mut offsets: Vec<u32> = steps
        .iter()
        .scan(0, |at, step| {
            *at += u32::from(step % 16) + 1;
            Some(*at)
        })
        .collect();
    let base = unwinding(&offsets);
    for n in [400, 401, 9000] {
        offsets.insert(n, offsets[n - 1] + 1);
    }
    let new = unwinding(&offsets);
    let packed = make(&base, &new, 19).unwrap();
    assert_eq!(apply(&base, &packed).unwrap(), new);
    assert!(packed.len() < 1000, "{} bytes", packed.len());
}

#[test]
fn several_units_and_groups() {
    let base = noise(3 << 20, 1);
    let mut new = noise(100, 2);
    new.extend(&base[1 << 20..]);
    new.extend(noise(5 << 20, 3));
    new.extend(&base[..500_000]);
    let packed = make(&base, &new, 1).unwrap();
    assert!(packed.groups.len() > 1);
    assert!(packed.len() < (5 << 20) + 10_000, "{}", packed.len());
    assert_eq!(apply(&base, &packed).unwrap(), new);
}

#[test]
fn nothing_at_all() {
    for (base, new) in [(&b""[..], &b""[..]), (b"", b"x"), (b"x", b"")] {
        let packed = make(base, new, 3).unwrap();
        assert_eq!(apply(base, &packed).unwrap(), new);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_two_files(
        base in proptest::collection::vec(any::<u8>(), 0..4000),
        edits in proptest::collection::vec((any::<u16>(), any::<u8>(), 0..40_usize), 0..20),
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut new = base.clone();
        for (at, byte, len) in edits {
            let at = usize::from(at) % (new.len() + 1);
            new.splice(at..at, std::iter::repeat_n(byte, len));
        }
        new.extend(tail);
        let packed = make(&base, &new, 3).unwrap();
        prop_assert_eq!(apply(&base, &packed).unwrap(), new);
    }

    /// Whatever is done to the stored bytes: something else comes out, or an error, no panic.
    #[test]
    fn damage_does_no_harm(at in any::<u16>(), xor in 1..=255_u8, seed: u8) {
        let base = table(0);
        let mut raw = zstd_head(&make(&base, &table(u64::from(seed) * 16), 3).unwrap().head);
        let at = usize::from(at) % raw.len();
        raw[at] ^= xor;
        let mut head = Vec::new();
        wire::put(&mut head, raw.len() as u64);
        head.extend(zstd::bulk::compress(&raw, 1).unwrap());
        let packed = make(&base, &table(7), 3).unwrap();
        let _ = apply(&base, &Packed { head, groups: packed.groups });
    }

    /// Headers are hints: whatever they say, the new file comes back.
    #[test]
    fn files_that_lie_about_themselves_come_back(
        lies in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let offsets: Vec<u32> = (0..600).map(|n| n * 300).collect();
        let (mut base, mut new) = (unwinding(&offsets), unwinding(&offsets[1..]));
        for (at, byte, of_base) in lies {
            let file = if of_base { &mut base } else { &mut new };
            // The header of the file, and those of its sections at its end.
            let table = file.len() - 5 * 64;
            let at = usize::from(at) % (64 + 5 * 64);
            file[if at < 64 { at } else { table + at - 64 }] = byte;
        }
        let packed = make(&base, &new, 1).unwrap();
        prop_assert!(apply(&base, &packed).unwrap() == new);
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Delta::parse(&bytes).is_err());
    }
}

/// The head without its compression.
fn zstd_head(head: &[u8]) -> Vec<u8> {
    let mut reader = wire::Reader(head);
    let len = reader.number().unwrap() as usize;
    zstd::bulk::decompress(reader.0, len).unwrap()
}
