//! Damaged and foreign files: an error that says what to do, never a panic, never a wrong name.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::boot::built_with_gzip;
use super::compiled::{NATIVE, RECORDS, SOURCE};
use super::kernel::{Build, kernel};
use crate::signature::elf::Elf;
use crate::signature::explain::{Files, explain};
use crate::signature::image::{companion, companion_masks, module_masks, module_part};
use crate::signature::symbols::symbols_of_bytes;
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};
use crate::signature::{
    ElfError, SignatureError, SignatureKind, build_id, code, image, is_elf, sign_file, sign_kind,
    syzkaller,
};

/// Everything that reads untrusted objects.
fn read_object(file: &[u8]) -> Result<(), ElfError> {
    let signed = code::sign(&Elf::parse(file)?, &file).map(drop);
    let mapped = symbols_of_bytes(&file).map(drop);
    // The map alone looks at how large symbols are.
    assert!(signed.is_ok() || mapped.is_err());
    let release = Some(&b"6.1.0"[..]);
    let module = module_part(&file, release);
    assert!(module.kind == "module" || module_masks(&file, release).is_empty());
    signed.and(mapped)
}

/// A linked kernel's worth of real objects, compiled once.
fn an_object() -> Vec<u8> {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let made = || {
        let records = format!("{SOURCE}{RECORDS}");
        NATIVE.linked(&[("a.c", &records), ("b.c", "static int x; int *y(void) { return &x; }")])
    };
    MADE.get_or_init(made).clone()
}

/// A kernel, its boot image with a 64-bit entry, and where in that the packed kernel is.
fn a_boot_image() -> (Vec<u8>, Vec<u8>, Range<usize>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>, Range<usize>)> = OnceLock::new();
    let made = || {
        let (vmlinux, mut boot, payload) = built_with_gzip(&Build::new());
        boot[LOAD_FLAGS] = 1;
        (vmlinux, boot, payload)
    };
    MADE.get_or_init(made).clone()
}

/// Fields of the header of a boot image (Linux, Documentation/x86/boot.rst).
const SET_UP_HEADER: Range<usize> = 0x1f1..0x26c;
const VERSION_TEXT: usize = 0x20e;
const LOAD_FLAGS: usize = 0x236;

#[test]
fn an_object_cut_anywhere_is_refused() {
    let file = an_object();
    for length in (0..file.len()).step_by(7) {
        assert!(read_object(&file[..length]).is_err(), "{length}");
    }
    assert_eq!(read_object(&file), Ok(()));
}

/// Everything that reads untrusted bytes.
fn read_all(file: &[u8]) -> Result<(), ElfError> {
    let elf = Elf::parse(file)?;
    let image = image::sign(&elf, &file);
    syzkaller::sign(&elf, &file)?;
    image.map(drop)
}

fn saved(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn a_kernel() -> Vec<u8> {
    kernel(&Build { weak_version: Some("# SMP "), ..Build::new() }, TestElf::new()).elf.build()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = a_kernel();
    for length in 0..file.len() {
        let cut = read_all(&file[..length]);
        let refused = matches!(cut, Err(ElfError::Truncated { .. } | ElfError::NotElf { .. }));
        assert!(refused, "{length}: {cut:?}");
    }
}

#[test]
fn says_what_it_got_instead() {
    let mut boot_image = vec![0; 1024];
    boot_image[0x202..0x206].copy_from_slice(b"HdrS");
    for (bytes, word) in [
        (&boot_image[..], "bzImage"),
        (b"", "empty"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"!<arch>\nvmlinux.o", "archive"),
        (b"#!/bin/sh", "vmlinux"),
    ] {
        let file = saved(bytes);
        let message = sign_file(file.path()).unwrap_err().to_string();
        assert!(message.contains(word) && message.contains("not an ELF file"), "{message}");
        assert!(message.contains(file.path().to_str().unwrap()), "{message}");
        assert!(!is_elf(file.path()).unwrap());
    }
}

#[test]
fn names_the_section_that_is_out_of_the_file() {
    let elf = TestElf::new().section(".text", PROGBITS, ALLOC, vec![1; 64]).section(
        ".debug_str",
        PROGBITS,
        0,
        vec![1; 64],
    );
    let mut file = elf.build();
    let table = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
    let size = table + 2 * 64 + 32;
    file[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let error = read_all(&file).unwrap_err();
    assert!(matches!(&error, ElfError::Truncated { what, .. } if what.contains(".debug_str")));
}

#[test]
fn sections_that_overlap_to_cost_time_are_refused() {
    let elf = TestElf::new()
        .section(".text", PROGBITS, ALLOC, vec![1; 4000])
        .section(".a", PROGBITS, ALLOC, vec![])
        .section(".b", PROGBITS, ALLOC, vec![]);
    let mut file = elf.build();
    let table = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
    for index in [2, 3] {
        let text: [u8; 16] = file[table + 64 + 24..table + 64 + 40].try_into().unwrap();
        file[table + index * 64 + 24..][..16].copy_from_slice(&text);
    }
    assert!(matches!(read_all(&file), Err(ElfError::Overlap { .. })));
}

#[test]
fn more_sections_than_linkers_write_are_refused() {
    let mut file = TestElf::new().section(".text", PROGBITS, ALLOC, vec![1]).build();
    let table = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
    // Extended numbering: e_shnum is 0, the null section's size is the number.
    file[60..62].fill(0);
    file[table + 32..table + 40].copy_from_slice(&(1_u64 << 31).to_le_bytes());
    assert!(matches!(read_all(&file), Err(ElfError::TooMany { what: "sections", .. })));
}

/// Sets a field of 8 bytes of each PT_LOAD (System V ABI, "Program Header").
fn set_in_loads(file: &mut [u8], field: usize, value: u64) {
    let count = usize::from(u16::from_le_bytes([file[56], file[57]]));
    for header in (0..count).map(|index| 64 + index * 56) {
        if file[header..header + 4] == [1, 0, 0, 0] {
            file[header + field..header + field + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
}

#[test]
fn segments_that_overlap_to_cost_time_are_refused() {
    let with = |count: usize| {
        let names = [".text", ".data", ".rodata", ".init"];
        let elf = names[..count]
            .iter()
            .fold(TestElf::new(), |elf, &name| elf.section(name, PROGBITS, ALLOC, vec![1; 4000]));
        let mut file = elf.build();
        let length = file.len() as u64;
        set_in_loads(&mut file, 8, 0);
        set_in_loads(&mut file, 32, length);
        read_all(&file)
    };
    assert_eq!(with(2), Ok(()));
    let refused = with(3);
    assert!(
        matches!(refused, Err(ElfError::Overlap { what: "loaded segments", .. })),
        "{refused:?}"
    );
}

#[test]
fn more_segments_than_linkers_write_are_refused() {
    let mut file = TestElf::new().section(".text", PROGBITS, ALLOC, vec![1; 56 * 300]).build();
    file[56..58].copy_from_slice(&257_u16.to_le_bytes());
    assert!(matches!(read_all(&file), Err(ElfError::TooMany { what: "segments", .. })));
}

#[test]
fn files_are_signed_as_their_bytes_are() {
    let bytes = a_kernel();
    let file = saved(&bytes);
    let elf = Elf::parse(&bytes).unwrap();
    let signatures = sign_file(file.path()).unwrap();
    assert_eq!(signatures.0.len(), 2);
    for (kind, hash) in [
        (SignatureKind::Image, image::sign(&elf, &&bytes[..]).unwrap().hash),
        (SignatureKind::Syzkaller, syzkaller::sign(&elf, &&bytes[..]).unwrap()),
    ] {
        assert_eq!(signatures.get(kind).unwrap().hash, hash);
        assert_eq!(sign_kind(file.path(), kind).unwrap(), *signatures.get(kind).unwrap());
    }
    assert!(matches!(
        sign_kind(file.path(), SignatureKind::Content),
        Err(SignatureError::NotOfAFile { .. })
    ));
    assert_eq!(build_id(file.path()).unwrap(), Some("a1".repeat(20)));
    let plain = saved(&TestElf::new().section(".text", PROGBITS, ALLOC, vec![1]).build());
    assert_eq!(build_id(plain.path()).unwrap(), None);
    assert!(is_elf(file.path()).unwrap());
    assert!(matches!(is_elf(Path::new("/nowhere/vmlinux")), Err(SignatureError::Read { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), elf: bool) {
        if elf && bytes.len() > 7 {
            let (class, order) = (1 + bytes[4] % 2, 1 + bytes[5] % 2);
            bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order, 1]);
        }
        let _ = read_all(&bytes);
    }

    #[test]
    fn mutated_kernels_never_panic(
        format in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let format = TestElf::every_format().swap_remove(format);
        let mut file = kernel(&Build::new(), format).elf.build();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let _ = read_all(&file);
    }

    #[test]
    fn mutated_objects_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]),
            1..16,
        ),
    ) {
        let mut file = an_object();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let _ = read_object(&file);
    }

    /// Where tables of sections, symbols and relocations are: every field matters to the reader.
    #[test]
    fn mutated_headers_of_objects_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]),
            1..4,
        ),
    ) {
        let mut file = an_object();
        let table = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
        for (at, value) in changes {
            let at = table + at.index(file.len() - table);
            file[at] = value;
        }
        let _ = read_object(&file);
    }

    /// The packed kernel is spared, so that the rest is read.
    #[test]
    fn mutated_boot_images_never_panic(
        // How far before the end of the set-up code the version begins.
        version in prop::option::of(0_u16..40),
        changes in prop::collection::vec(
            (
                any::<bool>(),
                any::<prop::sample::Index>(),
                prop_oneof![Just(0), Just(0xff), any::<u8>()],
            ),
            1..12,
        ),
    ) {
        let (vmlinux, mut boot, payload) = a_boot_image();
        if let Some(before) = version {
            let start = 3 * 512 - 512 - before;
            boot[VERSION_TEXT..VERSION_TEXT + 2].copy_from_slice(&start.to_le_bytes());
        }
        for (in_header, at, value) in changes {
            let at = match at.index(boot.len() - payload.len()) {
                _ if in_header => SET_UP_HEADER.start + at.index(SET_UP_HEADER.len()),
                at if at < payload.start => at,
                at => at + payload.len(),
            };
            boot[at] = value;
        }
        let elf = Elf::parse(&vmlinux).unwrap();
        let part = companion(&&boot[..], &elf, &&vmlinux[..]);
        let masks = companion_masks(&&boot[..], &elf, &&vmlinux[..]);
        prop_assert!(part.kind == "x86-boot" || masks.is_empty());
        prop_assert!(masks.iter().all(|it| it.range.end <= boot.len()));
    }

    #[test]
    fn mutated_tables_never_panic(
        format in 0_usize..4,
        changes in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]),
            1..8,
        ),
    ) {
        let format = TestElf::every_format().swap_remove(format);
        let mut file = kernel(&Build::new(), format).elf.build();
        // The header and segments are first, symbols and section headers last.
        for (front, at, value) in changes {
            let window = 400.min(file.len());
            let at = if front { at.index(window) } else { file.len() - 1 - at.index(1200.min(file.len())) };
            file[at] = value;
        }
        let _ = read_all(&file);
    }
}

/// Files of a build in a folder of their own.
fn build_of(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let saved = files.iter().map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        ((*name).to_owned(), path)
    });
    let saved = saved.collect();
    (folder, saved)
}

proptest! {
    // Each writes and reads a whole build.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn mutated_builds_are_explained_without_a_panic(
        changes in prop::collection::vec(
            (0_usize..3, any::<prop::sample::Index>(), prop_oneof![Just(0), Just(0xff), any::<u8>()]),
            1..8,
        ),
    ) {
        let (vmlinux, boot, _) = a_boot_image();
        let mut files = [("vmlinux", vmlinux), ("bzImage", boot), ("vmlinux.o", an_object())];
        let before = build_of(&files);
        for (file, at, value) in changes {
            let bytes = &mut files[file].1;
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let after = build_of(&files);
        let _ = explain(&before.1, &after.1, None);
    }
}
