//! `syzkaller` against its definition, written down a second time.

use sha2::{Digest as _, Sha256};

use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};
use crate::signature::{ElfError, syzkaller};

fn try_sign(elf: &TestElf) -> Result<String, ElfError> {
    let file = elf.build();
    Ok(syzkaller::sign(&Elf::parse(&file)?, &&file[..])?.to_hex())
}

fn expected(pieces: &[&[u8]]) -> String {
    let digests: Vec<u8> = pieces.iter().flat_map(Sha256::digest).collect();
    Sha256::digest(digests).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hashes_allocated_sections_but_notes_and_nobits_in_header_order() {
    for format in TestElf::every_format() {
        let mut elf = kernel(&Build::new(), format).elf;
        let data = |elf: &TestElf, name: &str| elf.clone().named(name).data.clone();
        let (text, rodata, last) =
            (data(&elf, ".text"), data(&elf, ".rodata"), data(&elf, ".data"));
        assert_eq!(try_sign(&elf).unwrap(), expected(&[&text, &rodata, &last]));
        // Header order, not address order.
        elf.sections.swap(0, 1);
        assert_eq!(try_sign(&elf).unwrap(), expected(&[&rodata, &text, &last]));
    }
}

#[test]
fn misses_what_it_is_defined_to_miss() {
    let elf = kernel(&Build::new(), TestElf::new()).elf;
    let name = try_sign(&elf).unwrap();
    let mut changed = elf.clone();
    changed.named(".bss").size += 0x1000;
    changed.named(".data").address += 0x1000;
    changed.named(".notes").data[0] ^= 1;
    changed.named(".debug_info").data.clear();
    assert_eq!(try_sign(&changed).unwrap(), name);
    changed.named(".rodata").data[0] ^= 1;
    assert_ne!(try_sign(&changed).unwrap(), name);
}

#[test]
fn where_one_section_ends_counts() {
    let split = |at: usize| {
        let (one, two) = b"some bytes of code".split_at(at);
        TestElf::new().section(".a", PROGBITS, ALLOC, one.to_vec()).section(
            ".b",
            PROGBITS,
            ALLOC,
            two.to_vec(),
        )
    };
    assert_eq!(try_sign(&split(4)).unwrap(), expected(&[b"some", b" bytes of code"]));
    assert_ne!(try_sign(&split(4)).unwrap(), try_sign(&split(5)).unwrap());
    assert_eq!(try_sign(&split(0)).unwrap(), expected(&[b"", b"some bytes of code"]));
}

#[test]
fn takes_objects_and_files_without_sections_and_refuses_compressed_ones() {
    let mut object = kernel(&Build::new(), TestElf::new()).elf;
    let linked = try_sign(&object).unwrap();
    object.file_type = 1;
    assert_eq!(try_sign(&object).unwrap(), linked);
    assert_eq!(try_sign(&TestElf::new()).unwrap(), expected(&[]));
    let compressed = TestElf::new().section(".data", PROGBITS, ALLOC | 0x800, vec![1; 30]);
    assert_eq!(try_sign(&compressed), Err(ElfError::CompressedAlloc(".data".into())));
}
