//! `image` sees everything that is loaded, and nothing else.

use proptest::prelude::*;

use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::test_elf::TestElf;
use crate::signature::{ElfError, image};

fn try_image(file: &[u8]) -> Result<String, ElfError> {
    Ok(image::sign(&Elf::parse(file)?, &file)?.hash.to_hex())
}

fn image_of(elf: &TestElf) -> String {
    try_image(&elf.build()).unwrap()
}

/// The file of [`base`] in which the first segment, which is `.text`, reaches to the end of
/// `.rodata`: between the two lie bytes that no section has.
fn with_a_gap() -> (Vec<u8>, std::ops::Range<usize>) {
    let mut elf = base();
    elf.named(".text").data.truncate(101);
    let (text, rodata) = (elf.offset(".text"), elf.offset(".rodata"));
    let length = rodata - text + elf.named(".rodata").data.len();
    let mut file = elf.build();
    // Size in the file and in memory of the first program header (System V ABI, "Program Header").
    for field in [64 + 32, 64 + 40] {
        file[field..field + 8].copy_from_slice(&(length as u64).to_le_bytes());
    }
    (file, text + 101..rodata)
}

fn base() -> TestElf {
    kernel(&Build::new(), TestElf::new()).elf
}

/// A change to a file that is being made.
type Change = fn(&mut TestElf);

#[test]
fn what_the_machine_sees_changes_the_name() {
    let changes: [(&str, Change); 12] = [
        ("one opcode", |it| it.named(".text").data[77] = 0x90),
        ("a string", |it| it.named(".rodata").data[3] ^= 1),
        (".bss size", |it| it.named(".bss").size += 1),
        ("an address", |it| it.named(".data").address += 0x1000),
        ("a section's name", |it| it.named(".bss").name = ".bsz"),
        ("a section's flags", |it| it.named(".data").flags |= 4),
        ("a section's type", |it| it.named(".data").kind = 0x6fff_fff0),
        ("an alignment", |it| it.named(".data").align = 32),
        ("entry", |it| it.entry += 16),
        ("machine", |it| it.machine = 183),
        ("file type", |it| it.file_type = 3),
        ("word size", |it| it.is_64 = false),
    ];
    let name = image_of(&base());
    for (what, change) in changes {
        let mut elf = base();
        change(&mut elf);
        assert_ne!(image_of(&elf), name, "{what}");
    }
}

#[test]
fn what_is_not_loaded_does_not_count() {
    let changes: [(&str, Change); 3] = [
        ("debug information", |it| it.named(".debug_info").data[9] ^= 1),
        ("its size, which moves all that follows", |it| {
            it.named(".debug_info").data.extend([1; 333]);
        }),
        ("order in the file", |it| {
            let debug = it.sections.pop().unwrap();
            it.sections.insert(0, debug);
        }),
    ];
    let name = image_of(&base());
    for (what, change) in changes {
        let mut elf = base();
        change(&mut elf);
        assert_eq!(image_of(&elf), name, "{what}");
    }
}

#[test]
fn every_byte_that_is_loaded_counts_or_is_masked() {
    let kernel = kernel(&Build::new(), TestElf::new());
    let mut file = kernel.elf.build();
    let name = try_image(&file).unwrap();
    let mut masked = 0;
    for section in [".text", ".rodata", ".notes", ".data"] {
        let start = kernel.elf.offset(section);
        let length = kernel.elf.clone().named(section).data.len();
        for at in start..start + length {
            file[at] ^= 0x20;
            let same = try_image(&file).unwrap() == name;
            file[at] ^= 0x20;
            assert_eq!(same, kernel.hidden.iter().any(|it| it.1.contains(&at)), "{section} {at}");
            masked += usize::from(same);
        }
    }
    assert_eq!(masked, kernel.hidden.iter().map(|it| it.1.len()).sum::<usize>());
}

#[test]
fn loaded_bytes_that_no_section_has_count_unless_they_are_zero() {
    let (file, gap) = with_a_gap();
    assert_eq!(gap.len(), 11);
    let name = try_image(&file).unwrap();
    let mut names = std::collections::BTreeSet::from([name.clone()]);
    for at in gap.clone() {
        for value in [1, 0x80] {
            let mut other = file.clone();
            other[at] = value;
            assert!(names.insert(try_image(&other).unwrap()), "byte {at} of {gap:?}");
        }
    }
    // One byte before it lies in `.text`, one behind it in `.rodata`.
    for at in [gap.start - 1, gap.end] {
        let mut other = file.clone();
        other[at] ^= 1;
        assert!(names.insert(try_image(&other).unwrap()), "byte {at}");
    }
    // Padding that no segment loads counts for nothing, whatever it is.
    let elf = base();
    let mut file = elf.build();
    let name = try_image(&file).unwrap();
    let end = elf.offset(".data") + elf.clone().named(".data").data.len();
    let next = elf.offset(".debug_info");
    assert!(next > end, "there is padding");
    file[end] = 7;
    assert_eq!(try_image(&file).unwrap(), name);
}

#[test]
fn segments_that_take_their_bytes_from_elsewhere_count() {
    let elf = base();
    let file = elf.build();
    let mut names = std::collections::BTreeSet::from([try_image(&file).unwrap()]);
    let text = elf.offset(".text");
    // Where the first segment, which is `.text`, begins in the file (System V ABI, "Program Header").
    for from in [elf.offset(".rodata"), text + 1, text - 1] {
        let mut other = file.clone();
        other[64 + 8..64 + 16].copy_from_slice(&(from as u64).to_le_bytes());
        assert!(names.insert(try_image(&other).unwrap()), "from {from}, not {text}");
    }
}

#[test]
fn headers_that_a_segment_spans_count_by_their_fields() {
    // The first segment is made to begin with the file; then only debug information grows, which
    // moves the table of sections.
    let spanning = |debug: usize| {
        let mut elf = base();
        elf.named(".debug_info").data.resize(debug, 9);
        let (text, length) = (elf.offset(".text"), elf.named(".text").data.len());
        let mut file = elf.build();
        file[64 + 8..64 + 16].fill(0);
        for field in [64 + 32, 64 + 40] {
            file[field..field + 8].copy_from_slice(&((text + length) as u64).to_le_bytes());
        }
        try_image(&file).unwrap()
    };
    assert_eq!(spanning(100), spanning(2000));
}

#[test]
fn a_large_section_is_hashed_whole() {
    let large = |at: usize, value: u8| {
        let mut elf = base();
        elf.named(".text").data = vec![0xcc; 40 << 20];
        elf.named(".text").data[at] = value;
        image_of(&elf)
    };
    let name = large(0, 0xcc);
    for at in [0, (16 << 20) - 1, 16 << 20, (32 << 20) + 5, (40 << 20) - 1] {
        assert_ne!(large(at, 0xcd), name, "{at}");
    }
}

#[test]
fn refuses_objects_and_files_without_a_kernel() {
    let mut object = base();
    object.file_type = 1;
    assert_eq!(try_image(&object.build()), Err(ElfError::NotLinked));
    let empty = TestElf::new().nobits(".bss", 10);
    assert_eq!(try_image(&empty.build()), Err(ElfError::NothingAllocated));
}

proptest! {
    #[test]
    fn any_change_of_a_loaded_byte_counts(place in 0_usize..2000, change in 1_u8..) {
        let kernel = kernel(&Build::new(), TestElf::new());
        let mut file = kernel.elf.build();
        let name = try_image(&file).unwrap();
        let at = kernel.elf.offset(".text") + place;
        let end = kernel.elf.offset(".data") + kernel.elf.clone().named(".data").data.len();
        prop_assume!(at < end && in_a_loaded_section(&kernel.elf, at));
        file[at] ^= change;
        // The release in `vermagic` ends at a space: one more of them is another length.
        prop_assume!(file[at] != b' ');
        // A change may also make the file refused; it must never keep the name unseen.
        let same = try_image(&file).is_ok_and(|it| it == name);
        prop_assert_eq!(same, kernel.hidden.iter().any(|it| it.1.contains(&at)));
    }
}

fn in_a_loaded_section(elf: &TestElf, at: usize) -> bool {
    [".text", ".rodata", ".notes", ".data"].iter().any(|name| {
        let start = elf.offset(name);
        (start..start + elf.clone().named(name).data.len()).contains(&at)
    })
}
