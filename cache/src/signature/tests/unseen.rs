//! What `code` does not see: boot images, and what the linker script decides.

use std::fs;
use std::path::PathBuf;

use super::boot::{built_with_gzip, seal};
use super::kernel::{Build, kernel};
use crate::signature::test_elf::{ALLOC, PROGBITS, TestElf};
use crate::signature::{SignatureError, unseen_by_code};

/// The hash of a build of these two files.
fn unseen(vmlinux: &[u8], boot: &[u8]) -> crate::Digest {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (name.to_owned(), path)
    };
    unseen_by_code(&[written("vmlinux", vmlinux), written("bzImage", boot)]).unwrap()
}

#[test]
fn what_surrounds_the_kernel_counts_and_its_bytes_do_not() {
    let (vmlinux, boot, payload) = built_with_gzip(&Build::new());
    let name = unseen(&vmlinux, &boot);
    let (twin, packed, _) = built_with_gzip(&Build::other());
    assert_eq!(unseen(&twin, &packed), name, "another release and builder");
    // The set-up code, and the decompressor behind the payload.
    for at in [0x120, payload.end + 20] {
        let mut bytes = boot.clone();
        bytes[at] ^= 1;
        seal(&mut bytes);
        assert_ne!(unseen(&vmlinux, &bytes), name, "byte {at:#x}");
    }
}

#[test]
fn a_line_number_in_the_kernel_does_not_count_and_its_layout_does() {
    let layout = |change: fn(&mut TestElf)| {
        let mut elf = kernel(&Build::new(), TestElf::new()).elf;
        change(&mut elf);
        // Packed in no way that is known, the boot image counts by its own bytes.
        unseen(&elf.build(), b"a boot image")
    };
    let name = layout(|_| {});
    assert_eq!(layout(|it| it.named(".text").data[77] ^= 1), name);
    type Change = fn(&mut TestElf);
    let changes: [(&str, Change); 4] = [
        ("room", |it| it.named(".bss").size += 4096),
        ("an address", |it| it.named(".data").address += 0x1000),
        ("an alignment", |it| it.named(".data").align = 32),
        ("entry", |it| it.entry += 16),
    ];
    for (what, change) in changes {
        assert_ne!(layout(change), name, "{what}");
    }
}

#[test]
fn types_count_though_no_code_differs() {
    let described = |section: &'static str, what: &[u8]| {
        let elf = kernel(&Build::new(), TestElf::new()).elf;
        unseen(&elf.section(section, PROGBITS, ALLOC, what.to_vec()).build(), b"a boot image")
    };
    // BTF has the names of parameters, by which the kernel's verifier knows what they take.
    assert_ne!(described(".BTF", b"buf__k"), described(".BTF", b"buf__s"));
    assert_ne!(described(".BTF_ids", b"1"), described(".BTF_ids", b"2"));
    assert_eq!(described(".other", b"1"), described(".other", b"2"));
}

#[test]
fn there_must_be_a_kernel() {
    let files = [("bzImage".to_owned(), PathBuf::from("bzImage"))];
    assert!(matches!(unseen_by_code(&files), Err(SignatureError::NoVmlinux)));
}
